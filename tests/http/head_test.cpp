#include "http/head.h"

#include <string>
#include <vector>

#include "http/target.h"
#include "support/catch.h"

namespace {

using namespace streamobs::http;  // NOLINT

struct HostileCase {
  const char* name;
  std::string bytes;
};

const std::string kHost = "Host: localhost\r\n";
const std::string kGet = "GET / HTTP/1.1\r\n";

/// What must never pass. Each is a whole head.
std::vector<HostileCase> hostile_heads() {
  using namespace std::string_literals;  // NOLINT: NUL bytes
  return {
      {"no Host", kGet + "\r\n"},
      {"two Hosts", kGet + kHost + kHost + "\r\n"},
      {"two Hosts, one in other case", kGet + kHost + "hOST: localhost\r\n\r\n"},
      {"obs-fold", kGet + kHost + "X: a\r\n b\r\n\r\n"},
      {"obs-fold with tab", kGet + kHost + "X: a\r\n\tb\r\n\r\n"},
      {"space after the request line", kGet + " " + kHost + "\r\n"},
      {"HTTP/1.0 with chunked",
       "POST / HTTP/1.0\r\n" + kHost + "Transfer-Encoding: chunked\r\n\r\n"},
      {"unknown coding", "POST / HTTP/1.1\r\n" + kHost + "Transfer-Encoding: gzip\r\n\r\n"},
      {"coding list", "POST / HTTP/1.1\r\n" + kHost + "Transfer-Encoding: gzip, chunked\r\n\r\n"},
      {"chunked twice",
       "POST / HTTP/1.1\r\n" + kHost + "Transfer-Encoding: chunked, chunked\r\n\r\n"},
      {"chunked in two fields",
       "POST / HTTP/1.1\r\n" + kHost +
           "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"},
      {"empty coding", "POST / HTTP/1.1\r\n" + kHost + "Transfer-Encoding:\r\n\r\n"},
      {"identity coding", "POST / HTTP/1.1\r\n" + kHost + "Transfer-Encoding: identity\r\n\r\n"},
      {"xchunked", "POST / HTTP/1.1\r\n" + kHost + "Transfer-Encoding: xchunked\r\n\r\n"},
      {"length and chunked",
       "POST / HTTP/1.1\r\n" + kHost + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"},
      {"chunked and length",
       "POST / HTTP/1.1\r\n" + kHost + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n"},
      {"two lengths",
       "POST / HTTP/1.1\r\n" + kHost + "Content-Length: 3\r\nContent-Length: 4\r\n\r\n"},
      {"two equal lengths",
       "POST / HTTP/1.1\r\n" + kHost + "Content-Length: 3\r\nContent-Length: 3\r\n\r\n"},
      {"list of lengths", "POST / HTTP/1.1\r\n" + kHost + "Content-Length: 3, 3\r\n\r\n"},
      {"negative length", "POST / HTTP/1.1\r\n" + kHost + "Content-Length: -1\r\n\r\n"},
      {"signed length", "POST / HTTP/1.1\r\n" + kHost + "Content-Length: +1\r\n\r\n"},
      {"hex length", "POST / HTTP/1.1\r\n" + kHost + "Content-Length: 0x10\r\n\r\n"},
      {"empty length", "POST / HTTP/1.1\r\n" + kHost + "Content-Length: \r\n\r\n"},
      {"length with space", "POST / HTTP/1.1\r\n" + kHost + "Content-Length: 1 2\r\n\r\n"},
      {"huge length",
       "POST / HTTP/1.1\r\n" + kHost + "Content-Length: 18446744073709551617\r\n\r\n"},
      {"space before colon", kGet + "Host : localhost\r\n\r\n"},
      {"tab before colon", kGet + kHost + "Content-Length\t: 3\r\n\r\n"},
      {"no colon", kGet + kHost + "nonsense\r\n\r\n"},
      {"empty name", kGet + kHost + ": x\r\n\r\n"},
      {"bad name", kGet + kHost + "a(b): x\r\n\r\n"},
      {"name beyond ASCII", kGet + kHost + "\xc3\xa4: x\r\n\r\n"},
      {"NUL in a value", kGet + kHost + "X: a\0b\r\n\r\n"s},
      {"NUL in the target", "GET /\0 HTTP/1.1\r\n"s + kHost + "\r\n"},
      {"control byte in a value", kGet + kHost +
                                      "X: a\x01"
                                      "b\r\n\r\n"},
      {"DEL in a value", kGet + kHost +
                             "X: a\x7f"
                             "b\r\n\r\n"},
      {"lone CR in a value", kGet + kHost + "X: a\rb\r\n\r\n"},
      {"lone CR before CR LF", kGet + kHost + "X: a\r\r\n\r\n"},
      {"lone LF", kGet + "Host: localhost\nX: a\r\n\r\n"},
      {"version 2.0", "GET / HTTP/2.0\r\n" + kHost + "\r\n"},
      {"version 1.2", "GET / HTTP/1.2\r\n" + kHost + "\r\n"},
      {"version 0.9", "GET / HTTP/0.9\r\n" + kHost + "\r\n"},
      {"no version", "GET /\r\n" + kHost + "\r\n"},
      {"lower-case protocol", "GET / http/1.1\r\n" + kHost + "\r\n"},
      {"two spaces", "GET  / HTTP/1.1\r\n" + kHost + "\r\n"},
      {"space in the target", "GET /a b HTTP/1.1\r\n" + kHost + "\r\n"},
      {"space after the version", "GET / HTTP/1.1 \r\n" + kHost + "\r\n"},
      {"tab for a space", "GET\t/ HTTP/1.1\r\n" + kHost + "\r\n"},
      {"bad method", "G(T / HTTP/1.1\r\n" + kHost + "\r\n"},
      {"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\n"},
      {"ICE", "GET / ICE/1.0\r\n" + kHost + "\r\n"},
  };
}

std::optional<Refusal> refuse_target(std::string_view text, std::string_view host = "localhost") {
  Target target;
  return parse_target(text, host, target);
}

}  // namespace

TEST_CASE("hostile heads are refused with 400", "[http]") {
  for (const HostileCase& hostile : hostile_heads()) {
    INFO(hostile.name);
    Head head;
    const auto refusal = parse_head(hostile.bytes, head);
    CHECK(refusal.has_value());
    if (refusal) CHECK(refusal->status == 400);
  }
}

TEST_CASE("an ordinary head is parsed", "[http]") {
  const std::string bytes =
      "POST /v1/events/a HTTP/1.1\r\nHost: localhost:8080\r\nContent-Length: 12\r\n"
      "content-TYPE:application/json  \r\nX-Empty:\r\nX-High: caf\xe9\r\nExpect: "
      "100-continue\r\n\r\n";
  Head head;
  REQUIRE_FALSE(parse_head(bytes, head));
  CHECK(head.method == "POST");
  CHECK(head.target == "/v1/events/a");
  CHECK(head.host == "localhost:8080");
  CHECK(head.content_length == 12);
  CHECK_FALSE(head.chunked);
  CHECK(head.keep_alive);
  CHECK(head.expect_continue);
  CHECK(head.find("Content-Type") == std::string_view("application/json"));
  CHECK(head.find("x-empty") == std::string_view(""));
  CHECK_FALSE(head.find("x-none"));
}

TEST_CASE("keep-alive follows version and Connection", "[http]") {
  const auto kept = [](const std::string& bytes) {
    Head head;
    REQUIRE_FALSE(parse_head(bytes, head));
    return head.keep_alive;
  };
  CHECK(kept(kGet + kHost + "\r\n"));
  CHECK_FALSE(kept(kGet + kHost + "Connection: close\r\n\r\n"));
  CHECK_FALSE(kept(kGet + kHost + "Connection: foo, Close\r\n\r\n"));
  CHECK_FALSE(kept("GET / HTTP/1.0\r\n" + kHost + "\r\n"));
  CHECK(kept("GET / HTTP/1.0\r\n" + kHost + "Connection: keep-alive\r\n\r\n"));
}

TEST_CASE("the end of a head is found however it is cut", "[http]") {
  const std::string bytes = kGet + kHost + "X: y\r\n\r\nBODY";
  for (std::size_t step = 1; step <= bytes.size(); ++step) {
    HeadScanner scanner;
    HeadScanner::State state = HeadScanner::State::incomplete;
    for (std::size_t have = 0; state == HeadScanner::State::incomplete;) {
      have = std::min(have + step, bytes.size());
      state = scanner.scan(std::string_view(bytes).substr(0, have));
    }
    CHECK(state == HeadScanner::State::complete);
    CHECK(scanner.length() == bytes.size() - 4);
  }
  for (const std::string& broken :
       {std::string("GET / HTTP/1.1\nHost: a\n\n"), std::string("\x16\x03\x01"),
        kGet + "X: a\nY: b\r\n\r\n", std::string("\nGET")}) {
    HeadScanner scanner;
    CHECK(scanner.scan(broken) == HeadScanner::State::broken);
  }
}

TEST_CASE("targets are taken apart and decoded", "[http]") {
  Target target;
  REQUIRE_FALSE(parse_target("/v1/ev%65nts/a%20b%2Fc?x=1&y=a+b%2B&z&x=%C3%A4", "h", target));
  CHECK(target.segments == std::vector<std::string_view>{"v1", "events", "a b/c"});
  using Pair = std::pair<std::string_view, std::string_view>;
  CHECK(target.query == std::vector<Pair>{{"x", "1"}, {"y", "a b+"}, {"z", ""}, {"x", "\xc3\xa4"}});
  REQUIRE_FALSE(parse_target("/", "h", target));
  CHECK(target.segments.empty());
  REQUIRE_FALSE(parse_target("/a//b/", "h", target));
  CHECK(target.segments == std::vector<std::string_view>{"a", "", "b", ""});
  REQUIRE_FALSE(parse_target("/?", "h", target));
  CHECK(target.query.empty());

  REQUIRE_FALSE(parse_target("http://LocalHost:8080/a?b=c", "localhost:8080", target));
  CHECK(target.segments == std::vector<std::string_view>{"a"});
  REQUIRE_FALSE(parse_target("http://localhost?b=c", "localhost", target));
  CHECK(target.path == "/");
}

TEST_CASE("bad targets are refused", "[http]") {
  for (const char* bad : {"",
                          "*",
                          "a",
                          "localhost:80",
                          "ftp://localhost/",
                          "http://other/",
                          "http://localhost:1/",
                          "http://u@localhost/",
                          "https://localhost/",
                          "/%",
                          "/%4",
                          "/%zz",
                          "/a?b=%0g",
                          "/%00",
                          "/%0a",
                          "/a%7f",
                          "/%ff",
                          "/%c0%80",
                          "/%ed%a0%80",
                          "/%f4%90%80%80",
                          "/a#b",
                          "/\xc3\xa4",
                          "/a\x7f"}) {
    INFO(bad);
    CHECK(refuse_target(bad).has_value());
  }
  std::string many = "/?";
  for (int i = 0; i < 65; ++i) many += "a=b&";
  CHECK(refuse_target(many).has_value());
}

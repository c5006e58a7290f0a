// The load generator against a server of a few lines, which misbehaves as told.
#include <arpa/inet.h>
#include <atomic>
#include <cstring>
#include <mutex>
#include <netinet/in.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

#include <fmt/format.h>

#include "loadgen/cli.h"
#include "support.h"
#include "support/catch.h"

using namespace streamobs;
using namespace streamobs::loadgen;
using namespace streamobs::loadgen::test;

namespace {

/// Serves one connection after another; each scripted answer is given once, then all is accepted.
class TinyServer {
 public:
  enum class Trick { busy, hang_up, not_found, refuse_all };

  explicit TinyServer(std::vector<Trick> tricks = {}) : tricks_(std::move(tricks)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    REQUIRE(::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(::listen(listener_, 16) == 0);
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~TinyServer() { stop(); }

  std::string url() const { return fmt::format("http://127.0.0.1:{}", port_); }
  void stop() {
    if (!thread_.joinable()) return;
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }
  // Read after stop().
  std::vector<std::string> bodies;
  std::vector<std::string> heads;
  std::vector<std::string> keys;  ///< Of every request, those that were turned away too.

 private:
  static std::string key_of(const std::string& head) {
    const std::string name = "\r\nIdempotency-Key: ";
    const std::size_t at = head.find(name);
    if (at == std::string::npos) return "";
    const std::size_t begin = at + name.size();
    return head.substr(begin, head.find("\r\n", begin) - begin);
  }

  void serve() {
    while (true) {
      const int fd = ::accept(listener_, nullptr, nullptr);
      if (fd < 0) return;
      std::string input;
      while (one_request(fd, input)) {
      }
      ::close(fd);
    }
  }

  bool one_request(int fd, std::string& input) {
    std::size_t head_end = 0;
    while ((head_end = input.find("\r\n\r\n")) == std::string::npos) {
      if (!receive(fd, input)) return false;
    }
    const std::string head = input.substr(0, head_end);
    const std::size_t length = std::stoul(head.substr(head.find("Content-Length: ") + 16));
    while (input.size() < head_end + 4 + length) {
      if (!receive(fd, input)) return false;
    }
    const std::string body = input.substr(head_end + 4, length);
    keys.push_back(key_of(head));
    input.erase(0, head_end + 4 + length);
    if (next_trick_ < tricks_.size()) {
      switch (tricks_[next_trick_++]) {
        case Trick::busy:
          return answer(fd, "429 Too Many Requests", "Retry-After: 0\r\n", "{}");
        case Trick::hang_up:
          return false;
        case Trick::not_found:
          return answer(fd, "404 Not Found", "", R"({"detail":"no such stream"})");
        case Trick::refuse_all: {
          const auto lines = lines_of(body).size();
          return answer(fd, "400 Bad Request", "",
                        fmt::format(R"({{"accepted": 0, "rejected": {}, "errors": []}})", lines));
        }
      }
    }
    heads.push_back(head);
    bodies.push_back(body);
    return answer(
        fd, "200 OK", "",
        fmt::format(R"({{"accepted": {}, "rejected": 0, "errors": []}})", lines_of(body).size()));
  }

  static bool receive(int fd, std::string& input) {
    char buffer[65536];
    const ssize_t bytes = ::recv(fd, buffer, sizeof buffer, 0);
    if (bytes > 0) input.append(buffer, static_cast<std::size_t>(bytes));
    return bytes > 0;
  }
  static bool answer(int fd, const std::string& status, const std::string& headers,
                     const std::string& body) {
    const std::string text = fmt::format("HTTP/1.1 {}\r\n{}Content-Length: {}\r\n\r\n{}", status,
                                         headers, body.size(), body);
    return ::send(fd, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
  }

  std::vector<Trick> tricks_;
  std::size_t next_trick_ = 0;
  int listener_ = -1;
  int port_ = 0;
  std::thread thread_;
};

LoadgenOptions options_for(const std::string& url) {
  LoadgenOptions options;
  options.target = url;
  options.rate = 0;
  options.events = 2'500;
  options.start = kStart;
  options.batch = 1'000;
  options.quiet = true;
  return options;
}

std::string joined(const std::vector<std::string>& parts) {
  std::string all;
  for (const std::string& part : parts) all += part;
  return all;
}

std::string expected_services(std::uint64_t count) {
  return generate(**make_scenario("services", {}), count)[0].text;
}

}  // namespace

TEST_CASE("over HTTP every event arrives once and in order, in batches, on one connection") {
  const TempDir dir;
  TinyServer server;
  LoadgenOptions options = options_for(server.url());
  options.truth_file = dir / "truth.json";
  CHECK(run(options) == 0);
  server.stop();
  REQUIRE(server.bodies.size() == 3);
  CHECK(lines_of(server.bodies[0]).size() == 1'000);
  CHECK(lines_of(server.bodies[2]).size() == 500);
  CHECK(joined(server.bodies) == expected_services(2'500));
  CHECK(server.heads[0].starts_with("POST /v1/events/requests HTTP/1.1\r\n"));
  CHECK(read_file(dir / "truth.json").find("\"accepted\":2500,\"rejected\":0") !=
        std::string::npos);
}

TEST_CASE("a busy server and a broken connection are tried again") {
  TinyServer server({TinyServer::Trick::busy, TinyServer::Trick::busy, TinyServer::Trick::hang_up});
  CHECK(run(options_for(server.url())) == 0);
  server.stop();
  CHECK(joined(server.bodies) == expected_services(2'500));
  // The first request four times, under one key; then the others.
  REQUIRE(server.keys.size() == 6);
  CHECK(server.keys[0].starts_with("loadgen-"));
  for (std::size_t i = 1; i < 4; ++i) CHECK(server.keys[i] == server.keys[0]);
  CHECK(server.keys[4] != server.keys[0]);
  CHECK(server.keys[5] != server.keys[4]);
}

TEST_CASE("two runs have keys of their own, and one can do without") {
  TinyServer server;
  LoadgenOptions options = options_for(server.url());
  options.events = 1'000;
  CHECK(run(options) == 0);
  CHECK(run(options) == 0);
  options.request_keys = false;
  CHECK(run(options) == 0);
  server.stop();
  REQUIRE(server.keys.size() == 3);
  CHECK(server.keys[0] != server.keys[1]);
  CHECK(server.keys[2].empty());
}

TEST_CASE("events that the server refuses are counted, the run goes on") {
  const TempDir dir;
  TinyServer server({TinyServer::Trick::refuse_all});
  LoadgenOptions options = options_for(server.url());
  options.truth_file = dir / "truth.json";
  CHECK(run(options) == 0);
  server.stop();
  CHECK(server.bodies.size() == 2);
  CHECK(read_file(dir / "truth.json").find("\"accepted\":1500,\"rejected\":1000") !=
        std::string::npos);
}

TEST_CASE("a server that does not know the stream ends the run") {
  TinyServer server({TinyServer::Trick::not_found});
  CHECK(run(options_for(server.url())) == 78);
}

TEST_CASE("llm events go to two paths, and a token goes along") {
  TinyServer server;
  LoadgenOptions options = options_for(server.url());
  options.scenario = "llm";
  options.bearer = "env:STREAMOBS_TEST_TOKEN";
  ::setenv("STREAMOBS_TEST_TOKEN", "s3cret", 1);
  CHECK(run(options) == 0);
  server.stop();
  std::size_t requests = 0;
  std::size_t responses = 0;
  for (std::size_t i = 0; i < server.bodies.size(); ++i) {
    const bool is_request = server.heads[i].starts_with("POST /v1/llm/request ");
    CHECK((is_request || server.heads[i].starts_with("POST /v1/llm/response ")));
    CHECK(server.heads[i].find("Authorization: Bearer s3cret") != std::string::npos);
    CHECK(lines_of(server.bodies[i]).size() <= 1'000);
    (is_request ? requests : responses) += lines_of(server.bodies[i]).size();
  }
  CHECK(requests == 2'500);
  CHECK(responses > 2'400);
}

TEST_CASE("a paced run sends small batches in time") {
  TinyServer server;
  LoadgenOptions options = options_for(server.url());
  options.rate = 400;
  options.events = 0;
  options.duration = kSecond / 2;
  CHECK(run(options) == 0);
  server.stop();
  CHECK(lines_of(joined(server.bodies)).size() == 200);
  CHECK(server.bodies.size() >= 2);
}

TEST_CASE("exit codes say what went wrong") {
  // A port that was free a moment ago.
  std::string url;
  {
    TinyServer server;
    url = server.url();
  }
  CHECK(run(options_for(url)) == 75);

  LoadgenOptions options = options_for("https://localhost");
  CHECK(run(options) == 78);
  options = options_for(url);
  options.scenario = "nothing";
  CHECK(run(options) == 78);
  options = options_for(url);
  options.bearer = "s3cret";
  CHECK(run(options) == 78);
  options = options_for(url);
  options.bearer = "env:STREAMOBS_NOT_SET";
  CHECK(run(options) == 78);
  options = options_for(url);
  options.batch = 0;
  CHECK(run(options) == 78);
  options = options_for(url);
  options.rate = -1;
  CHECK(run(options) == 78);
  options = options_for(url);
  options.file = "/nonexistent/folder/file";
  CHECK(run(options) == 74);
  options.file = "/dev/null";
  options.truth_file = "/nonexistent/folder/file";
  CHECK(run(options) == 74);
  options.truth_file.clear();
  options.file = "/dev/full";
  CHECK(run(options) == 74);
}

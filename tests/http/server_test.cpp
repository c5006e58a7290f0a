#include "http/server.h"

#include <mutex>
#include <string>
#include <vector>

#include "support.h"

namespace {

using namespace streamobs;              // NOLINT
using namespace streamobs::http::test;  // NOLINT

/// What the handlers saw, for the tests to look at.
struct Seen : Handling {
  std::mutex mutex;
  std::vector<std::string> bodies;
  std::vector<std::shared_ptr<BlockBuffer>> kept;
  bool keep = false;
};

asio::awaitable<void> say_hello(http::Exchange& exchange) {
  http::Response response;
  response.content_type = "text/plain";
  response.body = "hello " + std::string(exchange.request().parameter("name"));
  for (const auto& [name, value] : exchange.request().target.query) {
    response.body += " " + std::string(name) + "=" + std::string(value);
  }
  exchange.respond(std::move(response));
  co_return;
}

asio::awaitable<void> take_body(Seen& seen, http::Exchange& exchange) {
  const auto& body = exchange.request().body;
  {
    const std::lock_guard lock(seen.mutex);
    seen.bodies.emplace_back(body ? body->view() : std::string_view());
    if (seen.keep) seen.kept.push_back(body);
  }
  http::Response response;
  response.body = std::to_string(body ? body->size() : 0);
  exchange.respond(std::move(response));
  co_return;
}

asio::awaitable<void> say_much(http::Exchange& exchange) {
  http::Response response;
  response.body.assign(8 << 20, 'x');
  exchange.respond(std::move(response));
  co_return;
}

asio::awaitable<void> fail(http::Exchange&) {
  throw std::runtime_error("planned");
  co_return;
}

/// Routes of every kind.
struct App {
  App() {
    http::RouteFlags plain;
    http::RouteFlags open;
    open.open = true;
    http::RouteFlags ingest;
    ingest.ingest = true;
    http::RouteFlags live;
    live.live = true;
    router.add("GET", "/hello/{name}", plain, say_hello);
    router.add("GET", "/hello/world", plain, say_hello);
    router.add("GET", "/much", plain, say_much);
    router.add("GET", "/boom", plain, fail);
    router.add("GET", "/open", open, say_hello);
    router.add("POST", "/body", ingest,
               [this](http::Exchange& exchange) { return take_body(seen, exchange); });
    router.add("GET", "/wait", plain,
               [this](http::Exchange& exchange) { return wait_for_release(seen, exchange); });
    router.add("GET", "/live", live, [this](http::Exchange& exchange) {
      return stream_without_end(seen, exchange, std::string(64 << 10, 'x'), milliseconds(0));
    });
  }
  Seen seen;
  http::Router router;
};

/// The status of one request on a connection of its own.
int ask(const TestServer& server, std::string_view request) {
  HttpClient client = server.connect();
  return status_of(client.ask(request));
}

constexpr std::string_view kJson = "Content-Type: application/json\r\n";

}  // namespace

TEST_CASE("requests are answered, one after the other on one connection", "[http]") {
  App app;
  TestServer server(app.router);
  HttpClient client = server.connect();
  for (int i = 0; i < 100; ++i) {
    const auto response = client.ask(get("/hello/Ada?x=1%20&y=+"));
    REQUIRE(status_of(response) == 200);
    CHECK(response->body == "hello Ada x=1  y= ");
    CHECK(response->header("content-type") == "text/plain");
    CHECK(response->header("x-content-type-options") == "nosniff");
    CHECK(response->header("referrer-policy") == "no-referrer");
    CHECK(response->header("cache-control") == "no-store");
    CHECK(response->header("content-security-policy") ==
          "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src "
          "'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    CHECK(response->header("access-control-allow-origin").empty());
    CHECK(response->header("connection").empty());
    CHECK(response->header("date").size() == 29);
  }
  // The literal pattern wins over the parameter.
  CHECK(client.ask(get("/hello/world"))->body == "hello ");
  CHECK(server.registry.value("streamobs_http_requests_total",
                              {{"route", "/hello/{name}"}, {"status", "200"}}) == 100);
  CHECK(server.registry.value("streamobs_http_connections") == 1);
}

TEST_CASE("HEAD answers as GET, without the body", "[http]") {
  App app;
  TestServer server(app.router);
  HttpClient client = server.connect();
  REQUIRE(client.send("HEAD /hello/Ada HTTP/1.1\r\nHost: localhost\r\n\r\n"));
  const auto head = client.receive(true);
  REQUIRE(status_of(head) == 200);
  CHECK(head->header("content-length") == "9");
  // What follows on the connection is the next answer, not a body.
  CHECK(status_of(client.ask(get("/hello/Ada"))) == 200);
}

TEST_CASE("what is not there is a problem", "[http]") {
  App app;
  TestServer server(app.router);
  HttpClient client = server.connect();
  const auto missing = client.ask(get("/nothing"));
  REQUIRE(status_of(missing) == 404);
  CHECK(missing->header("content-type") == "application/problem+json");
  CHECK(missing->body.find("\"title\":\"Not Found\",\"status\":404,\"detail\":") !=
        std::string::npos);
  const auto method = client.ask("DELETE /hello/Ada HTTP/1.1\r\nHost: localhost\r\n\r\n");
  REQUIRE(status_of(method) == 405);
  CHECK(method->header("allow") == "GET, HEAD");
  const auto wrong = client.ask(get("/body"));
  REQUIRE(status_of(wrong) == 405);
  CHECK(wrong->header("allow") == "POST");
  const auto boom = client.ask(get("/boom"));
  REQUIRE(status_of(boom) == 500);
  CHECK(boom->body.find("planned") == std::string::npos);
  CHECK(status_of(client.ask(get("/hello/still-here"))) == 200);
  CHECK(ask(server, "GET /hello/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nab") ==
        400);
}

TEST_CASE("bodies arrive whole, however they are sent", "[http]") {
  App app;
  TestServer server(app.router);
  std::string large(3 << 20, ' ');
  for (std::size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>('a' + i * 7 % 26);
  HttpClient client = server.connect();
  const std::string chunked =
      "POST /body HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"
      "Transfer-Encoding: chunked\r\n\r\n";
  const std::string zipped = gzip(large);

  CHECK(client.ask(post("/body", "{}"))->body == "2");
  CHECK(client.ask(post("/body", large))->body == std::to_string(large.size()));
  CHECK(client.ask(chunked + chunk("{\"a\"") + chunk(":1}") + "0\r\n\r\n")->body == "7");
  CHECK(client.ask(chunked + "7;x=\"y\"\r\n{\"b\":2}\r\n0;z\r\nTrailer: t\r\n\r\n")->body == "7");
  CHECK(client.ask(chunked + chunk(large) + "0\r\n\r\n")->body == std::to_string(large.size()));
  CHECK(client
            .ask(post("/body", zipped,
                      "Content-Type: application/json\r\nContent-Encoding: gzip\r\n"))
            ->body == std::to_string(large.size()));
  CHECK(client
            .ask(post("/body", gzip("{}") + gzip("[]"),
                      "Content-Type: application/json\r\nContent-Encoding: GZIP\r\n"))
            ->body == "4");
  CHECK(
      client.ask(post("/body", "{}", "Content-Type: APPLICATION/json ; charset=utf-8\r\n"))->body ==
      "2");
  CHECK(client.ask(post("/body", ""))->body == "0");
  // Byte by byte.
  const std::string slow = chunked + chunk("hi") + chunk("!") + "0\r\n\r\n";
  for (const char c : slow) REQUIRE(client.send(std::string_view(&c, 1)));
  CHECK(client.receive()->body == "3");

  const std::lock_guard lock(app.seen.mutex);
  CHECK(app.seen.bodies == std::vector<std::string>{"{}", large, "{\"a\":1}", "{\"b\":2}", large,
                                                    large, "{}[]", "{}", "", "hi!"});
}

TEST_CASE("pipelined requests are answered in order", "[http]") {
  App app;
  TestServer server(app.router);
  HttpClient client = server.connect();
  std::string all;
  for (int i = 0; i < 500; ++i) {
    all += get("/hello/" + std::to_string(i));
    all += "\r\n";  // An empty line in between is overlooked.
    all += post("/body", std::string(static_cast<std::size_t>(i), 'x'));
  }
  std::thread sender([&] { client.send(all); });
  for (int i = 0; i < 500; ++i) {
    const auto hello = client.receive();
    const auto body = client.receive();
    REQUIRE((hello && body));
    CHECK(hello->body == "hello " + std::to_string(i));
    CHECK(body->body == std::to_string(i));
  }
  sender.join();
}

TEST_CASE("a body that is kept is not written to again", "[http]") {
  App app;
  app.seen.keep = true;
  TestServer server(app.router);
  HttpClient client = server.connect();
  std::vector<std::string> sent;
  for (int i = 0; i < 50; ++i) {
    sent.push_back(
        std::string(static_cast<std::size_t>(i) * 1000 + 1, static_cast<char>('a' + i % 26)));
    REQUIRE(status_of(client.ask(post("/body", sent.back()))) == 200);
  }
  const std::lock_guard lock(app.seen.mutex);
  REQUIRE(app.seen.kept.size() == sent.size());
  for (std::size_t i = 0; i < sent.size(); ++i) CHECK(app.seen.kept[i]->view() == sent[i]);
}

TEST_CASE("Expect: 100-continue is told to go on, or told why not", "[http]") {
  App app;
  TestServer server(app.router);
  HttpClient client = server.connect();
  const std::string head =
      "POST /body HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
      "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n";
  REQUIRE(client.send(head));
  CHECK(status_of(client.receive(true)) == 100);
  REQUIRE(client.send("{}"));
  CHECK(status_of(client.receive()) == 200);
  CHECK(ask(server,
            "POST /body HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n"
            "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n") == 415);
  CHECK(ask(server, "POST /body HTTP/1.1\r\nHost: localhost\r\nExpect: tea\r\n\r\n") == 417);
}

TEST_CASE("bodies are refused for type, coding and size", "[http]") {
  App app;
  http::HttpOptions options;
  options.body_bytes_max = 10'000;
  options.inflated_bytes_max = 50'000;
  TestServer server(app.router, options);
  for (const char* type :
       {"", "Content-Type: text/plain\r\n", "Content-Type: application/x-www-form-urlencoded\r\n",
        "Content-Type: multipart/form-data\r\n", "Content-Type: application/jsonx\r\n",
        "Content-Type: application/json\r\nContent-Encoding: br\r\n",
        "Content-Type: application/json\r\nContent-Encoding: gzip, gzip\r\n"}) {
    INFO(type);
    CHECK(ask(server, post("/body", "{}", type)) == 415);
  }
  CHECK(ask(server, post("/body", std::string(10'000, 'x'))) == 200);
  CHECK(ask(server, post("/body", std::string(10'001, 'x'))) == 413);
  CHECK(ask(server, post("/body", std::string(500'000, 'x'))) == 413);
  CHECK(ask(server, kChunkedHead + chunk(std::string(10'000, 'x')) + "0\r\n\r\n") == 200);
  CHECK(ask(server, kChunkedHead + chunk(std::string(9'000, 'x')) + chunk(std::string(1'001, 'x')) +
                        "0\r\n\r\n") == 413);
  CHECK(ask(server, kChunkedHead + "fffffffffffffff\r\n") == 413);

  CHECK(ask(server, post("/body", gzip(std::string(50'000, ' ')), kGzipFields)) == 200);
  CHECK(ask(server, post("/body", gzip(std::string(50'001, ' ')), kGzipFields)) == 413);
  const std::string bomb = gzip(std::string(9'000'000, ' '));
  REQUIRE(bomb.size() < 10'000);
  CHECK(ask(server, post("/body", bomb, kGzipFields)) == 413);
  const auto words = [&server](const std::string& request) {
    HttpClient client = server.connect();
    const auto response = client.ask(request);
    return response ? response->body : std::string();
  };
  const std::string too_long = "longer than the 10000 bytes that [http] body_bytes_max allows";
  CHECK(words(post("/body", std::string(10'001, 'x'))).find(too_long) != std::string::npos);
  CHECK(words(kChunkedHead + chunk(std::string(10'001, 'x')) + "0\r\n\r\n").find(too_long) !=
        std::string::npos);
  CHECK(words(post("/body", bomb, kGzipFields))
            .find("more than the 50000 bytes that [http] inflated_bytes_max allows") !=
        std::string::npos);
  CHECK(ask(server, post("/body", "not gzip", kGzipFields)) == 400);
  const std::string good = gzip("{\"a\": 1}");
  CHECK(ask(server, post("/body", good.substr(0, good.size() - 5), kGzipFields)) == 400);
  CHECK(ask(server, post("/body", good + "x", kGzipFields)) == 400);
  CHECK(ask(server, post("/body", "", kGzipFields)) == 400 - 200);
  std::string rotten = good;
  rotten[rotten.size() - 6] = static_cast<char>(rotten[rotten.size() - 6] ^ 1);
  CHECK(ask(server, post("/body", rotten, kGzipFields)) == 400);
}

TEST_CASE("broken chunks get 400 and an end", "[http]") {
  App app;
  TestServer server(app.router);
  for (const std::string& bad :
       {std::string("xyz\r\n"), std::string("-1\r\na\r\n"), std::string("0x2\r\nab\r\n"),
        std::string("2\nab\n0\n\n"), std::string("2 \r\nab\r\n"), std::string("2\r\nabc\r\n"),
        std::string("10000000000000000\r\n"), std::string("\r\n"), std::string("2\rab\r\n"),
        std::string("2;\x01\r\nab\r\n"), "2;" + std::string(40'000, 'e') + "\r\nab\r\n",
        "0\r\n" + std::string(40'000, 't') + "\r\n\r\n", std::string("0\r\nbad trailer\r\n\r\n"),
        std::string("2\r\nab\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n")}) {
    INFO(bad.substr(0, 60));
    HttpClient client = server.connect();
    client.send(kChunkedHead + bad);
    // Some are broken only in the light of what follows: here, of nothing.
    client.finish_sending();
    CHECK(status_of(client.receive()) == 400);
    CHECK(client.wait_closed());
  }
}

TEST_CASE("what comes after broken chunks is not taken for a request", "[http]") {
  App app;
  TestServer server(app.router);
  for (const char* bad : {"0x2\r\nab\r\n0\r\n\r\n", "2\nab\n0\n\n", "2\r\nabc\r\n0\r\n\r\n"}) {
    INFO(bad);
    HttpClient client = server.connect();
    client.send(kChunkedHead + bad + get("/open"));
    CHECK(status_of(client.receive()) == 400);
    client.finish_sending();
    CHECK(client.wait_closed());
    CHECK(client.received().empty());
  }
}

TEST_CASE("a hostile head gets 400 over the wire, and the connection ends", "[http]") {
  App app;
  TestServer server(app.router);
  for (const std::string& bad :
       {std::string("GET /open HTTP/1.1\r\n\r\n"),
        std::string("GET /open HTTP/1.1\nHost: localhost\n\n"),
        std::string("GET /open HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n"),
        std::string("GET http://evil/open HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        std::string("\x16\x03\x01\x02\x00", 5),
        std::string("\r\n\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n"),
        std::string("CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        std::string("OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        std::string("GET /open HTTP/1.1\r\nHost: local host\r\n\r\n"),
        std::string("GET /open HTTP/1.1\r\nHost: localhost:99999999\r\n\r\n"),
        std::string("GET /%00 HTTP/1.1\r\nHost: localhost\r\n\r\n")}) {
    INFO(bad);
    HttpClient client = server.connect();
    client.send(bad + get("/open"));
    CHECK(status_of(client.receive()) == 400);
    client.finish_sending();
    CHECK(client.wait_closed());
    CHECK(client.received().empty());  // The smuggled second request was not answered.
  }
  HttpClient client = server.connect();
  client.send("GET /open HTTP/1.1\r\nHost: localhost\r\nX: " + std::string(9'000, 'x'));
  CHECK(status_of(client.receive()) == 431);
}

TEST_CASE("only our own names are answered to", "[http]") {
  App app;
  http::HttpOptions options;
  options.allowed_hosts = {"obs.example", "strict.example:444"};
  TestServer server(app.router, options);
  const auto with_host = [&](const std::string& host) {
    return ask(server, "GET /hello/a HTTP/1.1\r\nHost: " + host + "\r\n\r\n");
  };
  const std::string port = ":" + std::to_string(server.port);
  for (const std::string& host :
       {std::string("localhost"), "LOCALHOST" + port, std::string("127.0.0.1"), "127.0.0.1" + port,
        "[::1]" + port, std::string("obs.example"), std::string("obs.example:443"),
        std::string("strict.example:444"), std::string("localhost:9")}) {
    INFO(host);
    CHECK(with_host(host) == 200);
  }
  for (const std::string& host :
       {std::string("evil.example"), "evil.example" + port, std::string("10.0.0.1"),
        std::string("localhost.evil.example"), std::string("localhost."),
        std::string("strict.example"), std::string("127.0.0.1.nip.io")}) {
    INFO(host);
    CHECK(with_host(host) == 421);
  }
  for (const char* host : {"", "a b", "user@localhost", "localhost:", "localhost:x", "[::1", "[]",
                           "http://localhost"}) {
    INFO(host);
    CHECK(with_host(host) == 400);
  }
}

TEST_CASE("pages of other origins are kept out", "[http]") {
  App app;
  TestServer server(app.router);
  const auto posted = [&](const std::string& fields) {
    return ask(server, post("/body", "{}", std::string(kJson) + fields));
  };
  CHECK(posted("Origin: http://localhost\r\n") == 200);
  CHECK(posted("Sec-Fetch-Site: same-origin\r\n") == 200);
  CHECK(posted("Sec-Fetch-Site: none\r\n") == 200);
  for (const char* foreign :
       {"Origin: http://evil.example\r\n", "Origin: null\r\n", "Origin: http://localhost:1234\r\n",
        "Origin: http://localhost.evil\r\n", "Origin: localhost\r\n",
        "Sec-Fetch-Site: cross-site\r\n", "Sec-Fetch-Site: same-site\r\n",
        "Origin: http://localhost\r\nSec-Fetch-Site: cross-site\r\n"}) {
    INFO(foreign);
    CHECK(posted(foreign) == 403);
    CHECK(ask(server, get("/live", foreign)) == 403);
    CHECK(ask(server, get("/hello/a", foreign)) == 200);  // A plain read; the answer has no CORS.
  }
}

TEST_CASE("with a token, nothing but the open routes goes without it", "[http]") {
  App app;
  http::HttpOptions options;
  options.token = "s3cret";
  TestServer server(app.router, options);
  HttpClient client = server.connect();
  CHECK(status_of(client.ask(get("/open"))) == 200);
  CHECK(status_of(client.ask(get("/hello/a", "Authorization: Bearer s3cret\r\n"))) == 200);
  CHECK(status_of(client.ask(get("/hello/a", "Authorization: bearer  s3cret\r\n"))) == 200);
  for (const char* wrong :
       {"", "Authorization: Bearer s3cre\r\n", "Authorization: Bearer s3cret1\r\n",
        "Authorization: Bearer\r\n", "Authorization: Basic s3cret\r\n", "Authorization: s3cret\r\n",
        "Authorization: Bearer S3CRET\r\n"}) {
    INFO(wrong);
    HttpClient other = server.connect();
    const auto response = other.ask(get("/hello/a", wrong));
    REQUIRE(status_of(response) == 401);
    CHECK(response->header("www-authenticate") == "Bearer realm=\"streamobs\"");
    CHECK(ask(server, get("/nothing", wrong)) == 401);  // Nor does it tell what there is.
    CHECK(ask(server, get("/live", wrong)) == 401);
    CHECK(ask(server, post("/body", "{}", std::string(kJson) + wrong)) == 401);
  }
}

TEST_CASE("a refused upload still gets to read why", "[http]") {
  App app;
  TestServer server(app.router);
  for (int i = 0; i < 20; ++i) {
    HttpClient client = server.connect();
    // The client sends all of it before it looks for an answer.
    std::thread sender([&] { client.send(post("/body", std::string(9 << 20, 'x'))); });
    CHECK(status_of(client.receive()) == 413);
    sender.join();
  }
}

TEST_CASE("large answers reach slow readers whole", "[http]") {
  App app;
  TestServer server(app.router);
  HttpClient client(server.port, 4096);
  REQUIRE(client.send(get("/much")));
  std::this_thread::sleep_for(milliseconds(50));
  const auto response = client.receive();
  REQUIRE(status_of(response) == 200);
  CHECK(response->body == std::string(8 << 20, 'x'));
}

TEST_CASE("HTTP/1.0 is answered, and closed unless asked otherwise", "[http]") {
  App app;
  TestServer server(app.router);
  HttpClient client = server.connect();
  REQUIRE(
      client.send("GET /hello/a HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n"));
  const auto kept = client.receive();
  REQUIRE(status_of(kept) == 200);
  CHECK(kept->header("connection") == "keep-alive");
  REQUIRE(client.send("GET /hello/a HTTP/1.0\r\nHost: localhost\r\n\r\n"));
  CHECK(status_of(client.receive()) == 200);
  CHECK(client.wait_closed());
}

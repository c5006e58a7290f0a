// What a server must survive: clients that are slow, silent, too many, or in the way of its end.
#include <string>
#include <sys/resource.h>
#include <vector>

#include "support.h"

namespace {

using namespace streamobs;              // NOLINT
using namespace streamobs::http::test;  // NOLINT

asio::awaitable<void> say_ok(http::Exchange& exchange) {
  exchange.respond(http::Response());
  co_return;
}

struct App {
  App() {
    http::RouteFlags ingest;
    ingest.ingest = true;
    http::RouteFlags live;
    live.live = true;
    router.add("GET", "/ok", {}, say_ok);
    router.add("POST", "/body", ingest, say_ok);
    router.add("GET", "/wait", {},
               [this](http::Exchange& exchange) { return wait_for_release(seen, exchange); });
    router.add("GET", "/live", live, [this](http::Exchange& exchange) {
      return stream_without_end(seen, exchange, "data: x\n\n", milliseconds(5));
    });
  }
  Handling seen;
  http::Router router;
};

double rejected(const TestServer& server, const std::string& reason) {
  return server.registry.value("streamobs_http_rejected_total", {{"reason", reason}});
}

const std::string kUpload =
    "POST /body HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    "Content-Length: 1000000\r\n\r\n";

}  // namespace

TEST_CASE("a head that comes too slowly gets 408", "[http]") {
  App app;
  http::HttpOptions options;
  options.header_timeout = 200 * kMillisecond;
  TestServer server(app.router, options);
  HttpClient client = server.connect();
  REQUIRE(client.send("GET /ok HTTP/1.1\r\nHost: localhost\r\n"));
  // A byte now and then does not help: it is the whole head that has to come in time.
  const auto started = std::chrono::steady_clock::now();
  std::optional<HttpResponse> response;
  while (!response && std::chrono::steady_clock::now() - started < milliseconds(5'000)) {
    client.send("X");
    response = client.receive(false, milliseconds(20));
  }
  CHECK(status_of(response) == 408);
  CHECK(std::chrono::steady_clock::now() - started < milliseconds(3'000));
  CHECK(rejected(server, "header_timeout") == 1);
  // One that says nothing at all is closed without a word.
  HttpClient silent = server.connect();
  CHECK(silent.wait_closed());
  CHECK(silent.received().empty());
}

TEST_CASE("all bodies together are bounded", "[http]") {
  App app;
  http::HttpOptions options;
  options.all_bodies_bytes_max = 100'000;
  TestServer server(app.router, options);
  const auto held = [&] { return server.registry.value("streamobs_http_bodies_held_bytes"); };
  // Half-sent bodies hold what has come of them, however much they announce.
  std::vector<HttpClient> waiting;
  for (int i = 0; i < 3; ++i) {
    waiting.push_back(server.connect());
    REQUIRE(waiting.back().send(kUpload + std::string(30'000, ' ')));
  }
  REQUIRE(wait_until([&] { return held() == 90'000; }));
  HttpClient small = server.connect();
  CHECK(status_of(small.ask(post("/body", std::string(5'000, ' ')))) == 200);
  const auto full = small.ask(post("/body", std::string(15'000, ' ')));
  CHECK(status_of(full) == 429);
  CHECK(full->header("retry-after") == "1");
  CHECK(full->header("content-type") == "application/problem+json");
  // It had come whole: the connection goes on.
  CHECK(status_of(small.ask(post("/body", std::string(5'000, ' ')))) == 200);
  HttpClient large = server.connect();
  REQUIRE(large.send(kUpload + std::string(60'000, ' ')));
  CHECK(status_of(large.receive()) == 429);
  HttpClient chunked = server.connect();
  std::string text = kChunkedHead;
  for (int i = 0; i < 20; ++i) text += chunk(std::string(1'000, ' '));
  REQUIRE(chunked.send(text));
  CHECK(status_of(chunked.receive()) == 429);
  HttpClient gzipped = server.connect();
  CHECK(status_of(gzipped.ask(post("/body", gzip(std::string(50'000, ' ')), kGzipFields))) == 429);
  CHECK(rejected(server, "all_bodies") == 4);
  // What is let go can be used again.
  REQUIRE(wait_until([&] { return held() == 90'000; }));
  waiting.clear();
  REQUIRE(wait_until([&] { return held() == 0; }));
  CHECK(status_of(small.ask(post("/body", std::string(15'000, ' ')))) == 200);
  CHECK(wait_until([&] { return held() == 0; }));
}

TEST_CASE("a body that comes too slowly gets 408", "[http]") {
  App app;
  http::HttpOptions options;
  options.header_timeout = 200 * kMillisecond;
  options.body_rate_min = 10'000;
  TestServer server(app.router, options);
  HttpClient stalled = server.connect();
  REQUIRE(stalled.send(kUpload + std::string(10, ' ')));
  CHECK(status_of(stalled.receive()) == 408);
  HttpClient chunked = server.connect();
  REQUIRE(chunked.send(kChunkedHead + "5\r\nab"));
  CHECK(status_of(chunked.receive()) == 408);
  CHECK(rejected(server, "body_timeout") == 2);
}

TEST_CASE("a body that is slow but fast enough is taken", "[http]") {
  App app;
  http::HttpOptions options;
  options.header_timeout = 100 * kMillisecond;
  options.body_rate_min = 1'000;
  TestServer server(app.router, options);
  HttpClient client = server.connect();
  REQUIRE(client.send(post("/body", "").substr(0, 0) +
                      "POST /body HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                      "Content-Length: 4000\r\n\r\n"));
  for (int i = 0; i < 40; ++i) {  // 5 kB/s, much longer than header_timeout.
    REQUIRE(client.send(std::string(100, ' ')));
    std::this_thread::sleep_for(milliseconds(20));
  }
  CHECK(status_of(client.receive()) == 200);
}

TEST_CASE("an idle connection is closed after keep_alive_timeout", "[http]") {
  App app;
  http::HttpOptions options;
  options.keep_alive_timeout = 150 * kMillisecond;
  TestServer server(app.router, options);
  HttpClient client = server.connect();
  REQUIRE(status_of(client.ask(get("/ok"))) == 200);
  CHECK(client.wait_closed());
  CHECK(client.received().empty());
}

TEST_CASE("a thousand silent connections do not keep others out", "[http]") {
  App app;
  http::HttpOptions options;
  options.header_timeout = 1 * kSecond;
  options.connections_max = 1'100;
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 8'192);
  setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < 2'500) {
    WARN("skipped: the limit of open files is too low for a thousand sockets");
    return;
  }
  TestServer server(app.router, options);
  std::vector<HttpClient> slow;
  for (int i = 0; i < 1'000; ++i) {
    slow.push_back(server.connect());
    slow.back().send("GET /ok HTTP/1.1\r\nHost: loc");
  }
  HttpClient client = server.connect();
  for (int i = 0; i < 100; ++i) REQUIRE(status_of(client.ask(get("/ok"))) == 200);
  for (HttpClient& one : slow) CHECK(status_of(one.receive()) == 408);
  slow.clear();
  CHECK(wait_until([&] { return server.server->connections() <= 1; }));
}

TEST_CASE("connections over the limit are told so", "[http]") {
  App app;
  http::HttpOptions options;
  options.connections_max = 4;
  TestServer server(app.router, options);
  std::vector<HttpClient> clients;
  for (int i = 0; i < 4; ++i) {
    clients.push_back(server.connect());
    REQUIRE(status_of(clients.back().ask(get("/ok"))) == 200);
  }
  HttpClient fifth = server.connect();
  const auto refused = fifth.ask(get("/ok"));
  REQUIRE(status_of(refused) == 503);
  CHECK(refused->header("retry-after") == "1");
  fifth.close();
  clients.pop_back();
  REQUIRE(wait_until([&] { return server.server->connections() == 3; }));
  HttpClient next = server.connect();
  CHECK(status_of(next.ask(get("/ok"))) == 200);
}

TEST_CASE("live readers over the limit are told so, and make room when they go", "[http]") {
  App app;
  http::HttpOptions options;
  options.live_connections_max = 2;
  TestServer server(app.router, options);
  HttpClient first = server.connect();
  HttpClient second = server.connect();
  REQUIRE(first.send(get("/live")));
  REQUIRE(second.send(get("/live")));
  REQUIRE_FALSE(first.read_until("data: x\n\n").empty());
  REQUIRE_FALSE(second.read_until("data: x\n\n").empty());
  HttpClient third = server.connect();
  CHECK(status_of(third.ask(get("/live"))) == 503);
  first.close();
  REQUIRE(wait_until([&] { return app.seen.live_ended == 1; }));
  CHECK(wait_until([&] {
    HttpClient again = server.connect();
    again.send(get("/live"));
    return !again.read_until("data: x\n\n").empty();
  }));
  REQUIRE(wait_until([&] { return app.seen.live_ended == 2; }));
  HttpClient head = server.connect();
  REQUIRE(head.send("HEAD /live HTTP/1.1\r\nHost: localhost\r\n\r\n"));
  CHECK(head.wait_closed());
  CHECK(head.received().find("text/event-stream") != std::string::npos);
  CHECK(head.received().find("data:") == std::string::npos);
}

TEST_CASE("drain finishes what is being answered and closes the rest", "[http]") {
  App app;
  TestServer server(app.router);
  HttpClient idle = server.connect();
  REQUIRE(status_of(idle.ask(get("/ok"))) == 200);
  HttpClient live = server.connect();
  REQUIRE(live.send(get("/live")));
  REQUIRE_FALSE(live.read_until("data: x\n\n").empty());
  HttpClient busy = server.connect();
  REQUIRE(busy.send(get("/wait")));
  REQUIRE(wait_until([&] { return app.seen.waiting == 1; }));
  std::thread stopping([&] { server.stop(); });
  CHECK(idle.wait_closed());
  CHECK(live.wait_closed());
  CHECK_THROWS(server.connect());
  app.seen.release = true;
  const auto response = busy.receive();
  REQUIRE(status_of(response) == 200);
  CHECK(response->header("connection") == "close");
  stopping.join();
  CHECK(server.server->connections() == 0);
}

TEST_CASE("drain does not wait for ever", "[http]") {
  App app;
  TestServer server(app.router);
  HttpClient half = server.connect();
  REQUIRE(half.send("GET /ok HT"));
  REQUIRE(wait_until([&] { return server.server->connections() == 1; }));
  const auto started = std::chrono::steady_clock::now();
  server.stop(100 * kMillisecond);
  CHECK(std::chrono::steady_clock::now() - started < milliseconds(3'000));
}

TEST_CASE("an address that cannot be had is named, with the way out", "[http]") {
  App app;
  TestServer server(app.router);
  const auto try_listen = [&](const std::string& listen, bool insecure = false,
                              const std::string& token = "") {
    http::HttpOptions options;
    options.listen = SourceText(listen);
    options.insecure = insecure;
    options.token = token;
    asio::io_context io;
    telemetry::Registry registry;
    SystemClock clock;
    http::Server other(
        io.get_executor(), options, app.router, registry, clock,
        [&] { return http::Home{io.get_executor(), 0}; }, nullptr);
    const auto endpoint = other.listen();
    return endpoint ? "listening on " + endpoint->url() : endpoint.error().message;
  };
  const std::string taken = try_listen("127.0.0.1:" + std::to_string(server.port));
  CHECK(taken.find("127.0.0.1:" + std::to_string(server.port)) != std::string::npos);
  CHECK(taken.find("port 0 picks a free one") != std::string::npos);
  CHECK(try_listen("nonsense").find("is not ADDRESS:PORT") != std::string::npos);
  CHECK(try_listen("127.0.0.1").find("is not ADDRESS:PORT") != std::string::npos);
  CHECK(try_listen("127.0.0.1:99999").find("is not ADDRESS:PORT") != std::string::npos);
  CHECK(try_listen("0.0.0.0:0").find("can be reached from other machines") != std::string::npos);
  CHECK(try_listen("0.0.0.0:0", true).find("can be reached") != std::string::npos);
  CHECK(try_listen("0.0.0.0:0", true, "t").rfind("listening on http://0.0.0.0:", 0) == 0);
  CHECK(try_listen("localhost:0").rfind("listening on http://localhost:", 0) == 0);
}

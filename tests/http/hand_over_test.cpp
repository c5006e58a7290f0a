// One server after another at the same port: clients must not notice more than a pause.
#include <memory>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include "http/late_answer.h"
#include "http/listener.h"
#include "support.h"

namespace {

using namespace streamobs;              // NOLINT
using namespace streamobs::http::test;  // NOLINT

asio::awaitable<void> say(const char* word, http::Exchange& exchange) {
  http::Response response;
  response.body = word;
  exchange.respond(std::move(response));
  co_return;
}

asio::awaitable<void> keep(std::shared_ptr<http::LateAnswer>& kept, std::atomic<bool>& done,
                           http::Exchange& exchange) {
  kept = exchange.answer_later();
  done = true;
  co_return;
}

struct App {
  explicit App(const char* word) {
    http::RouteFlags ingest;
    ingest.ingest = true;
    router.add("GET", "/who", {}, [word](http::Exchange& exchange) { return say(word, exchange); });
    router.add("POST", "/body", ingest,
               [word](http::Exchange& exchange) { return say(word, exchange); });
    router.add("GET", "/wait", {},
               [this](http::Exchange& exchange) { return wait_for_release(seen, exchange); });
    router.add("POST", "/later", {},
               [this](http::Exchange& exchange) { return keep(kept, taken, exchange); });
  }
  Handling seen;
  std::shared_ptr<http::LateAnswer> kept;
  std::atomic<bool> taken{false};
  http::Router router;
};

std::unique_ptr<http::Listener> open_listener() {
  http::HttpOptions options;
  options.listen = SourceText("127.0.0.1:0");
  auto listener = http::Listener::open(options);
  REQUIRE(listener.has_value());
  return std::move(*listener);
}

const std::string kWho = "GET /who HTTP/1.1\r\nHost: localhost\r\n\r\n";

std::string body_of(const std::optional<HttpResponse>& response) {
  return response ? response->body : "none";
}

}  // namespace

TEST_CASE("connections go from one server to the next between two requests", "[http]") {
  const auto listener = open_listener();
  App first("first");
  App second("second");
  auto server = std::make_unique<TestServer>(first.router, http::HttpOptions(), listener.get());
  HttpClient idle = server->connect();
  CHECK(body_of(idle.ask(kWho)) == "first");
  HttpClient silent = server->connect();
  HttpClient begun = server->connect();
  REQUIRE(begun.send(kWho.substr(0, 20)));
  HttpClient busy = server->connect();
  REQUIRE(busy.send("GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n" + kWho));
  HttpClient last = server->connect();
  REQUIRE(last.send("GET /who HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
  CHECK(body_of(last.receive()) == "first");
  REQUIRE(
      wait_until([&] { return first.seen.waiting == 1 && server->server->connections() == 4; }));
  std::thread letting_go([&] {
    // Nobody is taken any more, but the system has the client wait.
    wait_until([&] { return server->server->connections() == 1; });
    first.seen.release = true;
  });
  server->hand_over();
  letting_go.join();
  CHECK(server->server->connections() == 0);
  HttpClient early = server->connect();
  REQUIRE(early.send(kWho));
  server->stop();
  server.reset();

  TestServer next(second.router, http::HttpOptions(), listener.get());
  CHECK(next.port == listener->port());
  CHECK(body_of(busy.receive()) == "done");
  CHECK(body_of(busy.receive()) == "second");  // It was there already, unread.
  CHECK(body_of(early.receive()) == "second");
  CHECK(body_of(idle.ask(kWho)) == "second");
  CHECK(body_of(silent.ask(kWho)) == "second");
  CHECK(body_of(begun.ask(kWho.substr(20))) == "second");
  CHECK(last.wait_closed());
}

TEST_CASE("who holds up a hand-over is cut off at its deadline", "[http]") {
  const auto listener = open_listener();
  App first("first");
  TestServer server(first.router, http::HttpOptions(), listener.get());
  HttpClient slow = server.connect();
  REQUIRE(
      slow.send("POST /body HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                "Content-Length: 1000\r\n\r\n{"));
  REQUIRE(wait_until([&] { return server.server->connections() == 1; }));
  server.hand_over(50 * kMillisecond);
  CHECK(server.server->connections() == 1);
  server.stop(50 * kMillisecond);
  CHECK(slow.wait_closed());
  CHECK(listener->take_parked().empty());
}

TEST_CASE("without a next server clients are refused, and those parked see the end", "[http]") {
  auto listener = open_listener();
  App first("first");
  TestServer server(first.router, http::HttpOptions(), listener.get());
  HttpClient idle = server.connect();
  CHECK(body_of(idle.ask(kWho)) == "first");
  server.hand_over();
  server.stop();
  listener.reset();
  CHECK_THROWS(server.connect());
  CHECK(idle.wait_closed());
}

TEST_CASE("an answer may come when its server has gone", "[http]") {
  App app("first");
  auto server = std::make_unique<TestServer>(app.router);
  HttpClient client = server->connect();
  REQUIRE(client.send("POST /later HTTP/1.1\r\nHost: localhost\r\n\r\n"));
  REQUIRE(wait_until([&] { return app.taken.load() && server->server->connections() == 0; }));
  server.reset();
  http::Response response;
  response.status = 200;
  response.body = std::string(3 << 20, 'x');
  std::thread sending([&] { app.kept->send(response, 0); });
  const std::optional<HttpResponse> received = client.receive();
  CHECK(status_of(received) == 200);
  CHECK(body_of(received) == response.body);
  CHECK(received->header("connection") == "close");
  CHECK(client.wait_closed());
  client.close();
  sending.join();
  app.kept->send(response, 0);  // Of no effect.
}

TEST_CASE("a listener knows what is at its place", "[http]") {
  const auto listener = open_listener();
  const auto serves = [&](const std::string& listen) {
    http::HttpOptions options;
    options.listen = SourceText(listen);
    return listener->serves(options);
  };
  const std::string port = std::to_string(listener->port());
  CHECK(serves("127.0.0.1:0"));
  CHECK(serves("127.0.0.1:" + port));
  CHECK(serves("localhost:" + port));
  CHECK_FALSE(serves("127.0.0.1:" + std::to_string(listener->port() ^ 1)));
  CHECK_FALSE(serves("[::1]:" + port));
  CHECK_FALSE(serves("nonsense"));
}

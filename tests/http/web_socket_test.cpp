// A live route over a WebSocket: real sockets, and a client that can be as wrong as it likes.
#include <string>
#include <utility>

#include "support.h"
#include "support/web_socket_client.h"

namespace {

using namespace streamobs;              // NOLINT
using namespace streamobs::http::test;  // NOLINT
using streamobs::test::Frame;
using streamobs::test::kHandshakeAnswer;
using streamobs::test::kHandshakeFields;
using streamobs::test::WebSocketClient;

struct App {
  explicit App(http::HttpOptions options = {}) {
    http::RouteFlags live;
    live.live = true;
    router.add("GET", "/live", live, [this](http::Exchange& exchange) { return talk(exchange); });
    router.add("GET", "/ok", {}, say_ok);
    server.emplace(router, std::move(options));
  }

  static asio::awaitable<void> say_ok(http::Exchange& exchange) {
    exchange.respond(http::Response());
    co_return;
  }

  /// Says `first`, and then nothing until it is told to, or the client has gone.
  asio::awaitable<void> talk(http::Exchange& exchange) {
    if (!exchange.asks_for_web_socket()) {
      std::string type = "text/event-stream";
      co_await exchange.start_stream(std::move(type));
      co_return;
    }
    std::atomic<bool> gone{false};
    std::function<void()> on_end = [&gone] { gone = true; };
    bool open = co_await exchange.start_web_socket(std::move(on_end));
    ++talking;
    std::string text = first;
    if (open) open = co_await exchange.send_message(std::move(text));
    asio::steady_timer timer(exchange.executor());
    while (open && !gone && !close_now) {
      if (flood) {
        std::string more = first;
        open = co_await exchange.send_message(std::move(more));
        continue;
      }
      timer.expires_after(milliseconds(2));
      co_await timer.async_wait(asio::use_awaitable);
    }
    if (close_now) {
      std::string reason = "because";
      co_await exchange.close_web_socket(1008, std::move(reason));
    }
    ++ended;
  }

  WebSocketClient join(const std::string& fields = "", int receive_buffer_bytes = 0) {
    WebSocketClient client(HttpClient(server->port, receive_buffer_bytes));
    const auto answer = client.open("/live", fields);
    CHECK(status_of(answer) == 101);
    return client;
  }
  double rejected(const std::string& reason) const {
    return server->registry.value("streamobs_http_rejected_total", {{"reason", reason}});
  }
  double live() const { return server->registry.value("streamobs_http_live_connections"); }

  std::string first = "hello";
  std::atomic<bool> flood{false};
  std::atomic<bool> close_now{false};
  std::atomic<int> talking{0};
  std::atomic<int> ended{0};
  http::Router router;
  std::optional<TestServer> server;
};

}  // namespace

TEST_CASE("web socket: the handshake, a message, a close from either side", "[http]") {
  App app;
  WebSocketClient client(app.server->connect());
  const auto answer = client.open("/live");
  REQUIRE(status_of(answer) == 101);
  CHECK(answer->header("upgrade") == "websocket");
  CHECK(answer->header("sec-websocket-accept") == kHandshakeAnswer);
  CHECK(answer->header("sec-websocket-extensions").empty());
  Frame frame = client.receive();
  CHECK(frame.opcode == Frame::text);
  CHECK(frame.payload == "hello");
  CHECK(app.live() == 1);
  CHECK(app.server->registry.value("streamobs_http_requests_total",
                                   {{"route", "/live"}, {"status", "101"}}) == 1);
  // The client's close is answered with its own code, and the handler hears of it at once.
  REQUIRE(client.send(Frame::closed, std::string("\x03\xe8", 2) + "bye"));
  frame = client.receive();
  CHECK(frame.code() == 1000);
  CHECK(client.connection().wait_closed());
  CHECK(wait_until([&] { return app.ended == 1 && app.live() == 0; }));

  WebSocketClient other = app.join();
  CHECK(other.receive().payload == "hello");
  app.close_now = true;
  frame = other.receive();
  CHECK(frame.code() == 1008);
  CHECK(frame.reason() == "because");
  other.send(Frame::closed, frame.payload);
  CHECK(other.connection().wait_closed());
  CHECK(wait_until([&] { return app.live() == 0; }));
}

TEST_CASE("web socket: a client that vanishes is noticed without a write", "[http]") {
  App app;
  {
    WebSocketClient client = app.join();
    CHECK(client.receive().payload == "hello");
  }
  CHECK(wait_until([&] { return app.ended == 1 && app.live() == 0; }));
}

TEST_CASE("web socket: pings are answered, what is said to us is thrown away", "[http]") {
  App app;
  WebSocketClient client = app.join();
  CHECK(client.receive().payload == "hello");
  REQUIRE(client.send(Frame::ping, "are you there"));
  Frame frame = client.receive_frame();
  CHECK(frame.opcode == Frame::pong);
  CHECK(frame.payload == "are you there");
  // A message in pieces with a ping between them; binary; the longest that is taken.
  REQUIRE(client.send(Frame::text, "some", false));
  REQUIRE(client.send(Frame::ping, "1"));
  REQUIRE(client.send(Frame::more, "thing", true));
  REQUIRE(client.send(Frame::binary, std::string("\xff\x00", 2)));
  REQUIRE(client.send(Frame::text, std::string(64 << 10, 'x')));
  REQUIRE(client.send(Frame::ping, "2"));
  CHECK(client.receive_frame().payload == "1");
  CHECK(client.receive_frame().payload == "2");
  CHECK(app.ended == 0);
}

TEST_CASE("web socket: what breaks the protocol closes with the code for it", "[http]") {
  struct Case {
    const char* what;
    int code;
    std::function<void(WebSocketClient&)> send;
  };
  const Case cases[] = {
      {"too long a message", 1009,
       [](WebSocketClient& c) { c.send(Frame::text, std::string((64 << 10) + 1, 'x')); }},
      {"too long in pieces", 1009,
       [](WebSocketClient& c) {
         for (int i = 0; i < 65; ++i) {
           c.send(i == 0 ? Frame::text : Frame::more, std::string(1 << 10, 'x'), false);
         }
       }},
      {"a huge length announced", 1009,
       [](WebSocketClient& c) {
         c.connection().send(std::string("\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff mask", 15));
       }},
      {"a frame without mask", 1002,
       [](WebSocketClient& c) { c.send(Frame::text, "x", true, false); }},
      {"an unknown opcode", 1002, [](WebSocketClient& c) { c.send(3, "x"); }},
      {"a piece of nothing", 1002, [](WebSocketClient& c) { c.send(Frame::more, "x"); }},
      {"a ping in pieces", 1002, [](WebSocketClient& c) { c.send(Frame::ping, "x", false); }},
      {"text that is none", 1007, [](WebSocketClient& c) { c.send(Frame::text, "\xc3\x28"); }},
  };
  for (const Case& one : cases) {
    INFO(one.what);
    App app;
    WebSocketClient client = app.join();
    CHECK(client.receive().payload == "hello");
    one.send(client);
    CHECK(client.receive().code() == one.code);
    client.connection().close();
    CHECK(wait_until([&] { return app.ended == 1 && app.live() == 0; }));
    CHECK(app.rejected("web_socket_message") == (one.code == 1009 ? 1 : 0));
  }
}

TEST_CASE("web socket: a peer that is silent is pinged, and cut off when it stays so", "[http]") {
  http::HttpOptions options;
  options.keep_alive_timeout = 1 * kSecond;
  App app(options);
  WebSocketClient silent = app.join();
  WebSocketClient good = app.join();
  CHECK(silent.receive().payload == "hello");
  CHECK(good.receive().payload == "hello");
  CHECK(silent.receive_frame().opcode == Frame::ping);
  // The other one answers three of them meanwhile, and stays.
  for (int i = 0; i < 3; ++i) {
    const Frame ping = good.receive_frame();
    REQUIRE(ping.opcode == Frame::ping);
    good.send(Frame::pong, ping.payload);
  }
  CHECK(silent.connection().wait_closed());
  CHECK(wait_until([&] { return app.live() == 1; }));
  CHECK(app.rejected("web_socket_silent") == 1);
  good.send(Frame::ping, "here");
  CHECK(wait_until([&] { return good.receive_frame().payload == "here"; }));
}

TEST_CASE("web socket: a message larger than what the system holds arrives whole", "[http]") {
  App app;
  for (int i = 0; i < 300'000; ++i) app.first += std::to_string(i);
  WebSocketClient client = app.join("", 4'096);
  const Frame message = client.receive();
  CHECK(message.opcode == Frame::text);
  CHECK(message.payload == app.first);
}

TEST_CASE("web socket: one who reads nothing is cut off", "[http]") {
  App app;
  app.first = std::string(100'000, 'x');
  app.flood = true;
  WebSocketClient client = app.join("", 4'096);
  CHECK(wait_until([&] { return app.ended == 1; }, milliseconds(20'000)));
  CHECK(app.rejected("slow_reader") == 1);
  CHECK(wait_until([&] { return app.live() == 0; }));
}

TEST_CASE("web socket: the end of the server is said", "[http]") {
  App app;
  WebSocketClient client = app.join();
  CHECK(client.receive().payload == "hello");
  std::thread stopping([&] { app.server->stop(); });
  const Frame frame = client.receive();
  CHECK(frame.code() == 1001);
  CHECK(frame.reason() == "the engine is stopping");
  client.send(Frame::closed, frame.payload);
  CHECK(client.connection().wait_closed());
  stopping.join();
  CHECK(app.ended == 1);

  // One that does not answer does not hold it up for long.
  App again;
  WebSocketClient rude = again.join();
  CHECK(rude.receive().payload == "hello");
  const auto started = std::chrono::steady_clock::now();
  again.server->stop();
  CHECK(std::chrono::steady_clock::now() - started < milliseconds(4'500));
  CHECK(rude.receive().code() == 1001);
}

TEST_CASE("web socket: refused before the handshake as all else is", "[http]") {
  http::HttpOptions options;
  options.live_connections_max = 1;
  App app(options);
  const auto status = [&](const std::string& fields) {
    WebSocketClient client(app.server->connect());
    return status_of(client.open("/live", fields));
  };
  // Pages of another origin: they could read what their visitor's engine says.
  CHECK(status("Origin: http://evil.example\r\n") == 403);
  CHECK(status("Origin: null\r\n") == 403);
  CHECK(status("Sec-Fetch-Site: cross-site\r\n") == 403);
  CHECK(app.rejected("origin") == 3);
  {
    WebSocketClient ours = app.join("Origin: http://localhost\r\nSec-Fetch-Site: same-origin\r\n");
    CHECK(ours.receive().payload == "hello");
    CHECK(status("") == 503);
    // The limit is one for both kinds.
    HttpClient events = app.server->connect();
    CHECK(status_of(events.ask(get("/live"))) == 503);
  }
  REQUIRE(wait_until([&] { return app.live() == 0; }));
  HttpClient wrong = app.server->connect();
  const auto old = wrong.ask(get("/live",
                                 "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                                 "Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: x\r\n"));
  REQUIRE(status_of(old) == 426);
  CHECK(old->header("sec-websocket-version") == "13");
  CHECK(app.rejected("web_socket_handshake") == 1);
  HttpClient eager = app.server->connect();
  CHECK(status_of(eager.ask(get("/live", kHandshakeFields) + "\x81\x80....")) == 400);
  CHECK(app.live() == 0);
  // Elsewhere an Upgrade is passed over, as HTTP has it.
  HttpClient plain = app.server->connect();
  CHECK(status_of(plain.ask(get("/ok", kHandshakeFields))) == 200);
}

TEST_CASE("web socket: the token is asked for", "[http]") {
  http::HttpOptions options;
  options.token = "secret";
  App app(options);
  WebSocketClient without(app.server->connect());
  CHECK(status_of(without.open("/live")) == 401);
  WebSocketClient with = app.join("Authorization: Bearer secret\r\n");
  CHECK(with.receive().payload == "hello");
}

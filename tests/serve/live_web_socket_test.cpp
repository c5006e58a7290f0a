// Live events over a WebSocket: the same messages, the same places in the ring, another envelope.
#include <map>
#include <string>
#include <thread>
#include <vector>

#include <simdjson.h>

#include "live_support.h"
#include "support/web_socket_client.h"

namespace {

using namespace streamobs;               // NOLINT
using namespace streamobs::serve::test;  // NOLINT
using streamobs::test::Frame;
using streamobs::test::WebSocketClient;

/// A message as both kinds of reader see it.
struct Told {
  std::string id;
  std::string event;
  std::string data;
  bool operator==(const Told&) const = default;
};

Told of_event(const std::string& text) {
  const auto member = [&](const std::string& name) {
    const std::size_t at = text.find(name + ": ") + name.size() + 2;
    return text.substr(at, text.find('\n', at) - at);
  };
  return {member("id"), member("event"), member("data")};
}

Told of_frame(const Frame& frame) {
  simdjson::dom::parser parser;
  const simdjson::dom::element message = parser.parse(frame.payload);
  return {std::string(std::string_view(message["id"])),
          std::string(std::string_view(message["event"])), simdjson::minify(message["data"])};
}

WebSocketClient join(App& app, const std::string& query = "", const std::string& fields = "",
                     int receive_buffer_bytes = 0) {
  WebSocketClient client(HttpClient(app.server->port, receive_buffer_bytes));
  const std::size_t before = app.hub.readers();
  const auto answer = client.open("/api/v1/live" + query, fields);
  REQUIRE(answer.has_value());
  CHECK(answer->status == 101);
  CHECK(wait_until([&] { return app.hub.readers() == before + 1; }));
  return client;
}

/// A window message as a WebSocket has it.
std::string payload_of(const std::string& name, std::int64_t n) {
  const std::string event = data_of(name, n);
  const std::size_t at = event.find("{");
  return "\"event\":\"window\",\"data\":" + event.substr(at, event.size() - at - 2) + "}";
}

bool tells(const Frame& frame, const std::string& name, std::int64_t n) {
  const std::string payload = payload_of(name, n);
  return frame.opcode == Frame::text && frame.payload.ends_with(payload);
}

}  // namespace

TEST_CASE("live web socket: both kinds of reader are told the same", "[serve]") {
  App app;
  HttpClient events = app.join();
  WebSocketClient frames = join(app);
  for (int i = 0; i < 50; ++i) app.hub.process(window(i % 2 == 0 ? kA : kB, i, 3, "\"\\\n\x01ü"));
  Anomaly anomaly;
  anomaly.id = "x";
  app.hub.process(std::make_shared<const Anomaly>(anomaly));
  Incident incident;
  incident.id = "y";
  app.hub.process(std::make_shared<const Incident>(incident));
  serve::Pulse pulse;
  pulse.events_total = 42;
  app.hub.publish(pulse);
  for (int i = 0; i < 53; ++i) {
    const Told told = of_event(events.read_until("\n\n"));
    CHECK(told == of_frame(frames.receive()));
    if (i == 50) CHECK(told.event == "anomaly");
    if (i == 51) CHECK(told.event == "incident");
    if (i == 52) CHECK(told.event == "pipeline");
  }
}

TEST_CASE("live web socket: only some windows, and what comes after an id", "[serve]") {
  App app;
  std::string id;
  {
    WebSocketClient client = join(app, "?windows=b");
    app.hub.process(window(kA, 1));
    app.hub.process(window(kB, 2));
    const Frame frame = client.receive();
    CHECK(tells(frame, "b", 2));
    id = of_frame(frame).id;
  }
  // Its going is noticed without a message.
  REQUIRE(wait_until([&] { return app.hub.readers() == 0; }));
  app.hub.process(window(kB, 3));
  app.hub.process(window(kA, 4));
  app.hub.process(window(kB, 5));
  {
    WebSocketClient back = join(app, "?windows=b&last_event_id=" + id);
    CHECK(tells(back.receive(), "b", 3));
    CHECK(tells(back.receive(), "b", 5));
    app.hub.process(window(kB, 6));
    CHECK(tells(back.receive(), "b", 6));
  }
  REQUIRE(wait_until([&] { return app.hub.readers() == 0; }));
  // A program can send the header, and it counts for more.
  WebSocketClient program = join(app, "?last_event_id=1", "Last-Event-ID: " + id + "\r\n");
  CHECK(tells(program.receive(), "b", 3));
  CHECK(tells(program.receive(), "a", 4));
  WebSocketClient wrong(app.server->connect());
  CHECK(wrong.open("/api/v1/live?windows=c")->status == 400);
}

TEST_CASE("live web socket: without loss or repeat over any number of comings back", "[serve]") {
  App app;
  constexpr int kMessages = 600;
  std::thread writer([&] {
    for (int i = 0; i < kMessages; ++i) {
      app.hub.process(window(kA, i));
      if (i % 7 == 0) std::this_thread::sleep_for(std::chrono::microseconds(300));
    }
  });
  int next = 0;
  std::string id = "1";
  for (int life = 0; next < kMessages; ++life) {
    WebSocketClient client(app.server->connect());
    if (!client.open("/api/v1/live?last_event_id=" + id)) break;
    // It goes away at another place each time, with messages under way.
    for (int i = 0; i <= life * 7 % 41 && next < kMessages; ++i) {
      const Frame frame = client.receive();
      if (!tells(frame, "a", next)) {
        writer.join();
        FAIL("message " << next << " is " << frame.payload);
      }
      id = of_frame(frame).id;
      ++next;
    }
  }
  writer.join();
  CHECK(next == kMessages);
}

TEST_CASE("live web socket: one that stalls is told why it is cut off", "[serve]") {
  App app;
  WebSocketClient stalled = join(app, "", "", 4'096);
  WebSocketClient good = join(app);
  for (int i = 0; i < 3'000; ++i) {
    app.hub.process(window(kA, i, 20));
    REQUIRE(good.receive().opcode == Frame::text);
  }
  int seen = 0;
  Frame frame = stalled.receive();
  for (; frame.opcode == Frame::text; frame = stalled.receive()) ++seen;
  CHECK(frame.code() == 1008);
  CHECK(frame.reason().find("too slow") == 0);
  CHECK(seen < 3'000);
  CHECK(app.registry.value("streamobs_live_cut_off_total") == 1);
  CHECK(wait_until([&] { return app.hub.readers() == 1; }));
}

TEST_CASE("live web socket: a hundred readers see the same, in order", "[serve]") {
  App app;
  constexpr int kReaders = 100;
  constexpr int kMessages = 50;
  std::vector<WebSocketClient> readers;
  for (int i = 0; i < kReaders; ++i) {
    readers.emplace_back(app.server->connect());
    REQUIRE(readers.back().open("/api/v1/live")->status == 101);
  }
  REQUIRE(wait_until([&] { return app.hub.readers() == kReaders; }));
  for (int i = 0; i < kMessages; ++i) app.hub.process(window(kA, i));
  int right = 0;
  std::map<std::string, int> ids;
  for (WebSocketClient& reader : readers) {
    for (int i = 0; i < kMessages; ++i) {
      const Frame frame = reader.receive();
      if (tells(frame, "a", i)) ++right;
      ++ids[of_frame(frame).id];
    }
  }
  CHECK(right == kReaders * kMessages);
  CHECK(ids.size() == kMessages);
  CHECK(app.server->registry.value("streamobs_http_live_connections") == kReaders);
  app.hub.close();
  for (WebSocketClient& reader : readers) CHECK(reader.receive().code() == 1001);
}

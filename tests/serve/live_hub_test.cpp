#include "serve/live_hub.h"

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "live_support.h"

namespace {

using namespace streamobs;               // NOLINT
using namespace streamobs::serve::test;  // NOLINT

}  // namespace

TEST_CASE("records reach every reader, in order, each with an id", "[serve]") {
  App app;
  HttpClient first = app.join();
  HttpClient second = app.join();
  std::uint64_t last = 0;
  for (int i = 0; i < 200; ++i) {
    app.hub.process(window(kA, i));
    const std::string message = first.read_until("\n\n");
    CHECK(message.substr(message.find("event:")) == data_of("a", i));
    const std::uint64_t id = std::stoull(App::id_of(message));
    CHECK(id > last);
    last = id;
    CHECK(second.read_until("\n\n") == message);
  }
  Anomaly anomaly;
  anomaly.id = "x";
  app.hub.process(std::make_shared<const Anomaly>(anomaly));
  // What tells nobody anything is no message: dead letters, the store's lines across the flow.
  app.hub.process(std::make_shared<const DeadLetters>());
  app.hub.process(std::make_shared<const Cut>());
  Incident incident;
  incident.id = "y";
  app.hub.process(std::make_shared<const Incident>(incident));
  CHECK(first.read_until("\n\n").find("event: anomaly\ndata: {\"id\":\"x\",") != std::string::npos);
  CHECK(first.read_until("\n\n").find("event: incident\ndata: {\"id\":\"y\",") !=
        std::string::npos);
  CHECK(app.registry.value("streamobs_live_messages_total") == 202);
}

TEST_CASE("a reader may ask for some windows only", "[serve]") {
  App app;
  HttpClient client = app.join("?windows=b");
  app.hub.process(window(kA, 1));
  app.hub.process(window(kB, 2));
  app.hub.process(std::make_shared<const Incident>());
  const std::string message = client.read_until("\n\n");
  CHECK(message.substr(message.find("event:")) == data_of("b", 2));
  CHECK(client.read_until("\n\n").find("event: incident") != std::string::npos);
  HttpClient wrong = app.server->connect();
  CHECK(wrong.ask(get("/api/v1/live?windows=b,c"))->status == 400);
  CHECK(wrong.ask(get("/api/v1/live?window=b"))->status == 400);
}

TEST_CASE("a reader may ask for some kinds only", "[serve]") {
  App app;
  HttpClient client = app.join("?events=incident,window&windows=a");
  app.hub.publish(serve::Pulse());
  app.hub.process(window(kB, 1));
  app.hub.process(std::make_shared<const Anomaly>());
  app.hub.process(std::make_shared<const Incident>());
  app.hub.process(window(kA, 2));
  CHECK(client.read_until("\n\n").find("event: incident") != std::string::npos);
  CHECK(client.read_until("\n\n").find(data_of("a", 2)) != std::string::npos);
  HttpClient wrong = app.server->connect();
  const auto answer = wrong.ask(get("/api/v1/live?events=windows"));
  CHECK(answer->status == 400);
  CHECK(answer->body.find("there are window, anomaly, incident, pipeline and stream") !=
        std::string::npos);
}

TEST_CASE("a reader that comes back gets what it missed", "[serve]") {
  App app;
  std::string id;
  {
    HttpClient client = app.join();
    app.hub.process(window(kA, 1));
    id = App::id_of(client.read_until("\n\n"));
  }
  app.hub.process(window(kA, 2));
  app.hub.process(window(kA, 3));
  REQUIRE(wait_until([&] {
    app.hub.publish(
        serve::Pulse());  // A write finds out who has gone; old pulses are not told again.
    return app.hub.readers() == 0;
  }));
  {
    HttpClient client = app.join("", "Last-Event-ID: " + id + "\r\n");
    for (const int n : {2, 3}) {
      const std::string message = client.read_until("\n\n");
      CHECK(message.substr(message.find("event:")) == data_of("a", n));
    }
    app.hub.process(window(kA, 4));
    CHECK(client.read_until("\n\n").find(data_of("a", 4)) != std::string::npos);
  }
  // An id of another life, or none that we can read.
  HttpClient other_life = app.join("", "Last-Event-ID: 99999999999999\r\n");
  CHECK(other_life.read_until("\n\n").find(data_of("a", 1)) != std::string::npos);
  HttpClient older_life = app.join("", "Last-Event-ID: 3\r\n");
  CHECK(older_life.read_until("\n\n").find(data_of("a", 1)) != std::string::npos);
  // In the address, for who cannot send headers; a reader that comes back by itself sends the
  // header, and its address is still the one that it began with.
  HttpClient by_address = app.join("?last_event_id=" + id);
  CHECK(by_address.read_until("\n\n").find(data_of("a", 2)) != std::string::npos);
  HttpClient by_both = app.join("?last_event_id=3", "Last-Event-ID: " + id + "\r\n");
  CHECK(by_both.read_until("\n\n").find(data_of("a", 2)) != std::string::npos);
  HttpClient nonsense = app.join("", "Last-Event-ID: abc\r\n");
  app.hub.process(window(kA, 5));
  CHECK(nonsense.read_until("\n\n").find(data_of("a", 5)) != std::string::npos);
}

TEST_CASE("the hub that follows another has what that one told", "[serve]") {
  App first;
  std::string id;
  {
    HttpClient client = first.join();
    for (int i = 0; i < 3; ++i) first.hub.process(window(kA, i));
    id = App::id_of(client.read_until("\n\n"));
    for (int i = 1; i < 3; ++i) REQUIRE(client.read_until("\n\n").find(data_of("a", i)) != id.npos);
    // What it has not been sent yet is sent before it is let go.
    for (int i = 3; i < 200; ++i) first.hub.process(window(kA, i));
    first.hub.close();
    for (int i = 3; i < 200; ++i)
      REQUIRE(client.read_until("\n\n").find(data_of("a", i)) != id.npos);
    CHECK(client.read_until("\n\n").empty());
  }
  App second(nullptr, first.hub.history().get());
  HttpClient client = second.join("", "Last-Event-ID: " + id + "\r\n");
  std::uint64_t last = std::stoull(id);
  for (int i = 1; i < 201; ++i) {
    if (i == 200) second.hub.process(window(kA, i));
    const std::string message = client.read_until("\n\n");
    REQUIRE(message.find(data_of("a", i)) != id.npos);
    REQUIRE(std::stoull(App::id_of(message)) == ++last);
  }
}

TEST_CASE("as many messages are kept as promised, and no more", "[serve]") {
  App app;
  for (int i = 0; i < 3'000; ++i) {
    app.hub.process(window(kA, i));
    app.hub.publish(serve::Pulse());
  }
  CHECK(app.hub.kept() <= 2 * serve::LiveHub::kMessagesMax);
  HttpClient client = app.join("", "Last-Event-ID: 1\r\n");
  CHECK(client.read_until("\n\n").find(data_of("a", 2'000)) != std::string::npos);
  for (int i = 2'001; i < 3'000; ++i) {
    REQUIRE(client.read_until("\n\n").find(data_of("a", i)) != std::string::npos);
  }
  // And no more bytes.
  for (int i = 0; i < 100; ++i) app.hub.process(window(kA, i, 1'024, std::string(1'000, 'x')));
  CHECK(app.hub.kept() <= serve::LiveHub::kBytesMax / 1'024 / 1'000);
}

TEST_CASE("a reader that stalls is cut off, and the others are not held up", "[serve]") {
  App app;
  HttpClient stalled = app.join("", "", 4'096);
  HttpClient good = app.join();
  int seen = 0;
  for (int i = 0; i < 3'000; ++i) {
    app.hub.process(window(kA, i, 20));
    if (!good.read_until("\n\n").empty()) ++seen;
  }
  CHECK(seen == 3'000);
  // It wakes up again, finds what the system still held for it, and then the end.
  CHECK(stalled.wait_closed());
  CHECK(app.registry.value("streamobs_live_cut_off_total") == 1);
  CHECK(wait_until([&] { return app.hub.readers() == 1; }));
  CHECK(stalled.received().size() < 3'000'000);
}

TEST_CASE("the pulse comes every second", "[serve]") {
  App app([] {
    serve::Pulse pulse;
    pulse.events_total = 42;
    pulse.watermark_lag_seconds = 1.5;
    return pulse;
  });
  app.server->tasks.spawn(asio::make_strand(app.server->io), "pulse", app.hub.run());
  HttpClient client = app.join();
  for (int i = 0; i < 2; ++i) {
    const std::string message = client.read_until("\n\n");
    CHECK(message.find("event: pipeline\ndata: {\"events_per_second\":0,\"events_total\":42,"
                       "\"rejected_total\":0,\"late_total\":0,\"watermark_lag_seconds\":1.5,"
                       "\"windows_open\":0}\n\n") != std::string::npos);
  }
  app.hub.close();
  CHECK(client.wait_closed());
}

TEST_CASE("many threads may publish while readers come and go", "[serve]") {
  App app;
  std::atomic<bool> stop{false};
  std::vector<std::thread> writers;
  for (int t = 0; t < 2; ++t) {
    writers.emplace_back([&] {
      for (int i = 0; !stop; ++i) {
        app.hub.process(window(i % 2 == 0 ? kA : kB, i));
        std::this_thread::sleep_for(std::chrono::microseconds(50));
      }
    });
  }
  for (int round = 0; round < 20; ++round) {
    HttpClient client = app.server->connect();
    client.send(get("/api/v1/live?windows=a"));
    for (int i = 0; i < 20; ++i) CHECK_FALSE(client.read_until("\n\n").empty());
  }
  stop = true;
  for (std::thread& writer : writers) writer.join();
  app.hub.process(window(kA, 1));
  app.hub.process(window(kA, 2));
  CHECK(wait_until([&] {
    app.hub.publish(serve::Pulse());  // A write finds out who has gone.
    return app.hub.readers() == 0;
  }));
}

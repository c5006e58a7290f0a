#include "serve/live_hub.h"

#include <memory>
#include <string>
#include <vector>

#include "serve/api.h"
#include "support/catch.h"
#include "support/http_fixture.h"

namespace {

using namespace streamobs;  // NOLINT
using std::chrono::milliseconds;
using test::get;
using test::HttpClient;
using test::TestServer;
using test::wait_until;

std::shared_ptr<const WindowSchema> make_schema(const std::string& name) {
  WindowSchema schema;
  schema.window = name;
  schema.keys = {{"service", {Kind::string, 0}}};
  schema.metrics = {{"n", {Kind::integer, 0}}};
  return std::make_shared<const WindowSchema>(std::move(schema));
}

const std::shared_ptr<const WindowSchema> kA = make_schema("a");
const std::shared_ptr<const WindowSchema> kB = make_schema("b");

Record window(const std::shared_ptr<const WindowSchema>& schema, std::int64_t n,
              std::size_t rows = 1, const std::string& key = "checkout") {
  WindowBatch batch;
  batch.schema = schema;
  for (std::size_t i = 0; i < rows; ++i) {
    WindowRow row;
    row.end = kMinute;
    row.keys = {Value::of_string(key)};
    row.metrics = {Value::of_int(n)};
    batch.rows.push_back(std::move(row));
  }
  return std::make_shared<const WindowBatch>(std::move(batch));
}

std::string data_of(const std::string& name, std::int64_t n) {
  return "event: window\ndata: {\"window\":\"" + name +
         "\",\"rows\":[{\"window_start\":\"1970-01-01T00:00:00Z\",\"window_end\":"
         "\"1970-01-01T00:01:00Z\",\"closed\":false,\"revision\":0,\"service\":\"checkout\","
         "\"n\":" +
         std::to_string(n) + "}]}\n\n";
}

struct App {
  explicit App(std::function<serve::Pulse()> pulse = nullptr)
      : open_windows(clock), hub(clock, registry, std::move(pulse)) {
    serve::ApiContext context;
    context.clock = &clock;
    context.registry = &registry;
    context.open_windows = &open_windows;
    context.live = &hub;
    for (const auto& schema : {kA, kB}) {
      serve::WindowInfo info;
      info.schema = schema;
      context.windows.push_back(info);
    }
    add_api_routes(router, std::move(context));
    server.emplace(router);
  }
  ~App() {
    hub.close();
    server->stop();
  }
  /// A reader that has been let in.
  HttpClient join(const std::string& query = "", const std::string& fields = "",
                  int receive_buffer_bytes = 0) {
    HttpClient client(server->port, receive_buffer_bytes);
    const std::size_t before = hub.readers();
    REQUIRE(client.send(get("/api/v1/live" + query, fields)));
    const std::string head = client.read_until("\r\n\r\n");
    CHECK(head.find("HTTP/1.1 200 OK\r\n") == 0);
    CHECK(head.find("Content-Type: text/event-stream\r\n") != std::string::npos);
    CHECK(client.read_until("\n\n") == "retry: 2000\n\n");
    CHECK(hub.readers() == before + 1);
    return client;
  }
  static std::string id_of(const std::string& message) {
    const std::size_t at = message.find("id: ");
    return message.substr(at + 4, message.find('\n', at) - at - 4);
  }

  ManualClock clock{5'000'000};
  telemetry::Registry registry;
  serve::OpenWindows open_windows;
  serve::LiveHub hub;
  http::Router router;
  std::optional<TestServer> server;
};

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
  app.hub.process(std::make_shared<const DeadLetters>());
  Incident incident;
  incident.id = "y";
  app.hub.process(std::make_shared<const Incident>(incident));
  CHECK(first.read_until("\n\n").find("event: anomaly\ndata: {\"id\":\"x\",") != std::string::npos);
  CHECK(first.read_until("\n\n").find("event: incident\ndata: {\"id\":\"y\",") !=
        std::string::npos);
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
  HttpClient nonsense = app.join("", "Last-Event-ID: abc\r\n");
  app.hub.process(window(kA, 5));
  CHECK(nonsense.read_until("\n\n").find(data_of("a", 5)) != std::string::npos);
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

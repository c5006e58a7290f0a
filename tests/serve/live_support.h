// What the tests of live events share: a hub behind a server, records to publish, readers.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "serve/api.h"
#include "serve/live_hub.h"
#include "support/catch.h"
#include "support/http_fixture.h"

namespace streamobs::serve::test {

using std::chrono::milliseconds;
using streamobs::test::get;
using streamobs::test::HttpClient;
using streamobs::test::TestServer;
using streamobs::test::wait_until;

inline std::shared_ptr<const WindowSchema> make_schema(const std::string& name) {
  WindowSchema schema;
  schema.window = name;
  schema.keys = {{"service", {Kind::string, 0}}};
  schema.metrics = {{"n", {Kind::integer, 0}}};
  return std::make_shared<const WindowSchema>(std::move(schema));
}

inline const std::shared_ptr<const WindowSchema> kA = make_schema("a");
inline const std::shared_ptr<const WindowSchema> kB = make_schema("b");

inline Record window(const std::shared_ptr<const WindowSchema>& schema, std::int64_t n,
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

inline std::string data_of(const std::string& name, std::int64_t n) {
  return "event: window\ndata: {\"window\":\"" + name +
         "\",\"rows\":[{\"window_start\":\"1970-01-01T00:00:00Z\",\"window_end\":"
         "\"1970-01-01T00:01:00Z\",\"closed\":false,\"revision\":0,\"service\":\"checkout\","
         "\"n\":" +
         std::to_string(n) + "}]}\n\n";
}

struct App {
  explicit App(std::function<serve::Pulse()> pulse = nullptr,
               const serve::LiveHub::History* before = nullptr)
      : open_windows(clock), hub(clock, registry, std::move(pulse), {"requests", "other"}, before) {
    serve::ApiContext context;
    context.clock = &clock;
    context.registry = &registry;
    context.open_windows = &open_windows;
    context.live = &hub;
    for (const char* name : {"requests", "other"}) {
      serve::StreamInfo info;
      info.stream = name;
      context.streams.push_back(info);
    }
    for (const auto& schema : {kA, kB}) {
      serve::WindowInfo info;
      info.schema = schema;
      context.windows.push_back(info);
    }
    add_api_routes(router, std::move(context));
    http::HttpOptions options;
    options.live_connections_max = 128;
    server.emplace(router, options);
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

}  // namespace streamobs::serve::test

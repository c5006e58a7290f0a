// A service with streamobs inside: pushes its own requests, is told of closed windows, asks for
// rows, stops. Prints what it saw; tests/e2e/test_embedding.py holds that against what it sent.
#include <streamobs/engine.h>

#include <atomic>
#include <cstdio>
#include <iostream>
#include <string>

namespace {

constexpr const char* kConfig = R"toml(
[stream.requests]
time = "at"
fields = { service = "string", latency_ms = "float" }

[window.per_minute]
size = "1m"
by = ["service"]
[window.per_minute.select]
requests = "count(*)"
total_ms = "sum(latency_ms)"
)toml";

std::string text(const streamobs::ResultValue& value) {
  if (const auto* s = std::get_if<std::string>(&value)) return *s;
  if (const auto* i = std::get_if<std::int64_t>(&value)) return std::to_string(*i);
  if (const auto* d = std::get_if<double>(&value)) return std::to_string(*d);
  return "null";
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: sidecar DATA_DIR\n";
    return 2;
  }
  try {
    streamobs::Engine broken(streamobs::Config::from_toml("[window.w]\nsize = \"1x\"\n"));
    std::cerr << "a bad config was taken\n";
    return 1;
  } catch (const streamobs::ConfigError& error) {
    std::cout << "config error: " << std::string(error.what()).substr(0, 6) << "\n";
  }

  streamobs::Engine engine(streamobs::Config::from_toml(kConfig).data_dir(argv[1]).without_http());
  std::atomic<int> closed{0};
  engine.on_window([&](const streamobs::WindowResult& row) { closed += row.closed ? 1 : 0; });
  engine.start();

  streamobs::Event event;
  for (int i = 0; i < 600; ++i) {
    event.clear();
    event.set("at", "2026-01-09T12:0" + std::to_string(i / 200) + ":10Z")
        .set("service", i % 2 == 0 ? "checkout" : "search")
        .set("latency_ms", 0.1 * i);
    const streamobs::PushResult pushed = engine.push("requests", event);
    if (pushed.status != streamobs::PushResult::Status::taken || pushed.accepted != 1) {
      std::cerr << "event " << i << " was not taken\n";
      return 1;
    }
  }
  const streamobs::PushResult bad = engine.push("requests", R"([{"at": "never"}, 7])");
  std::cout << "refused: " << bad.rejected << " " << bad.refusals.at(0).reason << " "
            << bad.refusals.at(1).reason << "\n";
  if (engine.push("nothing", "{}").status != streamobs::PushResult::Status::unknown_stream) return 1;

  engine.stop();
  if (engine.push("requests", event).status != streamobs::PushResult::Status::stopped) return 1;
  std::cout << "closed while running: " << closed << "\n";
  for (const streamobs::WindowResult& row : engine.windows("per_minute")) {
    std::cout << text(row.keys[0].second) << " " << text(row.metrics[0].second) << " "
              << text(row.metrics[1].second) << " " << (row.closed ? "closed" : "open") << "\n";
  }
  return 0;
}

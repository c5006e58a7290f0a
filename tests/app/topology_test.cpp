#include "app/topology.h"

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <new>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include <fmt/format.h>

#include "app/engine_run.h"
#include "support/catch.h"

// Every allocation of the process is counted, but for sanitizers, which bring their own.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STREAMOBS_COUNT_ALLOCATIONS 0
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define STREAMOBS_COUNT_ALLOCATIONS 0
#endif
#endif
#ifndef STREAMOBS_COUNT_ALLOCATIONS
#define STREAMOBS_COUNT_ALLOCATIONS 1
#endif

#if STREAMOBS_COUNT_ALLOCATIONS
namespace {
std::atomic<std::uint64_t> allocations{0};
}
// Not inlined: g++ would match the malloc in one with the free in the other and complain.
[[gnu::noinline]] void* operator new(std::size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* p = std::malloc(size == 0 ? 1 : size)) return p;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* p) noexcept {
  std::free(p);
}
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept {
  std::free(p);
}
#endif

namespace {

using namespace streamobs;  // NOLINT
using app::Plan;
using app::Topology;
using app::TopologyOptions;

using testing::EngineRun;
using testing::plan_of;
using testing::TemporaryDirectory;

constexpr const char* kConfig = R"toml(
[http]
listen = "127.0.0.1:0"
[stream.requests]
time = "at"
fields = { service = "string", latency_ms = "float" }
[window.per_minute]
size = "1m"
by = ["service"]
allowed_lateness = "10s"
emit_every = "20ms"
[window.per_minute.select]
requests = "count(*)"
total_ms = "sum(latency_ms)"
p95 = "quantile(latency_ms, 0.95)"
[rule.slow]
on = "per_minute"
when = "p95 > 1000"
)toml";

std::string events(int minutes, int per_minute) {
  std::string text;
  for (int i = 0; i < minutes * per_minute; ++i) {
    const int second = i % per_minute * 60 / per_minute;
    text += fmt::format(
        "{{\"at\":\"2026-01-09T{:02}:{:02}:{:02}Z\",\"service\":\"s{}\",\"latency_ms\":{}}}\n",
        i / per_minute / 60, i / per_minute % 60, second, i % 7, i % 100);
  }
  return text;
}

void write_file(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

}  // namespace

TEST_CASE("events pushed from many threads are all counted, and stopping loses none", "[app]") {
  for (const int lanes : {1, 3}) {
    TemporaryDirectory directory;
    const auto plan = plan_of(fmt::format("lanes = {}\nthreads = {}\n", lanes, lanes) + kConfig,
                              directory.file("data"));
    std::map<std::string, std::int64_t> final_counts;
    const auto count = [&](const Record& record) {
      const auto* window = std::get_if<WindowBatchPtr>(&record);
      if (window == nullptr || (*window)->early) return;
      for (const WindowRow& row : (*window)->rows)
        final_counts[row.keys[0].text] += row.metrics[0].integer;
    };
    auto engine = std::make_unique<EngineRun>(plan, Topology::system_clock(), count);
    Topology& topology = engine->topology();
    std::vector<std::thread> clients;
    std::atomic<std::uint64_t> accepted{0};
    for (int c = 0; c < 4; ++c) {
      clients.emplace_back([&topology, &accepted, c] {
        for (int i = 0; i < 50; ++i) {
          std::string body;
          for (int k = 0; k < 10; ++k) {
            body += fmt::format(
                "{{\"at\":\"2026-01-09T12:00:{:02}Z\",\"service\":\"s{}\",\"latency_ms\":1}}\n",
                i % 60, c);
          }
          accepted += topology.push(0, body).accepted;
        }
      });
    }
    for (std::thread& client : clients) client.join();
    CHECK(engine->stop() == 0);
    CHECK(accepted == 2000);
    CHECK(topology.totals().accepted == 2000);
    CHECK(topology.push(0, "{}").status == source::IngestOutcome::Status::stopping);
    engine.reset();
    CHECK(final_counts.empty());  // The window is open still, and in the checkpoint.
    EngineRun later(plan, Topology::system_clock(), count);
    later->push(0, R"({"at":"2026-01-09T12:02:00Z","service":"later","latency_ms":1})");
    CHECK(later.stop() == 0);
    CHECK(final_counts ==
          std::map<std::string, std::int64_t>{{"s0", 500}, {"s1", 500}, {"s2", 500}, {"s3", 500}});
  }
}

TEST_CASE("a file is replayed to its end by any number of lanes with the same rows", "[app]") {
  TemporaryDirectory directory;
  write_file(directory.file("in.ndjson"), events(30, 700));
  std::vector<std::vector<std::string>> results;
  for (const int lanes : {1, 2, 4}) {
    const auto plan =
        plan_of(fmt::format("lanes = {}\nthreads = {}\n", lanes, lanes) + kConfig,
                directory.file(fmt::format("data{}", lanes)), {directory.file("in.ndjson")});
    TopologyOptions options;
    options.handle_signals = false;
    options.stop_when_input_ends = true;
    options.durable = false;
    Topology topology(plan, options);
    std::vector<std::string> rows;
    topology.add_listener([&](const Record& record) {
      const auto* window = std::get_if<WindowBatchPtr>(&record);
      if (window == nullptr) return;
      for (const WindowRow& row : (*window)->rows) {
        std::string text = fmt::format("{} {} ", row.start, row.closed);
        for (const Value& v : row.keys) text += v.to_string() + " ";
        for (const Value& v : row.metrics) text += v.to_string() + " ";
        rows.push_back(text + row.state);
      }
    });
    const Result<> started = topology.start();
    if (started.has_error()) FAIL(started.error().message);
    CHECK(topology.run() == 0);
    CHECK(rows.size() == 30 * 7);
    CHECK(topology.totals().accepted == 21'000);
    CHECK(topology.totals().windows_closed == 30);
    results.push_back(rows);
  }
  CHECK(results[0] == results[1]);
  CHECK(results[0] == results[2]);
}

TEST_CASE("a data directory that is taken or a port that is busy is an error, not a crash",
          "[app]") {
  TemporaryDirectory directory;
  TopologyOptions options;
  options.handle_signals = false;
  Topology first(plan_of(kConfig, directory.file("data")), options);
  REQUIRE(first.start().has_value());
  Topology second(plan_of(kConfig, directory.file("data")), options);
  const Result<> refused = second.start();
  REQUIRE(refused.has_error());
  CHECK(refused.error().code == ErrorCode::unavailable);
  const std::string address = first.address().substr(std::string("http://").size());
  std::string taken(kConfig);
  taken.replace(taken.find("127.0.0.1:0"), 11, address);
  Topology third(plan_of(taken, directory.file("data3")), options);
  const Result<> busy = third.start();
  REQUIRE(busy.has_error());
  CHECK(busy.error().message.find(address) != std::string::npos);
  first.request_stop();
  CHECK(first.run() == 0);
}

#if STREAMOBS_COUNT_ALLOCATIONS
TEST_CASE("the hot path allocates nothing per event", "[app]") {
  // The same minutes with four times the events: what is allocated more is per event (or per batch
  // of some 10,000 of them, which a little slack allows for).
  TemporaryDirectory directory;
  std::uint64_t counted[2];
  const int per_minute[2] = {20'000, 80'000};
  for (int i = 0; i < 2; ++i) {
    const std::string file = directory.file(fmt::format("in{}.ndjson", i));
    write_file(file, events(5, per_minute[i]));
    const auto plan = plan_of(std::string("lanes = 1\nthreads = 1\n") + kConfig,
                              directory.file(fmt::format("data{}", i)), {file});
    TopologyOptions options;
    options.handle_signals = false;
    options.stop_when_input_ends = true;
    options.durable = false;
    Topology topology(plan, options);
    REQUIRE(topology.start().has_value());
    const std::uint64_t before = allocations.load();
    CHECK(topology.run() == 0);
    counted[i] = allocations.load() - before;
    CHECK(topology.totals().accepted == static_cast<std::uint64_t>(5 * per_minute[i]));
  }
  const double per_event =
      (static_cast<double>(counted[1]) - static_cast<double>(counted[0])) / (5.0 * 60'000);
  INFO("allocations: " << counted[0] << " and " << counted[1] << ", per further event "
                       << per_event);
  CHECK(per_event < 0.01);
}
#endif

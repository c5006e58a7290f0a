// What HTTP costs, against the least that it can cost on this machine, in the same run.
//
// Small: one event of 124 bytes a request, keep-alive, 16 connections, one epoll client for all.
// The limit is an empty Beast server. Large: 1 MiB bodies of such events over two connections. The
// limit is 1 / (drain + in-process): a server that reads the body and throws it away, and the same
// bodies taken by the engine's operators in this process, by direct calls.
//
// "engine" is the real binary as a child process with the service_metrics window, so that the whole
// path is in the figure: HTTP, decode, sequence, log, windows. It runs on one thread, as its peers
// do. The floors are those of the path without the log, which cannot be switched off: they were
// last measured on the tree before it (STREAMOBS=path/to/that/binary does so again). "server alone"
// is our HTTP layer with a port that takes every body at once.
//
// Variants alternate within each round; the ratio is the median over the rounds. Build: Release.
//
//   bench_http [rounds] [small requests a round] [large bodies a round]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <future>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "http/server.h"
#include "source/http_ingest.h"
#include "support/engine_process.h"
#include "support/http_load.h"
#include "support/http_peers.h"
#include "support/in_process_lane.h"
#include "support/measure.h"
#include "support/scratch.h"

namespace {

using namespace streamobs;         // NOLINT: a program of its own.
using namespace streamobs::bench;  // NOLINT

constexpr int kRoundsMax = 27;  // Each has a day of January of its own; the first is the warm-up's.

/// The server by itself: takes every body at once.
class NullPort final : public source::IngestPort {
 public:
  asio::awaitable<source::IngestOutcome> submit(std::size_t, Block) override {
    source::IngestOutcome outcome;
    outcome.accepted = 1;
    co_return outcome;
  }
};

struct Ours {
  Ours(source::IngestPort& port, Running& running) {
    source::StreamRoute route;
    route.stream = "requests";
    add_ingest_routes(router, {route}, port);
    const asio::any_io_executor lane = asio::make_strand(running.io);
    http::HttpOptions options;
    options.listen = SourceText("127.0.0.1:0");
    server = std::make_unique<http::Server>(
        asio::make_strand(running.io), options, router, registry, clock,
        [lane] { return http::Home{lane, 0}; }, nullptr);
    const auto endpoint = server->listen();
    if (!endpoint) {
      std::fprintf(stderr, "%s\n", endpoint.error().message.c_str());
      std::exit(74);
    }
    running.port = endpoint->port;
    tasks.spawn(asio::make_strand(running.io), "serve", server->serve());
  }
  http::Router router;
  telemetry::Registry registry;
  SystemClock clock;
  flow::TaskGroup tasks{nullptr};
  std::unique_ptr<http::Server> server;
};

/// What one variant took in each round, for one request or body.
struct Samples {
  std::vector<double> wall;
  std::vector<double> cpu;
};

template <class Work>
void measure(Samples& samples, clockid_t cpu_clock, std::size_t count, const Work& work) {
  const double wall = seconds(CLOCK_MONOTONIC);
  const double cpu = seconds(cpu_clock);
  work();
  samples.cpu.push_back((seconds(cpu_clock) - cpu) / static_cast<double>(count));
  samples.wall.push_back((seconds(CLOCK_MONOTONIC) - wall) / static_cast<double>(count));
}

/// The median over the rounds of limit / measured; `more` is added to the limit.
double ratio(const std::vector<double>& limit, const std::vector<double>& measured,
             const std::vector<double>& more = {}) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < limit.size(); ++i) {
    ratios.push_back((limit[i] + (more.empty() ? 0 : more[i])) / measured[i]);
  }
  return median(std::move(ratios));
}

std::string small_event(int day) {
  char text[160];
  std::snprintf(text, sizeof text,
                R"({"event_time":"2024-01-%02dT12:30:00.000Z","service":"checkout",)"
                R"("endpoint":"/api/v1/cart/ad","latency_ms":123,"status_code":200})",
                day);
  return text;
}

/// Moves every event to another day, so that each round goes on where event time is.
void set_day(std::vector<std::string>& requests, int day) {
  constexpr std::string_view kMonth = R"("event_time":"2024-01-)";
  for (std::string& request : requests) {
    for (std::size_t at = 0; (at = request.find(kMonth, at)) != std::string::npos;) {
      at += kMonth.size();
      request[at] = static_cast<char>('0' + day / 10);
      request[at + 1] = static_cast<char>('0' + day % 10);
    }
  }
}

void print(const char* name, const Samples& samples) {
  std::printf("  %-24s %9.2f us CPU %9.2f us wall\n", name, median(samples.cpu) * 1e6,
              median(samples.wall) * 1e6);
}

void print_ratio(const char* name, double by_wall, double by_cpu, double floor) {
  std::printf("  %-50s %5.2f by wall, %5.2f by CPU", name, by_wall, by_cpu);
  if (floor > 0) {
    std::printf("  floor %.1f %s", floor, std::min(by_wall, by_cpu) >= floor ? "ok" : "BELOW");
  }
  std::printf("\n");
}

void run_rounds(int rounds, std::size_t small, std::size_t large) {
  const auto beast = start_plain(beast_session);
  const auto drain = start_plain(drain_session);
  NullPort null_port;
  auto running = std::make_unique<Running>();
  Ours ours(null_port, *running);
  running->start();
  const ScratchDirectory scratch("/tmp");
  const EngineProcess engine("threads = 1\nlanes = 1\n" + service_metrics(), scratch.path());

  Bodies bodies = make_bodies(large * 8460, {50, EventShape::fixed, 42});
  std::vector<std::string> requests;
  for (const Block& block : bodies.blocks) requests.push_back(request_of(block.bytes->view()));
  const auto plan = make_plan();
  InProcessLane lane(plan);

  Samples small_beast, small_alone, small_engine;
  Samples large_drain, large_alone, large_inside, large_engine;
  std::size_t small_sent = 0;
  for (int round = 0; round <= rounds; ++round) {
    const int day = round + 1;
    const std::string request = request_of(small_event(day));
    const auto small_round = [&](Samples& samples, std::uint16_t port, clockid_t clock) {
      measure(samples, clock, small, [&] { run_small(port, request, small, 16); });
    };
    small_round(small_beast, beast->port, beast->cpu_clock);
    small_round(small_alone, running->port, running->cpu_clock);
    small_round(small_engine, engine.port(), engine.cpu_clock());
    small_sent += small + 16;
    set_day(requests, day);
    const auto large_round = [&](Samples& samples, std::uint16_t port, clockid_t clock) {
      measure(samples, clock, requests.size(), [&] { run_large(port, requests); });
    };
    large_round(large_drain, drain->port, drain->cpu_clock);
    large_round(large_alone, running->port, running->cpu_clock);
    measure(large_inside, CLOCK_THREAD_CPUTIME_ID, requests.size(), [&] { lane.run(bodies); });
    large_round(large_engine, engine.port(), engine.cpu_clock());
    if (round > 0) continue;  // The warm-up.
    for (Samples* s : {&small_beast, &small_alone, &small_engine, &large_drain, &large_alone,
                       &large_inside, &large_engine}) {
      *s = {};
    }
  }

  std::printf("one event a request, %zu requests a round, %d rounds; for each request\n", small,
              rounds);
  print("empty Beast", small_beast);
  print("server alone", small_alone);
  print("engine", small_engine);
  print_ratio("server alone against empty Beast", ratio(small_beast.wall, small_alone.wall),
              ratio(small_beast.cpu, small_alone.cpu), 0);
  print_ratio("engine against empty Beast", ratio(small_beast.wall, small_engine.wall),
              ratio(small_beast.cpu, small_engine.cpu), 0.5);
  std::printf("1 MiB bodies, %zu a round; for each body of %zu events\n", requests.size(),
              bodies.events / requests.size());
  print("drain", large_drain);
  print("server alone", large_alone);
  print("in process, no HTTP", large_inside);
  print("engine", large_engine);
  print_ratio("server alone against drain", ratio(large_drain.wall, large_alone.wall),
              ratio(large_drain.cpu, large_alone.cpu), 0);
  print_ratio("engine against drain + in process",
              ratio(large_drain.wall, large_engine.wall, large_inside.wall),
              ratio(large_drain.cpu, large_engine.cpu, large_inside.cpu), 0.6);

  const double sent = static_cast<double>(small_sent + bodies.events * (rounds + 1u));
  const double counted = metric(engine.port(), "streamobs_windowed_events_total");
  const double late = metric(engine.port(), "streamobs_late_events_total");
  std::printf("engine: %.0f events sent, %.0f counted into windows, %.0f late\n", sent, counted,
              late);
  if (counted != sent || late != 0) std::exit(1);

  ours.server->stop_accepting();
  std::promise<void> ended;
  asio::co_spawn(running->io, ours.server->drain(kSecond),
                 [&ended](std::exception_ptr) { ended.set_value(); });
  ended.get_future().wait();
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = std::clamp(argc > 1 ? std::atoi(argv[1]) : 7, 1, kRoundsMax);
  const auto small = static_cast<std::size_t>(argc > 2 ? std::atol(argv[2]) : 40'000);
  const auto large = static_cast<std::size_t>(argc > 3 ? std::atol(argv[3]) : 200);
  run_rounds(rounds, small, large);
}

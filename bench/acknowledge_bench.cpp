// What a client waits for: a durable acknowledgement, and the pause that a checkpoint makes.
//
// The engine is the real binary as a child process with its data on the disk under `directory`,
// durability = "sync"; sockets are real, the client is one epoll loop in this process.
//
// Acknowledgement. One thread, one lane; 32 connections; one event of 124 bytes a request, and 100
// events (some 12 KiB). In each round, one after the other: the most that the engine takes over 32
// connections that send as soon as they are answered (a disk has good and bad minutes); half of
// that, evenly spaced, each request's latency counted from when it was due; and the reference: an
// empty Beast server under the same paced load, and pwrite + fdatasync of 64 KiB into space that
// was written before, on the same disk, back to back. Ratio at p50 = engine's p50 / (Beast's p50 +
// the sync's p50), p99 likewise; the median over the rounds counts.
//
// Checkpoint. Two threads, one lane (the harder case: all keys in one), 1,000,000 keys in one
// window of an hour that is never shown while open; once after one event for each key (cold), once
// after 24 (warm: sketches in the arena). One client sends one event after the other as soon as it
// is answered and notes the largest gap between two answers; another reads /metrics all the time
// and notes the largest gap between two changes of `streamobs_windowed_events_total` (too large by
// up to one reading, some 0.3 ms). Largest gaps are taken for each checkpoint (from the end of the
// one before to its own end, by `streamobs_checkpoints_total`); the same engine with checkpoints
// put off gives the largest gaps without, for stretches as long as a checkpoint's.
//
//   bench_acknowledge [rounds] [seconds a round] [keys] [directory]      keys 0: no checkpoints
//
// On a machine that does other things the disk shows it most: compare with the rows "bare sync" and
// "without" before believing a bad figure.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "support/bare_file.h"
#include "support/engine_process.h"
#include "support/events.h"
#include "support/floors.h"
#include "support/http_load.h"
#include "support/http_peers.h"
#include "support/measure.h"
#include "support/paced_load.h"
#include "support/scratch.h"
#include "support/service_metrics.h"

namespace {

using namespace streamobs;         // NOLINT: a program of its own.
using namespace streamobs::bench;  // NOLINT

constexpr std::size_t kConnections = 32;
constexpr std::size_t kSyncs = 400;  ///< Bare ones, a round.

// --- Acknowledgement.

struct Latency {
  double p50 = 0;
  double p99 = 0;
};

Latency latency_of(const std::vector<double>& times) {
  return {percentile(times, 0.5), percentile(times, 0.99)};
}

Latency sync_latency(BareFile& file) {
  static const std::string bytes = encoded_noise(std::size_t{64} << 10);
  std::vector<double> times;
  for (std::size_t i = 0; i < kSyncs; ++i) {
    const double begin = wall_seconds();
    file.write(bytes);
    times.push_back(wall_seconds() - begin);
  }
  return latency_of(times);
}

/// Requests a second that the engine answers at the most.
double full_load(std::uint16_t port, const std::string& request, double for_seconds) {
  std::size_t count = 2000;
  while (true) {
    const double begin = wall_seconds();
    run_small(port, request, count, kConnections);
    const double spent = wall_seconds() - begin;
    if (spent >= for_seconds) return static_cast<double>(count) / spent;
    count *= 2;
  }
}

void print_latency(const char* what, const std::vector<Latency>& rounds) {
  std::vector<double> p50;
  std::vector<double> p99;
  for (const Latency& round : rounds) {
    p50.push_back(round.p50 * 1e3);
    p99.push_back(round.p99 * 1e3);
  }
  std::printf("  %-54s %8.3f ms p50 %8.3f ms p99\n", what, median(p50), median(p99));
}

void measure_acknowledgement(int rounds, double round_seconds, std::size_t events,
                             const std::string& directory) {
  const ScratchDirectory scratch(directory);
  BareFile bare(scratch.path() + "/bare", true);
  const auto beast = start_plain(beast_session);
  const EngineProcess engine("threads = 1\nlanes = 1\nlog = { level = \"error\" }\n" +
                                 service_metrics("size = \"1m\"\nallowed_lateness = \"1m\""),
                             scratch.path());
  const std::string request = request_of(make_events(events, {50, EventShape::fixed, 42}));
  std::vector<double> rates;
  std::vector<double> cpu_us;
  std::vector<Latency> of_beast;
  std::vector<Latency> of_sync;
  std::vector<Latency> of_engine;
  std::vector<Latency> of_engine_at_ease;
  std::vector<double> p50;
  std::vector<double> p99;
  for (int round = 0; round < rounds; ++round) {
    const double rate = full_load(engine.port(), request, round_seconds / 2) / 2;
    const auto count = static_cast<std::size_t>(rate * round_seconds);
    rates.push_back(rate);
    const double cpu = seconds(engine.cpu_clock());
    of_engine.push_back(latency_of(run_paced(engine.port(), request, rate, count, kConnections)));
    cpu_us.push_back((seconds(engine.cpu_clock()) - cpu) / static_cast<double>(count) * 1e6);
    of_engine_at_ease.push_back(
        latency_of(run_paced(engine.port(), request, rate / 4, count / 4, kConnections)));
    of_sync.push_back(sync_latency(bare));
    of_beast.push_back(latency_of(run_paced(beast->port, request, rate, count, kConnections)));
    p50.push_back(of_engine.back().p50 / (of_beast.back().p50 + of_sync.back().p50));
    p99.push_back(of_engine.back().p99 / (of_beast.back().p99 + of_sync.back().p99));
  }
  std::printf(
      "%zu events a request, 32 connections; half load is %.0f requests/s, %.1f us CPU each\n",
      events, median(rates), median(cpu_us));
  print_latency("bare HTTP round trip (empty Beast, same load)", of_beast);
  print_latency("bare sync of 64 KiB", of_sync);
  print_latency("durable acknowledgement", of_engine);
  print_latency("the same at a quarter of that load", of_engine_at_ease);
  at_most("durable acknowledgement against both, p50", p50, 2.5);
  at_most("durable acknowledgement against both, p99", p99, 4);
}

// --- Checkpoint.

/// Fills the window: one event for each key, in bodies of 1 MiB.
std::vector<std::string> one_event_for_each(std::size_t keys) {
  std::string events;
  for (std::size_t i = 0; i < keys; ++i) {
    events += fmt::format(R"({{"event_time":"2024-01-09T12:{:02}:00.000Z","service":"service-{}",)"
                          R"("endpoint":"/api/cart","latency_ms":{},"status_code":200}})"
                          "\n",
                          i % 60, i, 20 + i * 7919 % 4000 / 10.0);
  }
  std::vector<std::string> requests;
  for (const std::string& body : cut_into_bodies(events, std::size_t{1} << 20)) {
    requests.push_back(request_of(body));
  }
  return requests;
}

/// The largest gap between two moments since it was last asked. Two threads.
class Gaps {
 public:
  void moment() {
    const double now = wall_seconds();
    const double gap = now - last_.exchange(now);
    for (double seen = largest_; gap > seen && !largest_.compare_exchange_weak(seen, gap);) {
    }
  }
  double take_largest() { return largest_.exchange(0); }

 private:
  std::atomic<double> last_{wall_seconds()};
  std::atomic<double> largest_{0};
};

struct Pauses {
  std::vector<double> answers_ms;
  std::vector<double> windowed_ms;
};

/// `count` stretches: each until `ended` says so, given what /metrics says and when it began.
template <class Ended>
Pauses watch(const EngineProcess& engine, const std::string& request, int count,
             const Ended& ended) {
  Gaps answers;
  Gaps windowed;
  std::atomic<bool> stop{false};
  std::thread client([&] {
    const int fd = connect_to(engine.port());
    while (!stop) {
      send_all(fd, request);
      read_answer(fd);
      answers.moment();
    }
    ::close(fd);
  });
  MetricsReader reader(engine.port());
  Pauses pauses;
  double events = 0;
  double begin = wall_seconds();
  for (int stretch = -1; stretch < count;) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    const MetricsText metrics = reader.read();
    if (const double now = metrics.sum("streamobs_windowed_events_total"); now != events) {
      windowed.moment();
      events = now;
    }
    if (!ended(metrics, begin)) continue;
    begin = wall_seconds();
    const double of_answers = answers.take_largest();
    const double of_windowed = windowed.take_largest();
    if (stretch++ < 0) continue;  // Whose beginning nobody saw.
    pauses.answers_ms.push_back(of_answers * 1e3);
    pauses.windowed_ms.push_back(of_windowed * 1e3);
  }
  stop = true;
  client.join();
  return pauses;
}

constexpr int kCheckpointEverySeconds = 4;

/// Cold, then warm.
std::vector<Pauses> measure_pauses(int checkpoints, const std::vector<std::string>& requests,
                                   bool with_checkpoints, const std::string& directory) {
  const ScratchDirectory scratch(directory);
  const std::string every =
      with_checkpoints ? fmt::format("{}s", kCheckpointEverySeconds) : std::string("1h");
  const EngineProcess engine(
      fmt::format("threads = 2\nlanes = 1\nlog = {{ level = \"error\" }}\n"
                  "wal = {{ checkpoint_every = \"{}\", checkpoint_bytes = \"100GB\" }}\n",
                  every) +
          service_metrics("size = \"1h\"\nallowed_lateness = \"1h\"\nemit_every = false"),
      scratch.path());
  const std::string request = request_of(make_events(1, {1, EventShape::fixed, 42}));
  std::vector<Pauses> results;
  for (const int passes : {1, 23}) {
    for (int pass = 0; pass < passes; ++pass) run_large(engine.port(), requests);
    double made = 0;
    const auto ended = [&](const MetricsText& metrics, double begin) {
      if (!with_checkpoints) return wall_seconds() - begin >= kCheckpointEverySeconds;
      const double now = metrics.sum("streamobs_checkpoints_total");
      return std::exchange(made, now) != now;
    };
    results.push_back(watch(engine, request, checkpoints, ended));
  }
  return results;
}

void measure_checkpoints(int checkpoints, std::size_t keys, const std::string& directory) {
  const std::vector<std::string> requests = one_event_for_each(keys);
  const std::vector<Pauses> with = measure_pauses(checkpoints, requests, true, directory);
  const std::vector<Pauses> without = measure_pauses(checkpoints, requests, false, directory);
  const char* names[] = {"1 event a key", "24 events a key"};
  for (std::size_t i = 0; i < with.size(); ++i) {
    std::printf("pause for a checkpoint, %zu keys, %s; %d checkpoints, ms\n", keys, names[i],
                checkpoints);
    std::printf("  %-54s %8.2f\n", "between two answers, without", median(without[i].answers_ms));
    std::printf("  %-54s %8.2f\n", "between two batches windowed, without",
                median(without[i].windowed_ms));
    at_most("largest gap between two answers", with[i].answers_ms, 100);
    at_most("largest gap between two batches windowed", with[i].windowed_ms, 100);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 11;
  const double round_seconds = argc > 2 ? std::atof(argv[2]) : 1;
  const auto keys = static_cast<std::size_t>(argc > 3 ? std::atol(argv[3]) : 1'000'000);
  const std::string directory = argc > 4 ? argv[4] : ".";
  for (const std::size_t events : {1, 100}) {
    measure_acknowledgement(rounds, round_seconds, events, directory);
  }
  if (keys > 0) measure_checkpoints(rounds, keys, directory);
  return 0;
}

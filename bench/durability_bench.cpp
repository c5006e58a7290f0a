// What the log costs in throughput, what it weighs on disk, and how fast it is taken up again.
//
// Method. A round is two lives of the engine in empty directories on the disk under `directory`:
//   without log   this program as a child process that runs the engine's topology as `replay` does,
//                 not durable, but with HTTP: the very same code without log and checkpoints;
//   with log      the real binary, durability = "sync", checkpoints put off so that all of the log
//                 is behind the last one.
// Both have one thread and one lane, and take the same 1 MiB bodies of 124-byte events (50
// services, support/events.h) over 16 connections with one body outstanding on each; each body's
// times are moved on by the client as it is sent. Which of the two comes first alternates. The time
// runs from the first byte sent until every body has been answered and every event is in its window
// (`streamobs_windowed_events_total`); the CPU time is that of the child process. Threads of the
// blocking pool (the log's writes and syncs) and the client share the second core.
//
//   throughput    with log / without, by wall and by CPU; the smaller one is held to the floor.
//   recovery      the engine with the log is killed with SIGKILL and started again. Replayed events
//                 / (from exec until every event is in its window again: start, checks and opening
//                 of the log included), against events/s of the life before, by wall.
//   on disk       bytes of all frames of the live log / events; then full segments are sealed by
//   the
//                 log's own maintenance and the size of those files / the events in them is taken.
//
// What is quoted is the median over the rounds of the ratio within the round. Build: Release.
//
//   bench_durability [rounds] [minutes of 600,000 events] [directory]
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "app/topology.h"
#include "base/log.h"
#include "base/posix_file_system.h"
#include "support/engine_process.h"
#include "support/floors.h"
#include "support/measure.h"
#include "support/moving_load.h"
#include "support/scratch.h"
#include "support/service_metrics.h"
#include "wal/batch_codec.h"
#include "wal/log.h"
#include "wal/log_examiner.h"
#include "wal/record.h"

namespace {

using namespace streamobs;         // NOLINT: a program of its own.
using namespace streamobs::bench;  // NOLINT

constexpr std::size_t kConnections = 16;
constexpr std::size_t kWarmUpMinutes = 5;
constexpr std::string_view kWithoutLog = "--without-log";

std::string config_text() {
  return "threads = 1\nlanes = 1\nlog = { level = \"error\" }\n"
         "wal = { checkpoint_every = \"1h\", checkpoint_bytes = \"1GB\" }\n" +
         service_metrics("size = \"1m\"\nallowed_lateness = \"10m\"");
}

void expect(bool holds, const char* otherwise) {
  if (holds) return;
  std::fprintf(stderr, "%s: nothing of this counts\n", otherwise);
  std::exit(1);
}

/// The child process without a log.
int run_without_log(const std::string& data_dir) {
  config::Config config = parse_config(config_text());
  config.data_dir = data_dir;
  config.http.listen = SourceText("127.0.0.1:0");
  log::configure(config.log_level, config.log_format);
  app::TopologyOptions options;
  options.durable = false;
  app::Topology topology(plan_of(std::move(config)), options);
  if (const Result<> started = topology.start(); started.has_error()) {
    std::fprintf(stderr, "%s\n", started.error().message.c_str());
    return 1;
  }
  return topology.run();
}

void wait_for_events(std::uint16_t port, double events) {
  MetricsReader reader(port);
  while (reader.read().sum("streamobs_windowed_events_total") < events) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

struct Spent {
  double wall = 0;
  double cpu = 0;
};

double events_of(std::size_t minutes) {
  return static_cast<double>(minutes * MovingLoad::kEventsPerPass);
}

Spent run_life(const EngineProcess& engine, MovingLoad& load, std::size_t minutes) {
  load.begin();
  load.send(engine.port(), kWarmUpMinutes, kConnections);
  wait_for_events(engine.port(), events_of(kWarmUpMinutes));
  std::this_thread::sleep_for(std::chrono::seconds(2));
  const double cpu = seconds(engine.cpu_clock());
  const double wall = wall_seconds();
  load.send(engine.port(), minutes, kConnections);
  wait_for_events(engine.port(), events_of(kWarmUpMinutes + minutes));
  const Spent spent{wall_seconds() - wall, seconds(engine.cpu_clock()) - cpu};
  expect(metric(engine.port(), "streamobs_late_events_total") == 0, "events were late");
  return spent;
}

/// Bytes and events of a log's segments, as they are in the files.
struct OnDisk {
  double live_bytes = 0;  ///< Of all frames, in their raw form.
  double live_events = 0;
  double sealed_bytes = 0;  ///< Files of sealed segments.
  double sealed_events = 0;
};

OnDisk measure_files(const std::string& directory) {
  OnDisk on_disk;
  const auto on_frame = [&](const wal::SegmentReport& segment, const wal::Frame& frame) {
    on_disk.live_bytes += static_cast<double>(frame.bytes.size());
    if (frame.header.type != static_cast<std::uint8_t>(wal::RecordType::batch)) return;
    const double events = wal::read_batch_head(frame.payload).value().events;
    on_disk.live_events += events;
    if (segment.file.sealed) on_disk.sealed_events += events;
  };
  const auto segments = wal::examine(posix_file_system(), directory, 0, on_frame).value();
  for (const wal::SegmentReport& segment : segments) {
    expect(!segment.damage, "the log is damaged");
    if (segment.file.sealed) on_disk.sealed_bytes += static_cast<double>(segment.bytes);
  }
  return on_disk;
}

void seal_full_segments(const std::string& directory) {
  const SystemClock clock;
  const auto log = wal::Log::open(posix_file_system(), clock, directory, {}, {}).value();
  while (log->seal_next().value()) {
  }
}

struct Rounds {
  std::vector<double> by_wall, by_cpu, recovery;
  std::vector<double> plain_rate, durable_rate, replay_rate;  ///< Million events a second.
  std::vector<double> plain_ns, durable_ns;                   ///< CPU an event.
};

/// Sizes are those of the last round.
OnDisk run_round(MovingLoad& load, std::size_t minutes, const std::string& parent, bool log_first,
                 Rounds& rounds) {
  const double events = events_of(minutes);
  const double events_logged = events_of(kWarmUpMinutes + minutes);
  Spent plain;
  const auto live_without = [&] {
    const ScratchDirectory scratch(parent);
    const std::string self = std::filesystem::read_symlink("/proc/self/exe");
    EngineProcess engine({self, std::string(kWithoutLog), scratch.path() + "/data"});
    plain = run_life(engine, load, minutes);
  };
  if (!log_first) live_without();

  const ScratchDirectory scratch(parent);
  const std::string wal = scratch.path() + "/data/wal";
  Spent durable;
  {
    EngineProcess engine(config_text(), scratch.path());
    durable = run_life(engine, load, minutes);
    engine.kill();
  }
  const double begin = wall_seconds();
  {
    EngineProcess engine(config_text(), scratch.path());
    wait_for_events(engine.port(), events_logged);
    const double recovery = wall_seconds() - begin;
    rounds.recovery.push_back(events_logged / recovery / (events / durable.wall));
    rounds.replay_rate.push_back(events_logged / recovery / 1e6);
    engine.kill();
  }
  seal_full_segments(wal);
  const OnDisk on_disk = measure_files(wal);
  expect(on_disk.live_events == events_logged, "the log does not hold what was sent");

  if (log_first) live_without();
  rounds.by_wall.push_back(plain.wall / durable.wall);
  rounds.by_cpu.push_back(plain.cpu / durable.cpu);
  rounds.plain_rate.push_back(events / plain.wall / 1e6);
  rounds.durable_rate.push_back(events / durable.wall / 1e6);
  rounds.plain_ns.push_back(plain.cpu / events * 1e9);
  rounds.durable_ns.push_back(durable.cpu / events * 1e9);
  return on_disk;
}

void print_results(const Rounds& rounds, const OnDisk& on_disk) {
  const char* line = "%-56s %8.2f M events/s by wall, %5.1f ns CPU an event\n";
  std::printf(line, "without log", median(rounds.plain_rate), median(rounds.plain_ns));
  std::printf(line, "with log", median(rounds.durable_rate), median(rounds.durable_ns));
  std::printf("%-56s %8.2f M events/s by wall\n", "recovery, from exec",
              median(rounds.replay_rate));
  at_least("throughput with the log against without, by wall", rounds.by_wall, 0.7);
  at_least("throughput with the log against without, by CPU", rounds.by_cpu, 0.7);
  at_least("recovery against live ingest", rounds.recovery, 2);
  at_most("log on disk, live, bytes an event", {on_disk.live_bytes / on_disk.live_events}, 16);
  if (on_disk.sealed_events == 0) {
    std::printf("no segment was full, so none was sealed: more minutes, please\n");
    return;
  }
  at_most("log on disk, sealed, bytes an event", {on_disk.sealed_bytes / on_disk.sealed_events},
          10);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && argv[1] == kWithoutLog) return run_without_log(argv[2]);
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 7;
  const auto minutes = static_cast<std::size_t>(argc > 2 ? std::atol(argv[2]) : 75);
  const std::string directory = argc > 3 ? argv[3] : ".";
  MovingLoad load({50, EventShape::fixed, 42});
  Rounds results;
  OnDisk on_disk;
  for (int round = 0; round < rounds; ++round) {
    on_disk = run_round(load, minutes, directory, round % 2 == 1, results);
  }
  std::printf("%.0f events of 124 bytes in 1 MiB bodies a life, %d rounds\n", events_of(minutes),
              rounds);
  print_results(results, on_disk);
  return 0;
}

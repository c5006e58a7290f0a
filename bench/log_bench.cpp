// The log against the bare disk: append + sync of one group, and pwrite + fdatasync of as many
// bytes in the same run, turn by turn, so that a noisy machine is noisy for both. Wall time, since
// what is measured is waiting. Then how fast segments are sealed and read back.
//
//   bench_log [groups] [directory]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "base/crc32c.h"
#include "base/posix_file_system.h"
#include "support/bare_file.h"
#include "support/measure.h"
#include "support/scratch.h"
#include "wal/log.h"
#include "wal/log_reader.h"

using namespace streamobs;  // NOLINT: a program of its own.

namespace {

/// Records begin at a random one of so many places of the same bytes.
constexpr std::size_t kVariety = std::size_t{1} << 20;

double seconds_of(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void compare(wal::Log& log, const std::string& directory, std::size_t group_bytes, int groups) {
  // Records as they come: single events in small groups, whole bodies in large ones.
  const std::size_t record_bytes = std::min<std::size_t>(group_bytes, std::size_t{64} << 10);
  const std::string pool = bench::encoded_noise(group_bytes + kVariety);
  const std::string whole = bench::encoded_noise(group_bytes);
  bench::BareFile allocated(directory + "/bare-allocated", false);
  bench::BareFile written(directory + "/bare-written", true);
  std::mt19937_64 random(7);
  std::vector<double> times[3];
  for (int i = 0; i < groups; ++i) {
    log.prepare_next().value();  // As its owner does when idle.
    times[0].push_back(seconds_of([&] { allocated.write(whole); }));
    times[1].push_back(seconds_of([&] { written.write(whole); }));
    std::vector<wal::LogRecord> records;
    std::vector<std::string_view> pieces;
    for (std::size_t at = 0; at < group_bytes; at += record_bytes) {
      pieces.push_back(std::string_view(pool).substr(at + random() % kVariety,
                                                     record_bytes - wal::kFrameHeaderBytes));
    }
    for (const std::string_view& piece : pieces) {
      records.push_back({2, log.next_sequence() + records.size(), {&piece, 1}, crc32c(piece)});
    }
    times[2].push_back(seconds_of([&] {
      log.append(records).value();
      log.sync().value();
    }));
  }
  const char* names[] = {"bare, allocated space", "bare, space written before", "log"};
  for (int i = 0; i < 3; ++i) {
    const double p50 = bench::percentile(times[i], 0.5);
    const double p99 = bench::percentile(times[i], 0.99);
    std::printf("%8zu KiB  %-28s %8.3f ms %8.3f ms   %5.2f %5.2f\n", group_bytes >> 10, names[i],
                p50 * 1e3, p99 * 1e3, p50 / bench::percentile(times[0], 0.5),
                p99 / bench::percentile(times[0], 0.99));
  }
}

}  // namespace

int main(int argc, char** argv) {
  const int groups = argc > 1 ? std::atoi(argv[1]) : 500;
  const bench::ScratchDirectory scratch(argc > 2 ? argv[2] : ".");
  const std::string& directory = scratch.path();
  FileSystem& files = posix_file_system();
  const SystemClock clock;
  const std::string path = directory + "/wal";
  auto log = wal::Log::open(files, clock, path, {}, {0, 1, 0}).value();
  std::printf("%12s  %-28s %11s %11s   ratio to the first\n", "group", "append + sync", "p50",
              "p99");
  for (const std::size_t bytes : {4UL << 10, 64UL << 10, 1UL << 20}) {
    compare(*log, directory, bytes, groups);
  }

  const wal::LogStats before = log->stats();
  const double cpu = bench::cpu_seconds();
  const double sealing = seconds_of([&] {
    while (log->seal_next().value()) {
    }
  });
  const wal::LogStats after = log->stats();
  const double sealed_mib = static_cast<double>(after.sealed_bytes_raw) / (1 << 20);
  std::printf("sealing: %llu segments, %.0f MiB/s, CPU %.2f s of %.2f s, to %.0f %%\n",
              static_cast<unsigned long long>(after.segments_sealed), sealed_mib / sealing,
              bench::cpu_seconds() - cpu, sealing,
              100.0 * static_cast<double>(after.sealed_bytes) /
                  static_cast<double>(after.sealed_bytes_raw));

  std::uint64_t payload_bytes = 0;
  const double reading = seconds_of([&] {
    auto reader = wal::LogReader::open(files, path, {}).value();
    for (wal::LogEntry entry; reader->next(entry).value();) payload_bytes += entry.payload.size();
  });
  std::printf("reading it all back: %.0f MiB/s of payload\n",
              static_cast<double>(payload_bytes) / (1 << 20) / reading);
  const double opening = seconds_of([&] {
    log.reset();
    log = wal::Log::open(files, clock, path, {}, {0, 0, 0}).value();
  });
  std::printf("opening (last segment checked and its tail rewritten): %.1f ms; %llu segments\n",
              opening * 1e3, static_cast<unsigned long long>(before.segments));
  return 0;
}

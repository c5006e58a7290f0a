// What a checkpoint costs the windows: the pause of a lane (copy_all), the snapshot made of the
// copy (off the lane), its size, and reading it back. And what deduplication costs.
//
// The window of the services preset over 1,000,000 string keys, after one event for each key (cold)
// and after 24 (sketches in the arena). Time of the thread, the kernel's included: on a busy
// machine the wall clock shows others' work. Least and median of the rounds. `bench_window_state
// KEYS` measures another number of keys.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/hash.h"
#include "support/measure.h"
#include "support/services_window.h"
#include "window/admission.h"
#include "window/deduplicator.h"
#include "window/merger.h"
#include "window/stream_windows.h"
#include "window/window_plan.h"

namespace {

using namespace streamobs;          // NOLINT
using namespace streamobs::window;  // NOLINT
using namespace streamobs::bench;   // NOLINT

constexpr int kRounds = 7;
constexpr std::size_t kId = kStatus;  ///< The column that is an id where that is measured.

double thread_seconds() {
  return seconds(CLOCK_THREAD_CPUTIME_ID);
}

void fill(EventBatch& batch, const StreamSchema& schema, std::size_t first_key, std::size_t keys,
          std::mt19937_64& random) {
  std::normal_distribution<double> normal = latency_exponents();
  begin_batch(batch, schema);
  for (std::size_t i = 0; i < kBatchRows; ++i) {
    const std::uint64_t key = (first_key + i) % keys;
    batch.time.push_back(kWindowStart);
    batch.columns[kTime].ints.push_back(kWindowStart);
    batch.columns[kService].strings.push_back(batch.text.keep(fmt::format("service-{}", key)));
    batch.columns[kLatency].floats.push_back(draw_latency(normal, random));
    batch.columns[kStatus].ints.push_back(random() % 50 == 0 ? 500 : 200);
  }
  batch.time_max = kWindowStart;
}

struct Rounds {
  std::vector<double> seconds;
  void print(const char* what) {
    std::sort(seconds.begin(), seconds.end());
    fmt::print("  {:<22} least {:8.1f} ms   median {:8.1f} ms\n", what, seconds.front() * 1e3,
               seconds[seconds.size() / 2] * 1e3);
  }
};

void measure(const char* name, std::size_t keys, std::size_t events_per_key) {
  const StreamSchema schema = services_schema();
  const auto plan = services_window(schema, "service");
  Admission admission(plan, 1);
  StreamWindows windows(plan, 0, admission);
  WindowMerger merger(plan);
  std::mt19937_64 random(7);
  EventBatch batch;
  DeadLetters late;
  for (std::size_t done = 0; done < keys * events_per_key; done += kBatchRows) {
    fill(batch, schema, done, keys, random);
    windows.process(batch, late);
  }
  fmt::print("{} keys, {}: {} MB held\n", windows.keys(), name, windows.bytes() >> 20);
  Rounds pause;
  Rounds encode;
  Rounds decode;
  std::string bytes;
  for (int round = 0; round < kRounds; ++round) {
    double begin = thread_seconds();
    std::vector<PartialPtr> copies;
    copies.push_back(windows.copy_all());
    pause.seconds.push_back(thread_seconds() - begin);
    begin = thread_seconds();
    bytes.clear();
    merger.snapshot(std::move(copies), bytes);
    encode.seconds.push_back(thread_seconds() - begin);
    Admission fresh_admission(plan, 1);
    StreamWindows fresh(plan, 0, fresh_admission);
    begin = thread_seconds();
    if (!fresh.restore(bytes, kMinTimestamp)) std::exit(1);
    decode.seconds.push_back(thread_seconds() - begin);
  }
  pause.print("copy_all (the pause)");
  encode.print("snapshot");
  decode.print("restore");
  fmt::print("  {:<22} {} MB, {:.0f} bytes a key\n", "size", bytes.size() >> 20,
             static_cast<double>(bytes.size()) / static_cast<double>(windows.keys()));
}

/// `known` ids in the table, each event new, time moving so that as many are forgotten as come.
void measure_ids(std::size_t known, bool text) {
  constexpr std::size_t kBatches = 40;
  StreamSchema schema = services_schema();
  schema.fields[kId].name = "id";
  schema.fields[kId].type.kind = text ? Kind::string : Kind::integer;
  const Duration per_event = kHour / static_cast<Duration>(known);
  Deduplicator dedup(schema, {kId, kHour, known * 2});
  Timestamp now = kWindowStart;
  std::uint64_t next = 0;
  EventBatch batch;
  DeadLetters too_old;
  const auto process = [&](bool repeats) {
    begin_batch(batch, schema);
    for (std::size_t i = 0; i < kBatchRows; ++i) {
      if (!repeats) now += per_event;
      batch.time.push_back(now);
      const std::uint64_t id = hash_word(repeats ? next - 1 - i * (known / kBatchRows) : next++);
      if (text) {
        batch.columns[kId].strings.push_back(
            batch.text.keep(fmt::format("{:016x}-4f3b-91d2-{:012x}", id, id >> 16)));
      } else {
        batch.columns[kId].ints.push_back(static_cast<std::int64_t>(id));
      }
    }
    const double begin = thread_seconds();
    const DeduplicationCounts counts = dedup.process(batch, too_old);
    const double spent = thread_seconds() - begin;
    if (counts.too_old != 0 || counts.duplicates != (repeats ? kBatchRows : 0)) std::exit(1);
    return spent;
  };
  while (next < known + known / 4) process(false);
  double fresh = 0;
  double repeated = 0;
  double longest = 0;
  for (std::size_t i = 0; i < kBatches; ++i) {
    const double spent = process(false);
    fresh += spent;
    longest = std::max(longest, spent);
    repeated += process(true);
  }
  constexpr double kEvents = static_cast<double>(kBatches * kBatchRows) / 1e9;
  fmt::print(
      "{} {} ids known: {:.1f} ns a new event, {:.1f} ns a repeat, {:.1f} bytes an id; "
      "longest call {:.1f} ms\n",
      dedup.ids(), text ? "string" : "int", fresh / kEvents, repeated / kEvents,
      static_cast<double>(dedup.bytes()) / static_cast<double>(dedup.ids()), longest * 1e3);
  Rounds encode;
  Rounds decode;
  std::string bytes;
  for (int round = 0; round < kRounds; ++round) {
    double begin = thread_seconds();
    bytes.clear();
    dedup.snapshot(bytes);
    encode.seconds.push_back(thread_seconds() - begin);
    Deduplicator again(schema, {kId, kHour, known * 2});
    begin = thread_seconds();
    if (!again.restore(bytes)) std::exit(1);
    decode.seconds.push_back(thread_seconds() - begin);
  }
  encode.print("snapshot");
  decode.print("restore");
  fmt::print("  {:<22} {} MB\n", "size", bytes.size() >> 20);
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t keys = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 1'000'000;
  measure("cold (1 event a key)", keys, 1);
  measure("warm (24 events a key)", keys, 24);
  measure_ids(10'000, true);
  measure_ids(keys, false);
  measure_ids(keys, true);
}

// What a checkpoint costs the windows: the pause of a lane (copy_all), the snapshot made of the
// copy (off the lane), its size, and reading it back. And what deduplication costs.
//
// The window of the services preset over 1,000,000 string keys, after one event for each key (cold)
// and after 24 (sketches in the arena). Time of the thread, the kernel's included: on a busy
// machine the wall clock shows others' work. Least and median of the rounds. `bench_window_state
// KEYS` measures another number of keys.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/hash.h"
#include "event/event_batch.h"
#include "expr/program.h"
#include "window/admission.h"
#include "window/deduplicator.h"
#include "window/merger.h"
#include "window/stream_windows.h"
#include "window/window_plan.h"

namespace {

using namespace streamobs;          // NOLINT
using namespace streamobs::window;  // NOLINT

constexpr Timestamp kStart = 1'700'000'040LL * kSecond;
constexpr std::size_t kBatchRows = 8192;
constexpr int kRounds = 7;

double seconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

StreamSchema make_schema() {
  StreamSchema schema;
  schema.stream = "requests";
  schema.time_field = "event_time";
  const auto add = [&](const char* name, Kind kind) {
    Field field;
    field.name = field.path = name;
    field.type = {kind, 0};
    schema.fields.push_back(std::move(field));
  };
  add("event_time", Kind::timestamp);
  add("service", Kind::string);
  add("latency_ms", Kind::floating);
  add("status_code", Kind::integer);
  return schema;
}

std::shared_ptr<const StreamWindowsPlan> make_plan(const StreamSchema& schema) {
  expr::Scope scope;
  for (const Field& field : schema.fields) scope.add_column(field.name, field.type);
  WindowOptions o;
  o.name = "service_metrics";
  o.by = {{"service", "service"}};
  o.max_keys = 10'000'000;
  o.select = {{"request_count", "count(*)"},
              {"error_count", "count(*) filter (where status_code >= 500)"},
              {"avg_latency_ms", "avg(latency_ms)"},
              {"p50_latency_ms", "quantile(latency_ms, 0.50)"},
              {"p95_latency_ms", "quantile(latency_ms, 0.95)"},
              {"p99_latency_ms", "quantile(latency_ms, 0.99)"}};
  Diagnostics diagnostics;
  auto plan = compile_windows(schema, scope, nullptr, {}, {o}, diagnostics);
  if (plan == nullptr) {
    for (const Diagnostic& d : diagnostics) fmt::print(stderr, "{}\n", d.message);
    std::exit(1);
  }
  return plan;
}

void fill(EventBatch& batch, const StreamSchema& schema, std::size_t first_key, std::size_t keys,
          std::mt19937_64& random) {
  std::normal_distribution<double> normal(3.7, 0.6);
  batch.clear();
  batch.schema = &schema;
  batch.rows = kBatchRows;
  batch.columns.resize(schema.fields.size());
  for (std::size_t c = 0; c < batch.columns.size(); ++c) {
    batch.columns[c].type = schema.fields[c].type;
  }
  for (std::size_t i = 0; i < kBatchRows; ++i) {
    const std::uint64_t key = (first_key + i) % keys;
    batch.time.push_back(kStart);
    batch.columns[0].ints.push_back(kStart);
    batch.columns[1].strings.push_back(batch.text.keep(fmt::format("service-{}", key)));
    batch.columns[2].floats.push_back(std::round(std::exp(normal(random)) * 1000) / 1000);
    batch.columns[3].ints.push_back(random() % 50 == 0 ? 500 : 200);
  }
  batch.time_max = kStart;
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
  const StreamSchema schema = make_schema();
  const auto plan = make_plan(schema);
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
    double begin = seconds();
    std::vector<PartialPtr> copies;
    copies.push_back(windows.copy_all());
    pause.seconds.push_back(seconds() - begin);
    begin = seconds();
    bytes.clear();
    merger.snapshot(std::move(copies), bytes);
    encode.seconds.push_back(seconds() - begin);
    Admission fresh_admission(plan, 1);
    StreamWindows fresh(plan, 0, fresh_admission);
    begin = seconds();
    if (!fresh.restore(bytes)) std::exit(1);
    decode.seconds.push_back(seconds() - begin);
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
  StreamSchema schema = make_schema();
  schema.fields[3].name = "id";
  schema.fields[3].type.kind = text ? Kind::string : Kind::integer;
  const Duration per_event = kHour / static_cast<Duration>(known);
  Deduplicator dedup(schema, {3, kHour, known * 2});
  Timestamp now = kStart;
  std::uint64_t next = 0;
  EventBatch batch;
  DeadLetters too_old;
  const auto process = [&](bool repeats) {
    batch.clear();
    batch.schema = &schema;
    batch.rows = kBatchRows;
    batch.columns.resize(schema.fields.size());
    batch.columns[3].type = schema.fields[3].type;
    for (std::size_t i = 0; i < kBatchRows; ++i) {
      if (!repeats) now += per_event;
      batch.time.push_back(now);
      const std::uint64_t id = hash_word(repeats ? next - 1 - i * (known / kBatchRows) : next++);
      if (text) {
        batch.columns[3].strings.push_back(
            batch.text.keep(fmt::format("{:016x}-4f3b-91d2-{:012x}", id, id >> 16)));
      } else {
        batch.columns[3].ints.push_back(static_cast<std::int64_t>(id));
      }
    }
    const double begin = seconds();
    const DeduplicationCounts counts = dedup.process(batch, too_old);
    const double spent = seconds() - begin;
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
    double begin = seconds();
    bytes.clear();
    dedup.snapshot(bytes);
    encode.seconds.push_back(seconds() - begin);
    Deduplicator again(schema, {3, kHour, known * 2});
    begin = seconds();
    if (!again.restore(bytes)) std::exit(1);
    decode.seconds.push_back(seconds() - begin);
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

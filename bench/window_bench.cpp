// Cost of windows per event, by number of keys, and memory of a key.
//
// The window of the services preset over batches that are ready in memory: by service, count(*),
// count(*) filter, avg, p50, p95, p99 of one float. One lane, one thread, event time stands inside
// one window, so that what is measured is the update alone; closing is measured apart. CPU time,
// median of five rounds. `window_bench KEY KEYS` measures one line only.
//
// Then windows of a minute that hop by ten seconds against tumbling ones, closing and rows
// included: event time goes on, and each batch is followed by its mark. `window_bench hopping`
// measures that only.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "support/measure.h"
#include "support/services_window.h"
#include "window/admission.h"
#include "window/merger.h"
#include "window/stream_windows.h"
#include "window/window_plan.h"

namespace {

using namespace streamobs;          // NOLINT
using namespace streamobs::window;  // NOLINT
using namespace streamobs::bench;   // NOLINT

enum class KeyKind { dictionary, text, integer };

std::shared_ptr<const StreamWindowsPlan> make_plan(const StreamSchema& schema, KeyKind kind) {
  return services_window(schema, kind == KeyKind::integer ? "user_id" : "service");
}

/// `keys` keys drawn at random.
std::vector<std::unique_ptr<EventBatch>> make_batches(const StreamSchema& schema, KeyKind kind,
                                                      std::size_t keys, std::size_t events) {
  std::mt19937_64 random(7);
  std::normal_distribution<double> normal = latency_exponents();
  auto dictionary = std::make_shared<Dictionary>(1 << 16);
  std::vector<std::unique_ptr<EventBatch>> batches;
  for (std::size_t done = 0; done < events; done += kBatchRows) {
    auto batch = std::make_unique<EventBatch>();
    begin_batch(*batch, schema);
    if (kind == KeyKind::dictionary) batch->columns[kService].dictionary = dictionary;
    for (std::size_t i = 0; i < kBatchRows; ++i) {
      const Timestamp t = kWindowStart + static_cast<Timestamp>((done + i) % (50 * kSecond));
      const std::uint64_t key = random() % keys;
      const std::string name = fmt::format("service-{}", key);
      batch->time.push_back(t);
      batch->event_index.push_back(static_cast<std::uint32_t>(i));
      batch->columns[kTime].ints.push_back(t);
      if (kind == KeyKind::dictionary) {
        batch->columns[kService].ids.push_back(dictionary->intern(name));
      } else {
        batch->columns[kService].strings.push_back(batch->text.keep(name));
      }
      batch->columns[kUser].ints.push_back(static_cast<std::int64_t>(key));
      batch->columns[kLatency].floats.push_back(draw_latency(normal, random));
      batch->columns[kStatus].ints.push_back(random() % 50 == 0 ? 500 : 200);
    }
    batch->time_max = kWindowStart + 50 * kSecond;
    batches.push_back(std::move(batch));
  }
  return batches;
}

struct Measured {
  double warm_ns = 0;             ///< Per event, keys known.
  double cold_ns = 0;             ///< Per event of the first pass, in which keys are new.
  double close_ns = 0;            ///< Per key: merge, finish, serialise.
  double bytes_per_key_cold = 0;  ///< After one event for each key.
  double bytes_per_key = 0;
};

/// Bytes a key takes when it has been seen once.
double cold_bytes(const StreamSchema& schema, KeyKind kind, std::size_t keys) {
  const auto plan = make_plan(schema, kind);
  Admission admission(plan, 1);
  StreamWindows windows(plan, 0, admission);
  const auto batches = make_batches(schema, kind, keys, std::max<std::size_t>(keys, kBatchRows));
  DeadLetters late;
  for (const auto& batch : batches) windows.process(*batch, late);
  return static_cast<double>(windows.bytes()) / static_cast<double>(windows.keys());
}

Measured measure(const StreamSchema& schema, KeyKind kind, std::size_t keys) {
  // Few keys: batches that stay in the caches, as they do behind the decoder.
  const std::size_t events =
      keys <= 10'000 ? 32 * kBatchRows : std::max<std::size_t>(2'000'000, keys * 2);
  const auto batches = make_batches(schema, kind, keys, events);
  const double n = static_cast<double>(batches.size() * kBatchRows);
  const int passes = keys <= 10'000 ? 8 : 1;
  std::vector<double> warm;
  Measured m;
  const auto plan = make_plan(schema, kind);
  Admission admission(plan, 1);
  StreamWindows windows(plan, 0, admission);
  DeadLetters late;
  for (int round = 0; round < 6; ++round) {
    const double begin = cpu_seconds();
    for (int pass = 0; pass < passes; ++pass) {
      for (const auto& batch : batches) windows.process(*batch, late);
    }
    const double ns = (cpu_seconds() - begin) * 1e9 / n / passes;
    if (round == 0) {
      m.cold_ns = ns;
    } else {
      warm.push_back(ns);
    }
  }
  std::sort(warm.begin(), warm.end());
  m.warm_ns = warm[warm.size() / 2];
  m.bytes_per_key = static_cast<double>(windows.bytes()) / static_cast<double>(windows.keys());
  m.bytes_per_key_cold = cold_bytes(schema, kind, keys);
  const double held = static_cast<double>(windows.keys());
  WindowMerger merger(plan);
  Records out;
  const double begin = cpu_seconds();
  std::vector<PartialPtr> partials;
  partials.push_back(windows.take_all());
  merger.merge(std::move(partials), 1, kMaxTimestamp, RoundKind::closed, out);
  m.close_ns = (cpu_seconds() - begin) * 1e9 / held;
  return m;
}

constexpr Duration kHoppingSpan = 3 * kMinute;

/// The batches over and over, each time later, for kHoppingSpan of event time; what is open then is
/// dropped. Returns the rows that came out.
std::size_t run_through(const std::shared_ptr<const StreamWindowsPlan>& plan,
                        std::vector<std::unique_ptr<EventBatch>>& batches, Duration batch_span) {
  Admission admission(plan, 1);
  StreamWindows windows(plan, 0, admission);
  WindowMerger merger(plan);
  DeadLetters late;
  std::size_t rows = 0;
  Records out;
  Timestamp begin = kWindowStart;
  for (std::size_t i = 0; begin < kWindowStart + kHoppingSpan; ++i, begin += batch_span) {
    EventBatch& batch = *batches[i % batches.size()];
    for (std::size_t row = 0; row < batch.rows; ++row) {
      batch.time[row] = begin + static_cast<Timestamp>(row) * batch_span / kBatchRows;
    }
    batch.time_max = begin + batch_span - 1;
    batch.stamp.partition_time = begin - 1;
    batch.stamp.others_time = kMaxTimestamp;
    batch.stamp.floor_time = kMinTimestamp;
    windows.process(batch, late);
    out.clear();
    std::vector<PartialPtr> partials;
    partials.push_back(windows.take_closed(batch.time_max));
    merger.merge(std::move(partials), 1, batch.time_max, RoundKind::closed, out);
    for (const Record& record : out) rows += std::get<WindowBatchPtr>(record)->rows.size();
  }
  if (!late.empty()) std::abort();
  return rows;
}

void measure_hopping(const StreamSchema& schema, std::size_t keys, std::size_t events_per_second) {
  auto batches = make_batches(schema, KeyKind::dictionary, keys, 1'000'000);
  const auto batch_span =
      static_cast<Duration>(kBatchRows * static_cast<std::size_t>(kSecond) / events_per_second);
  const double events = static_cast<double>(kHoppingSpan) / static_cast<double>(batch_span) *
                        static_cast<double>(kBatchRows);
  const auto tumbling = services_window(schema, "service");
  const auto hopping = services_window(schema, "service", 10 * kSecond);
  std::vector<double> tumbling_ns;
  std::vector<double> hopping_ns;
  std::vector<double> ratios;
  std::size_t tumbling_rows = 0;
  std::size_t hopping_rows = 0;
  for (int round = 0; round < 5; ++round) {
    const double begin = cpu_seconds();
    tumbling_rows = run_through(tumbling, batches, batch_span);
    const double middle = cpu_seconds();
    hopping_rows = run_through(hopping, batches, batch_span);
    tumbling_ns.push_back((middle - begin) * 1e9 / events);
    hopping_ns.push_back((cpu_seconds() - middle) * 1e9 / events);
    ratios.push_back(hopping_ns.back() / tumbling_ns.back());
  }
  fmt::print("{:>9} {:>12} {:>14.1f} {:>14.1f} {:>8.2f} {:>14} {:>14}\n", keys, events_per_second,
             median(tumbling_ns), median(hopping_ns), median(ratios), tumbling_rows, hopping_rows);
  std::fflush(stdout);
}

void measure_hopping(const StreamSchema& schema) {
  fmt::print("\n{:>9} {:>12} {:>14} {:>14} {:>8} {:>14} {:>14}\n", "keys", "events/s",
             "tumbling ns", "hopping ns", "ratio", "tumbling rows", "hopping rows");
  measure_hopping(schema, 50, 10'000);
  measure_hopping(schema, 50, 100'000);
  measure_hopping(schema, 10'000, 100'000);
}

}  // namespace

int main(int argc, char** argv) {
  const StreamSchema schema = services_schema();
  fmt::print("{:<12} {:>9} {:>12} {:>12} {:>14} {:>14} {:>16}\n", "key", "keys", "ns/event",
             "first pass", "close ns/key", "cold B/key", "B/key after");
  const std::string only_name = argc > 1 ? argv[1] : "";
  if (only_name == "hopping") {
    measure_hopping(schema);
    return 0;
  }
  const std::size_t only_keys = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 0;
  const auto run = [&](const char* name, KeyKind kind, std::size_t keys) {
    if (argc > 2 && (only_name != name || only_keys != keys)) return;
    const Measured m = measure(schema, kind, keys);
    fmt::print("{:<12} {:>9} {:>12.1f} {:>12.1f} {:>14.0f} {:>14.0f} {:>16.0f}\n", name, keys,
               m.warm_ns, m.cold_ns, m.close_ns, m.bytes_per_key_cold, m.bytes_per_key);
    std::fflush(stdout);
  };
  for (const std::size_t keys : {1, 50, 10'000}) run("dictionary", KeyKind::dictionary, keys);
  for (const std::size_t keys : {50, 10'000, 100'000, 1'000'000})
    run("string", KeyKind::text, keys);
  for (const std::size_t keys : {1, 50, 10'000, 100'000, 1'000'000}) {
    run("int", KeyKind::integer, keys);
  }
  if (argc == 1) measure_hopping(schema);
  return 0;
}

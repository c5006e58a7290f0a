// How fast rows are stored, in CPU time. Hidden: run with `test_store [.bench]`; prints, asserts
// only the count.
#include <ctime>

#include "store/support.h"

namespace {

using namespace streamobs;               // NOLINT
using namespace streamobs::store;        // NOLINT
using namespace streamobs::store::test;  // NOLINT

/// Of this thread, since the machine is shared.
double cpu_seconds() {
  timespec t{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

/// Rows as the services preset makes them: one key, six numbers; with a sketch of `state_bytes`.
double rows_per_second(std::size_t state_bytes, bool again) {
  const SchemaPtr of = schema("w", {{"service", kText}},
                              {{"a", kInteger},
                               {"b", kInteger},
                               {"c", kFloat},
                               {"d", kFloat},
                               {"e", kFloat},
                               {"f", kMoney}});
  const TempDir temp;
  const auto database = open(temp.database(), {of});
  constexpr int kBatches = 400;
  constexpr int kRows = 1'000;
  std::vector<Records> all;
  for (int i = 0; i < kBatches; ++i) {
    std::vector<WindowRow> rows;
    for (int k = 0; k < kRows; ++k) {
      WindowRow row;
      row.start = kNoon + i / 10 * kMinute;
      row.end = row.start + kMinute;
      row.closed = true;
      row.keys = {Value::of_string(fmt::format("service-{:05}", i % 10 * kRows + k))};
      row.metrics = {Value::of_int(k),   Value::of_int(i),     Value::of_float(k * 0.1),
                     Value::of_float(1), Value::of_float(2.5), Value::of_decimal(k, 2)};
      row.state = std::string(state_bytes, 's');
      rows.push_back(std::move(row));
    }
    all.push_back({batch(of, std::move(rows))});
  }
  if (again) {
    for (const Records& records : all) write(*database, records);
  }
  const double started = cpu_seconds();
  for (const Records& records : all) write(*database, records);
  const double rate = kBatches * kRows / (cpu_seconds() - started);
  CHECK(database->stats().rows_written == (again ? 2U : 1U) * kBatches * kRows);
  return rate;
}

}  // namespace

TEST_CASE("rows stored a second of CPU time", "[.bench][store]") {
  for (int round = 0; round < 3; ++round) {
    fmt::print("insert {:.0f}/s, update {:.0f}/s, insert with 200 bytes of state {:.0f}/s\n",
               rows_per_second(0, false), rows_per_second(0, true), rows_per_second(200, false));
  }
}

TEST_CASE("seconds of CPU time for a query", "[.bench][store]") {
  const TempDir temp;
  const auto database = open(temp.database(), {services()});
  constexpr int kWindows = 1'000;
  constexpr int kKeys = 200;
  for (int w = 0; w < kWindows; ++w) {
    std::vector<WindowRow> rows;
    for (int k = 0; k < kKeys; ++k) {
      rows.push_back(
          service_row(kNoon + w * kMinute, Value::of_string(fmt::format("s{:03}", k)), k));
      rows.back().state = std::string(1'500, 's');
    }
    write(*database, {batch(services(), std::move(rows))});
  }
  const auto timed = [&database](const char* what, const WindowQuery& query) {
    const double started = cpu_seconds();
    const auto rows = database->window_rows(query);
    fmt::print("{}: {:.4f} s, {} rows\n", what, cpu_seconds() - started, rows->size());
  };
  WindowQuery newest = rows_of("service_metrics", {{"service", "s007"}}, 1'000);
  newest.windows = 100;
  timed("newest 100 windows of one key", newest);
  newest.keys.clear();
  timed("newest 100 windows, 1,000 rows", newest);
  newest.limit = 100'000;
  timed("newest 100 windows, all rows", newest);
  timed("one key of 1,000 windows", rows_of("service_metrics", {{"service", "s007"}}));
  timed("a key that is not there", rows_of("service_metrics", {{"service", "nobody"}}));
  timed("all 200,000 rows", rows_of("service_metrics"));
}

// Queries against a naive answer computed from all rows in memory.
#include <algorithm>
#include <limits>
#include <random>
#include <set>

#include "store/support.h"

namespace {

using namespace streamobs;               // NOLINT
using namespace streamobs::store;        // NOLINT
using namespace streamobs::store::test;  // NOLINT

/// The answer as its definition reads.
std::vector<WindowRow> expected(std::vector<WindowRow> rows, const WindowSchema& of,
                                const WindowQuery& query) {
  std::erase_if(rows, [&](const WindowRow& row) {
    if (query.from && row.start < *query.from) return true;
    if (query.to && row.start >= *query.to) return true;
    for (const auto& [name, wanted] : query.keys) {
      for (std::size_t i = 0; i < of.keys.size(); ++i) {
        if (of.keys[i].name != name) continue;
        const std::string text = row.overflow ? "__overflow__" : row.keys[i].to_string();
        if ((row.keys[i].null && !row.overflow) || text != wanted) return true;
      }
    }
    return false;
  });
  std::sort(rows.begin(), rows.end(), [](const WindowRow& a, const WindowRow& b) {
    if (a.start != b.start) return a.start > b.start;
    if (a.overflow != b.overflow) return b.overflow;
    for (std::size_t i = 0; i < a.keys.size(); ++i) {
      if (const int order = compare(a.keys[i], b.keys[i]); order != 0) return order < 0;
    }
    return false;
  });
  std::vector<WindowRow> out;
  std::set<Timestamp> windows;
  for (WindowRow& row : rows) {
    windows.insert(row.start);
    if (query.windows && windows.size() > *query.windows) break;
    if (out.size() == query.limit) break;
    out.push_back(std::move(row));
  }
  return out;
}

bool same(const std::vector<WindowRow>& a, const std::vector<WindowRow>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const WindowRow& x, const WindowRow& y) {
                      return x.start == y.start && x.end == y.end && x.closed == y.closed &&
                             x.overflow == y.overflow && x.revision == y.revision &&
                             x.keys == y.keys && x.metrics == y.metrics;
                    });
}

}  // namespace

TEST_CASE("window queries give what a look at every row gives", "[store]") {
  const TempDir temp;
  const SchemaPtr of = schema("w",
                              {{"name", kText},
                               {"code", kInteger},
                               {"price", kMoney},
                               {"ratio", kFloat},
                               {"flag", {Kind::boolean, 0}}},
                              {{"n", kInteger}});
  const auto database = open(temp.database(), {of});
  std::mt19937 random(7);
  const auto pick = [&random](int n) {
    return static_cast<int>(random() % static_cast<unsigned>(n));
  };
  const auto key = [&](std::size_t i) -> Value {
    if (pick(6) == 0) return Value::of_null(of->keys[i].type);
    switch (i) {
      case 0:
        return Value::of_string(std::vector<std::string>{"", "a", "b", "__overflow__"}[pick(4)]);
      case 1:
        return Value::of_int(pick(3) - 1);
      case 2:
        return Value::of_decimal(pick(3) * 50 - 50, 2);
      case 3:
        return Value::of_float(pick(3) * 0.1);
      default:
        return Value::of_bool(pick(2) == 1);
    }
  };
  std::vector<WindowRow> rows;
  std::set<std::string> seen;
  for (int i = 0; i < 3'000; ++i) {
    WindowRow row;
    row.start = kNoon + (pick(40) - 20) * kMinute * (pick(20) == 0 ? 2'000'000 : 1);
    row.end = row.start + kMinute;
    row.closed = pick(2) == 1;
    row.overflow = pick(30) == 0;
    row.revision = static_cast<std::uint32_t>(pick(3));
    std::string identity = std::to_string(row.start);
    for (std::size_t k = 0; k < of->keys.size(); ++k) {
      row.keys.push_back(key(k));
      if (row.overflow) {
        row.keys[k] = k == 0 ? Value::of_string("__overflow__") : Value::of_null(of->keys[k].type);
      }
      identity += '/' + row.keys[k].to_string() + (row.keys[k].null ? "NULL" : "");
    }
    if (!seen.insert(identity + (row.overflow ? "*" : "")).second) continue;
    row.metrics = {Value::of_int(i)};
    rows.push_back(row);
  }
  std::shuffle(rows.begin(), rows.end(), random);
  write(*database, {batch(of, rows)});

  const std::vector<std::vector<std::string>> wanted = {
      {"", "a", "b", "__overflow__", "zz"},
      {"-1", "0", "1", "01", " 1", "x", "__overflow__"},
      {"-0.50", "0.00", "0.50", "0.5", "50", "."},
      {"0", "0.1", "0.2", "0.10", "nan"},
      {"true", "false", "1", "__overflow__"}};
  int with_rows = 0;
  for (int i = 0; i < 1'500; ++i) {
    WindowQuery query;
    query.window = "w";
    if (pick(3) == 0) query.from = kNoon + (pick(40) - 20) * kMinute + pick(2);
    if (pick(3) == 0) query.to = kNoon + (pick(40) - 20) * kMinute + pick(2);
    if (pick(2) == 0) query.windows = static_cast<std::size_t>(1 + pick(10));
    if (pick(2) == 0) query.limit = static_cast<std::size_t>(1 + pick(50));
    for (std::size_t k = 0; k < of->keys.size(); ++k) {
      if (pick(4) == 0) {
        query.keys.emplace_back(
            of->keys[k].name,
            wanted[k][static_cast<std::size_t>(pick(static_cast<int>(wanted[k].size())))]);
      }
    }
    const auto answer = database->window_rows(query);
    if (answer.has_error()) FAIL(answer.error().message);
    const auto right = expected(rows, *of, query);
    with_rows += right.empty() ? 0 : 1;
    if (!same(*answer, right)) {
      FAIL_CHECK("query " << i << ": " << answer->size() << " rows, expected " << right.size());
    }
  }
  CHECK(with_rows > 500);
}

TEST_CASE("extreme bounds are taken as they are", "[store]") {
  const TempDir temp;
  const auto database = open(temp.database(), {services()});
  write(*database, {batch(services(), {service_row(kNoon, Value::of_string("x"))})});
  WindowQuery query;
  query.window = "service_metrics";
  query.from = kMinTimestamp;
  query.to = kMaxTimestamp;
  query.limit = std::numeric_limits<std::size_t>::max();
  query.windows = std::numeric_limits<std::size_t>::max();
  REQUIRE(database->window_rows(query).has_value());
  CHECK(database->window_rows(query)->size() == 1);
  query.limit = 0;
  CHECK(database->window_rows(query)->empty());
  query.keys = {{"nobody", "x"}};
  CHECK(database->window_rows(query).error().code == ErrorCode::invalid);
  CHECK(database->window_rows(rows_of("nobody")).error().code == ErrorCode::not_found);
  ListQuery list;
  list.limit = std::numeric_limits<std::size_t>::max();
  CHECK(database->anomalies(list).has_value());
}

TEST_CASE("anomalies, incidents and dead letters can be asked for by what they are", "[store]") {
  const TempDir temp;
  const auto database = open(temp.database(), {services()});
  Records records;
  for (int i = 0; i < 60; ++i) {
    Anomaly a = anomaly(fmt::format("a{:02}", i), kNoon + i / 2 * kMinute,
                        {{"service", Value::of_string(i % 3 == 0 ? "it's" : "b")},
                         {"code", Value::of_int(i % 5)},
                         {"ok", Value::of_bool(i % 2 == 0)},
                         {"price", Value::of_decimal(i % 4 * 10, 2)}});
    a.severity = static_cast<Severity>(i % 4);
    a.rule = i % 2 == 0 ? "error_surge" : "latency_spike";
    a.resolved = i % 6 == 0;
    Incident in = incident(fmt::format("i{:02}", i), kNoon + i * kMinute, a.keys);
    if (i % 2 == 0) in.resolved_at = kNoon;
    records.push_back(std::make_shared<const Anomaly>(a));
    records.push_back(std::make_shared<const Incident>(in));
    records.push_back(
        letters({letter(i % 2 == 0 ? "s" : "t", i % 3 == 0 ? "late" : "future", kNoon + i)}));
  }
  write(*database, records);
  const auto anomalies = [&](const Filter& filter) {
    return database->anomalies(list_of(filter))->size();
  };
  CHECK(anomalies({}) == 60);
  CHECK(anomalies({{"service", "it's"}}) == 20);
  CHECK(anomalies({{"severity", "critical"}}) == 15);
  CHECK(anomalies({{"rule", "latency_spike"}}) == 30);
  CHECK(anomalies({{"resolved", "true"}}) == 10);
  CHECK(anomalies({{"resolved", "false"}}) == 50);
  CHECK(anomalies({{"code", "3"}}) == 12);
  CHECK(anomalies({{"ok", "true"}}) == 30);
  CHECK(anomalies({{"price", "0.10"}}) == 15);
  CHECK(anomalies({{"window", "service_metrics"}}) == 60);
  CHECK(anomalies({{"service", "it's"}, {"ok", "true"}, {"severity", "low"}}) == 5);
  CHECK(anomalies({{"nobody", "x"}}) == 0);
  CHECK(anomalies({{"no\"body'; DROP TABLE anomaly; --", "x"}}) == 0);

  ListQuery between = list_of({}, 3);
  between.from = kNoon + kMinute;
  between.to = kNoon + 3 * kMinute;
  const auto newest = database->anomalies(between).value();
  REQUIRE(newest.size() == 3);
  CHECK(newest[0].id == "a04");
  CHECK(newest[1].id == "a05");
  CHECK(newest[2].id == "a02");

  CHECK(database->incidents(list_of({{"status", "open"}}))->size() == 30);
  CHECK(database->incidents(list_of({{"status", "resolved"}, {"service", "b"}}))->size() == 20);
  CHECK(database->incidents(list_of({}, 1))->at(0).id == "i59");
  // Those that were under way then: an open one is, however long ago it began.
  ListQuery later = list_of({});
  later.from = kNoon + kHour;
  CHECK(database->incidents(later)->size() == 30);
  later.from = kNoon;
  CHECK(database->incidents(later)->size() == 60);
  later.to = kNoon + 10 * kMinute;
  CHECK(database->incidents(later)->size() == 10);

  CHECK(database->dead_letters(list_of({{"reason", "late"}, {"stream", "s"}}))->size() == 10);
  between.from = kNoon + 10;
  between.to = kNoon + 20;
  between.limit = 100;
  CHECK(database->dead_letters(between)->size() == 10);
  CHECK(database->dead_letters(list_of({{"payload", "x"}})).error().code == ErrorCode::invalid);
}

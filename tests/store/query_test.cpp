// Queries against a naive answer computed from all rows in memory.
#include <algorithm>
#include <limits>
#include <map>
#include <random>
#include <set>

#include "store/recent_rows.h"
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
  std::set<std::string> keys;
  for (WindowRow& row : rows) {
    windows.insert(row.start);
    if (query.windows && windows.size() > *query.windows) break;
    if (query.latest && !keys.insert(row_identity(row)).second) continue;
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
  auto database = open(temp.database(), {of});
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
  // Rows spread over ages, or over two hours: of these the last one is in memory.
  const bool ages = GENERATE(true, false);
  std::vector<WindowRow> rows;
  std::map<std::string, std::size_t> places;
  for (int i = 0; i < 3'000; ++i) {
    WindowRow row;
    const Timestamp start = ages ? (pick(40) - 20) * kMinute * (pick(20) == 0 ? 2'000'000 : 1)
                                 : (i / 25 + pick(5)) * kMinute;
    row.start = kNoon + start;
    row.end = row.start + kMinute;
    row.closed = pick(2) == 1;
    row.overflow = pick(30) == 0;
    row.revision = static_cast<std::uint32_t>(pick(3));
    for (std::size_t k = 0; k < of->keys.size(); ++k) {
      row.keys.push_back(key(k));
      if (row.overflow) {
        row.keys[k] = k == 0 ? Value::of_string("__overflow__") : Value::of_null(of->keys[k].type);
      }
    }
    row.metrics = {Value::of_int(i)};
    // Now and then a transaction that is lost, and rows that come again.
    if (pick(200) == 0) {
      WindowRow broken = row;
      broken.metrics = {Value::of_int(-1)};
      REQUIRE(database->write(std::vector{batch(of, {broken})}).has_value());
      REQUIRE(database->write(std::vector{batch(schema("nobody", {}, {}), {row})}).has_error());
    }
    write(*database, {batch(of, {row})});
    const std::string identity = std::to_string(row.start) + '/' + row_identity(row);
    const auto [at, added] = places.emplace(identity, rows.size());
    if (added) {
      rows.push_back(row);
      continue;
    }
    WindowRow& old = rows[at->second];
    if (std::pair(row.revision, row.closed) >= std::pair(old.revision, old.closed)) old = row;
  }

  const std::vector<std::vector<std::string>> wanted = {
      {"", "a", "b", "__overflow__", "zz"},
      {"-1", "0", "1", "01", " 1", "x", "__overflow__"},
      {"-0.50", "0.00", "0.50", "0.5", "50", "."},
      {"0", "0.1", "0.2", "0.10", "nan"},
      {"true", "false", "1", "__overflow__"}};
  const Timestamp span = ages ? 40 : 140;
  std::vector<WindowQuery> queries;
  for (int i = 0; i < 1'500; ++i) {
    WindowQuery& query = queries.emplace_back();
    query.window = "w";
    const auto time = [&] {
      return kNoon + (pick(static_cast<int>(span)) - (ages ? 20 : 0)) * kMinute + pick(2);
    };
    if (pick(3) == 0) query.from = time();
    if (pick(3) == 0) query.to = time();
    if (pick(2) == 0) query.windows = static_cast<std::size_t>(1 + pick(10));
    if (pick(2) == 0) query.limit = static_cast<std::size_t>(1 + pick(50));
    query.latest = (query.from || query.windows) && pick(4) == 0;
    for (std::size_t k = 0; k < of->keys.size(); ++k) {
      if (pick(4) == 0) {
        query.keys.emplace_back(
            of->keys[k].name,
            wanted[k][static_cast<std::size_t>(pick(static_cast<int>(wanted[k].size())))]);
      }
    }
  }
  int with_rows = 0;
  const auto check = [&](const Database& asked) {
    for (const WindowQuery& query : queries) {
      const auto answer = asked.window_rows(query);
      if (answer.has_error()) FAIL(answer.error().message);
      const auto right = expected(rows, *of, query);
      with_rows += right.empty() ? 0 : 1;
      if (!same(*answer, right)) {
        FAIL_CHECK("query " << &query - queries.data() << ": " << answer->size()
                            << " rows, expected " << right.size());
      }
    }
  };
  check(*database);
  // One that has just been opened has nothing in memory.
  database.reset();
  database = open(temp.database(), {of});
  check(*database);
  CHECK(with_rows > 1'000);
}

TEST_CASE("the newest row of each key of the last hour", "[store]") {
  const TempDir temp;
  auto database = open(temp.database(), {services()});
  const auto row = [](int minute, const char* service) {
    return service_row(kNoon + minute * kMinute, Value::of_string(service), minute);
  };
  write(
      *database,
      {batch(services(), {row(0, "gone"), row(1, "a"), row(50, "b"), row(61, "a"), row(62, "c")})});
  WindowQuery query;
  query.window = "service_metrics";
  query.latest = true;
  for (const bool opened_again : {false, true}) {
    INFO("opened again: " << opened_again);
    const auto rows = database->window_rows(query);
    REQUIRE(rows.has_value());
    REQUIRE(rows->size() == 3);
    CHECK((*rows)[0].metrics[0].integer == 62);
    CHECK((*rows)[1].metrics[0].integer == 61);
    CHECK((*rows)[2].metrics[0].integer == 50);
    query.from = kNoon;
    CHECK(database->window_rows(query)->size() == 4);
    query.from.reset();
    // The hour up to `to`, where that is before the newest.
    query.to = kNoon + 10 * kMinute;
    CHECK(database->window_rows(query)->size() == 2);
    query.to.reset();
    query.windows = 2;
    CHECK(*database->window_starts(query) ==
          std::vector<Timestamp>{kNoon + 62 * kMinute, kNoon + 61 * kMinute});
    query.keys = {{"service", "a"}};
    CHECK(*database->window_starts(query) ==
          std::vector<Timestamp>{kNoon + 61 * kMinute, kNoon + 1 * kMinute});
    query.keys.clear();
    query.windows.reset();
    database.reset();
    database = open(temp.database(), {services()});
  }
}

TEST_CASE("what is in memory is answered from there, whatever others do to the database",
          "[store]") {
  const TempDir temp;
  const auto database = open(temp.database(), {services()});
  write(*database, {batch(services(), {service_row(kNoon, Value::of_string("a"))})});
  REQUIRE(shell(temp.database(), "DELETE FROM window_service_metrics;").empty());
  CHECK(database->window_rows(rows_of("service_metrics"))->size() == 1);
}

TEST_CASE("the last hour is in memory as far as there is room, and no one sees it otherwise",
          "[store]") {
  const auto of = services();
  RecentBudget budget;
  RecentRows recent(of, budget);
  RecentRows other(of, budget);
  recent.begin(kNoon);
  const auto add = [&](int minute, int keys) {
    for (int k = 0; k < keys; ++k) {
      recent.write(service_row(kNoon + minute * kMinute, Value::of_int(k)));
    }
  };
  WindowQuery query;
  query.window = "service_metrics";
  query.from = kNoon;
  add(0, 3);
  CHECK(recent.rows(query)->empty());  // Not committed.
  recent.undone();
  recent.committed();
  CHECK(recent.rows(query)->empty());
  add(0, 3);
  recent.committed();
  CHECK(recent.rows(query)->size() == 3);
  query.from = kNoon - 1;
  CHECK_FALSE(recent.rows(query).has_value());  // There may be more in the database.
  query.windows = 1;
  CHECK(recent.rows(query)->size() == 3);
  query.windows = 2;
  CHECK_FALSE(recent.rows(query).has_value());
  query.limit = 2;
  CHECK(recent.rows(query)->size() == 2);
  query.keys = {{"no_key", "x"}};
  CHECK_FALSE(recent.rows(query).has_value());
  // An hour behind the newest, what was first goes.
  add(61, 1);
  recent.committed();
  WindowQuery all;
  all.window = "service_metrics";
  all.from = kNoon;
  CHECK_FALSE(recent.rows(all).has_value());
  all.from = kNoon + 1;
  CHECK(recent.rows(all)->size() == 1);
  // Where memory does not reach, too, whatever the transactions' size is.
  all.limit = std::numeric_limits<std::size_t>::max();
  for (int minute = 62; minute < 100; ++minute) {
    add(minute, 10'000);
    recent.committed();
    CHECK(budget.used.load() <= RecentBudget::kBytesMax);
  }
  CHECK_FALSE(recent.rows(all).has_value());
  all.from = kNoon + 99 * kMinute;
  CHECK(recent.rows(all)->size() == 10'000);
  add(100, 1'000'000);
  CHECK(budget.written < RecentBudget::kBytesMax + 1'000);
  // Transactions of all windows share that.
  other.begin(kNoon);
  other.write(service_row(kNoon, Value::of_int(1)));
  recent.committed();
  other.committed();
  CHECK(budget.written == 0);
  CHECK_FALSE(recent.rows(all).has_value());
  all.from = kNoon;
  CHECK_FALSE(other.rows(all).has_value());
  recent.forget_before(kMaxTimestamp);
  CHECK(budget.used.load() == 0);
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

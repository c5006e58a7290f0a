// Windows merged to hours and days, and removed when they are old: whatever order rows come in and
// whatever ends in between, the sums are those of the rows.

#include <charconv>
#include <map>
#include <random>
#include <tuple>

#include "store/support.h"

using namespace streamobs;
using namespace streamobs::store;
using namespace streamobs::store::test;

namespace {

/// States that are a number in digits; "x" is one of another config.
class Adding final : public StateMerger {
 public:
  Result<> merge(const WindowSchema&, WindowRow& into,
                 std::span<const WindowRow> rows) const override {
    std::int64_t sum = into.state.empty() ? 0 : std::stoll(into.state);
    for (const WindowRow& row : rows) {
      if (row.state == "x") return fail(ErrorCode::invalid, "of another config");
      sum += std::stoll(row.state);
    }
    into.state = std::to_string(sum);
    into.metrics = {Value::of_int(sum)};
    return {};
  }
};

const Adding kAdding;

SchemaPtr minutes(Duration size = kMinute) {
  return schema("w", {{"k", kText}}, {{"n", kInteger}}, size);
}

WindowRow row_of(Timestamp start, const std::string& key, std::int64_t n,
                 std::uint32_t revision = 0) {
  WindowRow row;
  row.start = start;
  row.end = start + kMinute;
  row.closed = true;
  row.revision = revision;
  row.keys = {Value::of_string(key)};
  row.metrics = {Value::of_int(n)};
  row.state = std::to_string(n);
  return row;
}

std::unique_ptr<Database> open_keeping(const std::string& path, WindowKeep keep,
                                       Duration size = kMinute) {
  StoreOptions made = options(path);
  made.keep["w"] = keep;
  Result<std::unique_ptr<Database>> database = Database::open(made, {minutes(size)}, &kAdding);
  if (database.has_error()) FAIL(database.error().message);
  return std::move(*database);
}

/// start, key → sum.
using Sums = std::map<std::pair<Timestamp, std::string>, std::int64_t>;

Sums stored(const Database& database, Resolution resolution) {
  Sums sums;
  WindowQuery query;
  query.window = "w";
  const auto add = [&sums](const WindowRow& row) {
    if (!row.closed) {  // An hour or day that is not whole.
      CHECK(row.state.empty());
      return true;
    }
    const bool added =
        sums.emplace(std::pair(row.start, row.keys[0].text), std::stoll(row.state)).second;
    CHECK(added);
    return true;
  };
  REQUIRE(database.scan_windows(query, resolution, add).has_value());
  return sums;
}

Sums merged(const Sums& rows, Duration step) {
  Sums sums;
  for (const auto& [place, n] : rows) {
    const Timestamp start = place.first - (place.first % step + step) % step;
    sums[{start, place.second}] += n;
  }
  return sums;
}

constexpr Timestamp kDayOne = 1'704'758'400LL * kSecond;  // 2024-01-09T00:00:00Z

}  // namespace

TEST_CASE("hours and days are the sums of their windows whatever happens in between", "[store]") {
  Timestamp days_without_hours = 0;
  for (unsigned seed = 1; seed <= 40; ++seed) {
    INFO("seed " << seed);
    std::mt19937 random(seed);
    const auto below = [&random](unsigned n) { return static_cast<int>(random() % n); };
    const TempDir temp(TempDir::Where::memory);
    // Hours may go before the rows they were made of do, and before their day is corrected.
    const WindowKeep keep{100 * kDay, (seed % 2 == 0 ? 1 : 100) * kDay, 100 * kDay};
    auto database = open_keeping(temp.database(), keep);
    Sums rows;
    std::map<std::pair<Timestamp, std::string>, std::uint32_t> revisions;
    Timestamp newest = kDayOne;
    for (int step = 0; step < 60; ++step) {
      // Mostly on; now and then behind, or a row that is there already.
      const bool behind = below(6) == 0;
      const int minute = below(behind ? 4'000 : 200);
      const Timestamp start =
          behind ? std::max(kDayOne, newest - minute * kMinute) : newest + minute * kMinute;
      newest = std::max(newest, start);
      Sums next = rows;
      std::vector<WindowRow> batch_rows;
      for (int k = 0; k <= below(3); ++k) {
        const std::string key = "k" + std::to_string(k);
        const std::int64_t n = below(1'000);
        std::uint32_t& revision = revisions[{start, key}];
        batch_rows.push_back(row_of(start, key, n, revision++));
        next[{start, key}] = n;
      }
      REQUIRE(database->write(std::vector<Record>{batch(minutes(), batch_rows)}).has_value());
      if (below(5) == 0) {
        database->roll_back();
      } else {
        REQUIRE(database->commit(0, false).has_value());
        rows = std::move(next);
      }
      if (below(3) == 0) REQUIRE(database->keep_up().has_value());
      if (below(10) == 0) {
        database.reset();
        database = open_keeping(temp.database(), keep);
      }
    }
    keep_up(*database);
    CHECK(stored(*database, Resolution::raw) == rows);
    // What is complete, in full: the newest day and hour may be in part.
    const auto until = database->reach("w", Resolution::hourly).merged_until;
    CHECK(until >= floor_to(rows.rbegin()->first.first, kHour));
    const auto removed = database->reach("w", Resolution::hourly).removed_until;
    Sums hours = merged(rows, kHour);
    std::erase_if(hours, [&](const auto& hour) { return hour.first.first < removed; });
    CHECK(stored(*database, Resolution::hourly) == hours);
    days_without_hours += (std::max(removed, kDayOne) - kDayOne) / kDay;
    Sums of_hours;
    for (const auto& [place, n] : rows) {
      if (place.first < until) of_hours[place] = n;
    }
    CHECK(stored(*database, Resolution::daily) == merged(of_hours, kDay));
  }
  CHECK(days_without_hours > 20);
}

TEST_CASE("old rows go by whole days, once they are merged, a few at a time", "[store]") {
  const TempDir temp;
  const auto database = open_keeping(temp.database(), {2 * kDay, 4 * kDay, 6 * kDay});
  Sums rows;
  for (int day = 0; day < 9; ++day) {
    std::vector<WindowRow> of_day;
    for (int minute = 0; minute < 1'440; ++minute) {
      const Timestamp start = kDayOne + day * kDay + minute * kMinute;
      of_day.push_back(row_of(start, "k", minute));
      rows[{start, "k"}] = minute;
    }
    write(*database, {batch(minutes(), of_day)});
  }
  const Result<bool> first = database->keep_up();
  REQUIRE(first.has_value());
  CHECK(*first);  // 12,960 rows are not done in one go.
  keep_up(*database);
  CHECK(database->reach("w", Resolution::raw).removed_until == kDayOne + 7 * kDay);
  CHECK(stored(*database, Resolution::raw).begin()->first.first == kDayOne + 7 * kDay);
  CHECK(stored(*database, Resolution::hourly).begin()->first.first == kDayOne + 5 * kDay);
  CHECK(stored(*database, Resolution::daily).begin()->first.first == kDayOne + 3 * kDay);
  const Sums days = merged(rows, kDay);
  for (const auto& [place, n] : stored(*database, Resolution::daily)) CHECK(days.at(place) == n);
  // A row behind that: it is not kept, and what was merged of its day stays as it is.
  write(*database, {batch(minutes(), {row_of(kDayOne + 6 * kDay, "k", 1'000'000, 1)})});
  keep_up(*database);
  const Sums after = stored(*database, Resolution::daily);
  CHECK(after.at({kDayOne + 6 * kDay, "k"}) == days.at({kDayOne + 6 * kDay, "k"}));
  CHECK(stored(*database, Resolution::raw).begin()->first.first == kDayOne + 7 * kDay);
}

TEST_CASE("a day whose hours are gone is corrected from all of its rows", "[store]") {
  const TempDir temp;
  const auto database = open_keeping(temp.database(), {30 * kDay, kDay, 365 * kDay});
  Sums rows;
  std::vector<WindowRow> all;
  for (int minute = 0; minute < 6 * 1'440; minute += 10) {
    const Timestamp start = kDayOne + minute * kMinute;
    all.push_back(row_of(start, "k", 1));
    rows[{start, "k"}] = 1;
  }
  write(*database, {batch(minutes(), all)});
  keep_up(*database);
  CHECK(database->reach("w", Resolution::hourly).removed_until == kDayOne + 4 * kDay);
  // At noon of a day without hours, when the last one is not complete.
  const Timestamp noon = kDayOne + 3 * kDay + 12 * kHour;
  rows[{noon, "k"}] = 2;
  write(*database, {batch(minutes(), {row_of(noon, "k", 2, 1)})});
  keep_up(*database);
  const Sums days = merged(rows, kDay);
  const Sums found = stored(*database, Resolution::daily);
  CHECK(found.at({kDayOne + 3 * kDay, "k"}) == 145);
  for (int day = 0; day < 5; ++day) {
    CHECK(found.at({kDayOne + day * kDay, "k"}) == days.at({kDayOne + day * kDay, "k"}));
  }
  CHECK(stored(*database, Resolution::hourly).begin()->first.first == kDayOne + 4 * kDay);
}

TEST_CASE("a window of more rows than a step has is merged whole", "[store]") {
  const TempDir temp;
  const auto database = open_keeping(temp.database(), {100 * kDay, 100 * kDay, 100 * kDay});
  Sums rows;
  for (int minute = 0; minute < 3; ++minute) {
    std::vector<WindowRow> of_minute;
    for (int i = 0; i < 1'700; ++i) {
      const Timestamp start = kDayOne + minute * kMinute;
      const std::string key = "a key of some length, number " + std::to_string(i);
      of_minute.push_back(row_of(start, key, i));
      rows[{start, key}] = i;
    }
    write(*database, {batch(minutes(), of_minute)});
  }
  write(*database, {batch(minutes(), {row_of(kDayOne + 2 * kDay, "later", 1)})});
  keep_up(*database);
  Sums hours = stored(*database, Resolution::hourly);
  hours.erase({kDayOne + 2 * kDay, "later"});
  CHECK(hours == merged(rows, kHour));
}

TEST_CASE("what cannot be merged is left as it is, and its hour without figures", "[store]") {
  const TempDir temp;
  WindowRow other = row_of(kDayOne, "other config", 1);
  other.state = "x";
  WindowRow open = row_of(kDayOne, "not closed", 1);
  open.state.clear();
  {
    const auto database = open_keeping(temp.database(), {});
    write(*database, {batch(minutes(), {other, open, row_of(kDayOne, "good", 5),
                                        row_of(kDayOne + kDay, "good", 6)})});
    keep_up(*database);
    CHECK(stored(*database, Resolution::hourly) ==
          Sums{{{kDayOne, "good"}, 5}, {{kDayOne + kDay, "good"}, 6}});
    CHECK(shell(temp.database(), "SELECT count(*) FROM w;") == "4");
  }
  // Of a window whose size has changed, its hours and days are kept beside it as well.
  const auto database = open_keeping(temp.database(), {}, 5 * kMinute);
  keep_up(*database);
  CHECK(stored(*database, Resolution::hourly).empty());
  CHECK(shell(temp.database(), "SELECT count(*) FROM streamobs_old_hourly_w_1;") == "4");
  CHECK(shell(temp.database(), "SELECT count(*) FROM streamobs_old_hourly_w_1 WHERE closed;") ==
        "2");
  CHECK(shell(temp.database(), "SELECT count(*) FROM streamobs_old_w_1;") == "4");
}

TEST_CASE("an hour that turns out to lack a part loses the figures it had", "[store]") {
  const TempDir temp;
  const auto database = open_keeping(temp.database(), {});
  write(*database, {batch(minutes(), {row_of(kDayOne, "k", 5), row_of(kDayOne, "good", 7)})});
  keep_up(*database);
  CHECK(stored(*database, Resolution::hourly) == Sums{{{kDayOne, "good"}, 7}, {{kDayOne, "k"}, 5}});
  WindowRow other = row_of(kDayOne + kMinute, "k", 1);
  other.state = "x";
  write(*database, {batch(minutes(), {other, row_of(kDayOne + 2 * kMinute, "k", 9),
                                      row_of(kDayOne + kDay, "good", 1)})});
  keep_up(*database);
  const Sums good{{{kDayOne, "good"}, 7}};
  CHECK(stored(*database, Resolution::daily) == good);
  CHECK(shell(temp.database(),
              "SELECT closed, n IS NULL FROM streamobs_hourly_w WHERE \"key.k\" = "
              "'k' AND window_start = " +
                  std::to_string(kDayOne) + ";") == "0|1");
}

TEST_CASE("windows that do not divide an hour, or are not to be merged, are not", "[store]") {
  for (const Duration size : {7 * kMinute, 2 * kHour, kDay}) {
    const TempDir temp;
    const auto database = open_keeping(temp.database(), {}, size);
    const bool has_days = size == 2 * kHour;
    CHECK(shell(temp.database(),
                "SELECT count(*) FROM sqlite_master WHERE name LIKE 'streamobs_hourly%';") == "0");
    CHECK(shell(temp.database(),
                "SELECT count(*) FROM sqlite_master WHERE name LIKE 'streamobs_daily%';") ==
          (has_days ? "1" : "0"));
  }
  const TempDir temp;
  const auto database = open_keeping(temp.database(), {kDay, 0, 0});
  write(*database,
        {batch(minutes(), {row_of(kDayOne, "k", 1), row_of(kDayOne + 3 * kDay, "k", 2)})});
  keep_up(*database);
  CHECK(stored(*database, Resolution::raw) == Sums{{{kDayOne + 3 * kDay, "k"}, 2}});
}

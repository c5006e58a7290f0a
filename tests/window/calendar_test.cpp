// Windows of the calendar: days and weeks of a time zone, and the ends of time.
#include "support/catch.h"
#include "window/plan.h"
#include "window/support.h"

using namespace window_test;  // NOLINT

TEST_CASE("days of a time zone: 23, 24 and 25 hours", "[window][timezone]") {
  WindowOptions o = options("w", {}, {{"n", "count(*)"}, {"r", "rate()"}}, kDay);
  o.timezone = "Europe/Berlin";
  const Compiled c = compile({o});
  if (c.plan == nullptr) {
    WARN("no time zone data here: " << text_of(c.diagnostics));
    return;
  }
  Engine engine(c, 1, 1, 1);
  // Every hour of 2024-03-29 … 2024-04-02 UTC; clocks went forward on March 31 at 01:00 UTC.
  for (Timestamp s = 1'711'670'400; s < 1'711'670'400 + 5 * 86'400; s += 3600) {
    const Event e = event(s);
    engine.push(&e, 1);
  }
  engine.finish();
  const auto rows = all_rows(engine.records);
  std::vector<Timestamp> starts;
  std::vector<std::int64_t> hours;
  for (const WindowRow* row : rows) {
    starts.push_back(row->start / kSecond);
    hours.push_back((row->end - row->start) / kHour);
  }
  // Local midnights: 23:00 UTC the day before, from April 1 on 22:00 UTC.
  REQUIRE(starts == std::vector<Timestamp>{1'711'666'800, 1'711'753'200, 1'711'839'600,
                                           1'711'922'400, 1'712'008'800, 1'712'095'200});
  REQUIRE(hours == std::vector<std::int64_t>{24, 24, 23, 24, 24, 24});
  REQUIRE(rows[2]->metrics[0].integer == 23);
  REQUIRE(rows[2]->metrics[1].floating == 23.0 / (23 * 3600.0));

  const WindowPlan& plan = c.plan->windows[0];
  const Interval autumn = plan.assigner.at(1'729'980'000 * kSecond);  // 2024-10-26T22:00Z
  REQUIRE(autumn.end - autumn.start == 25 * kHour);
  // Every moment is in exactly one window, and windows touch.
  Timestamp t = autumn.start - 20 * kDay;
  for (int i = 0; i < 40; ++i) {
    const Interval day = plan.assigner.at(t);
    REQUIRE(day.start == t);
    REQUIRE(plan.assigner.at(day.end - 1).start == t);
    t = day.end;
  }
}

TEST_CASE("weeks of a time zone count from the epoch's day", "[window][timezone]") {
  WindowOptions o = options("w", {}, {{"n", "count(*)"}}, 7 * kDay);
  o.timezone = "America/New_York";
  const Compiled c = compile({o});
  if (c.plan == nullptr) {
    WARN("no time zone data here: " << text_of(c.diagnostics));
    return;
  }
  const Assigner& assigner = c.plan->windows[0].assigner;
  // 1970-01-01 was a Thursday: weeks begin on Thursdays at 05:00 or 04:00 UTC.
  const Interval week = assigner.at(1'710'000'000 * kSecond);  // 2024-03-09
  REQUIRE(week.start == 1'709'787'600 * kSecond);              // 2024-03-07T05:00Z
  REQUIRE(week.end == 1'710'388'800 * kSecond);                // 2024-03-14T04:00Z
}

TEST_CASE("windows before the epoch and at the ends of time", "[window][assigner]") {
  const Assigner minutes(kMinute);
  REQUIRE(minutes.at(-1).start == -kMinute);
  REQUIRE(minutes.at(-kMinute).start == -kMinute);
  REQUIRE(minutes.at(-kMinute - 1).start == -2 * kMinute);
  REQUIRE(minutes.at(0).start == 0);
  REQUIRE(minutes.at(kMaxTimestamp).contains(kMaxTimestamp - 1));
  REQUIRE(minutes.at(kMinTimestamp).start == kMinTimestamp);
}

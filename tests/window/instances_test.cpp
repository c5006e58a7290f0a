// Many instances of a window open at a time.
#include <set>

#include "support/catch.h"
#include "window/support.h"

using namespace window_test;  // NOLINT

TEST_CASE("only a few of many open instances keep a large direct map", "[window][instances]") {
  const Compiled compiled =
      compile({options("w", {{"service", "service"}}, {{"n", "count(*)"}}, kMinute, kDay)});
  REQUIRE(compiled.plan != nullptr);
  Admission admission(compiled.plan, 1);
  StreamWindows windows(compiled.plan, 0, admission);
  BatchMaker maker(compiled.schema, true);
  DeadLetters late;
  const Timestamp start = Timestamp{1'700'000'040} * kSecond;
  std::vector<Event> events(4000);
  const auto fill = [&](int minute) {
    for (std::size_t i = 0; i < events.size(); ++i) {
      events[i].time = start + minute * kMinute;
      events[i].service = fmt::format("service-{}", i);
    }
  };
  // 4,000 services and null: 12 bits, which is a map of 16 KiB.
  constexpr std::size_t kMapBytes = 4 << 12;
  fill(0);
  windows.process(*maker.make(events.data(), events.size()), late);
  const std::size_t one = windows.bytes();
  for (int minute = 1; minute < 100; ++minute) {
    fill(minute);
    windows.process(*maker.make(events.data(), events.size()), late);
  }
  REQUIRE(windows.open_instances() == 100);
  REQUIRE(windows.bytes() < 100 * (one - kMapBytes) + 9 * kMapBytes);

  // One batch that is scattered over all of them, and back and forth between two.
  std::mt19937 random(1);
  for (std::size_t i = 0; i < events.size(); ++i) {
    const auto minute = i < 2000 ? static_cast<int>(random() % 100) : static_cast<int>(i % 2) * 50;
    events[i].time = start + minute * kMinute;
  }
  windows.process(*maker.make(events.data(), events.size()), late);
  REQUIRE(windows.bytes() < 100 * (one - kMapBytes) + 9 * kMapBytes);
  REQUIRE(late.empty());

  // Every count is there, and those handed over have left their maps behind.
  WindowMerger merger(compiled.plan);
  Records records;
  std::vector<PartialPtr> partials;
  partials.push_back(windows.take_closed(start + 60 * kMinute + kDay));
  merger.merge(std::move(partials), 1, start + 60 * kMinute + kDay, RoundKind::closed, records);
  partials.clear();
  fill(99);
  windows.process(*maker.make(events.data(), events.size()), late);
  partials.push_back(windows.take_all());
  merger.merge(std::move(partials), 2, kMaxTimestamp, RoundKind::closed, records);
  std::int64_t counted = 0;
  std::set<Timestamp> starts;
  for (const Record& record : records) {
    for (const WindowRow& row : std::get<WindowBatchPtr>(record)->rows) {
      counted += row.metrics[0].integer;
      starts.insert(row.start);
    }
  }
  REQUIRE(counted == 102 * 4000);
  REQUIRE(starts.size() == 100);
}

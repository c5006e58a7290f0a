#include "serve/open_windows.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "support/catch.h"

namespace {

using namespace streamobs;  // NOLINT
using serve::merge_rows;
using serve::OpenWindows;

std::shared_ptr<const WindowSchema> make_schema() {
  WindowSchema schema;
  schema.window = "w";
  schema.stream = "s";
  schema.size = kMinute;
  schema.keys = {{"service", {Kind::string, 0}}, {"code", {Kind::integer, 0}}};
  schema.metrics = {{"n", {Kind::integer, 0}}};
  return std::make_shared<const WindowSchema>(std::move(schema));
}

WindowRow row(std::int64_t minute, const std::string& service, std::int64_t code, std::int64_t n,
              bool closed) {
  WindowRow out;
  out.start = minute * kMinute;
  out.end = out.start + kMinute;
  out.closed = closed;
  out.keys = {Value::of_string(service), Value::of_int(code)};
  out.metrics = {Value::of_int(n)};
  out.state = closed ? "state" : "";
  return out;
}

Record batch(std::vector<WindowRow> rows) {
  static const auto schema = make_schema();
  WindowBatch out;
  out.schema = schema;
  out.rows = std::move(rows);
  return std::make_shared<const WindowBatch>(std::move(out));
}

store::WindowQuery query() {
  store::WindowQuery out;
  out.window = "w";
  return out;
}

std::vector<std::string> shown(std::vector<WindowRow> rows) {
  std::vector<std::string> out;
  for (const WindowRow& r : rows) {
    out.push_back(std::to_string(r.start / kMinute) + (r.closed ? "c" : "o") + key_text(r.keys) +
                  "=" + std::to_string(r.metrics[0].integer));
  }
  return out;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("the newest early row of a key is shown", "[serve]") {
  ManualClock clock(1'000 * kSecond);
  OpenWindows open(clock);
  open.process(batch({row(1, "a", 1, 10, false), row(1, "b", 1, 20, false)}));
  open.process(batch({row(1, "a", 1, 11, false), row(2, "a", 1, 1, false)}));
  CHECK(open.size() == 3);
  CHECK(shown(merge_rows({}, open.rows(query()), query())) ==
        Texts{"2oa|1=1", "1oa|1=11", "1ob|1=20"});

  store::WindowQuery asked = query();
  asked.keys = {{"service", "a"}, {"code", "1"}};
  CHECK(shown(merge_rows({}, open.rows(asked), asked)) == Texts{"2oa|1=1", "1oa|1=11"});
  asked.keys = {{"code", "2"}};
  CHECK(open.rows(asked).empty());
  asked = query();
  asked.from = 2 * kMinute;
  CHECK(open.rows(asked).size() == 1);
  asked = query();
  asked.to = 2 * kMinute;
  CHECK(open.rows(asked).size() == 2);
  asked = query();
  asked.windows = 1;
  CHECK(open.rows(asked).size() == 1);
  asked = query();
  asked.limit = 1;
  CHECK(open.rows(asked).size() == 1);
  asked.latest = true;  // Which of a key's rows is the newest is decided later.
  CHECK(open.rows(asked).size() == 3);
  asked = query();
  asked.window = "other";
  CHECK(open.rows(asked).empty());
}

TEST_CASE("the newest windows are those of open and stored rows together", "[serve]") {
  ManualClock clock(1'000 * kSecond);
  OpenWindows open(clock);
  open.process(batch({row(9, "a", 1, 1, false), row(2, "b", 1, 1, false)}));
  store::WindowQuery asked = query();
  asked.latest = true;
  asked.windows = 3;
  // Of stored ones 8, 7 and 6 are the newest; with the open ones 9, 8 and 7 are.
  const std::vector<Timestamp> stored = {8 * kMinute, 7 * kMinute, 6 * kMinute};
  const store::WindowQuery bounded = serve::of_newest(asked, stored, open.rows(asked));
  CHECK(bounded.from == 7 * kMinute);
  CHECK_FALSE(bounded.windows);
  CHECK(shown(open.rows(bounded)) == Texts{"9oa|1=1"});
  // Fewer than were asked for: all of them.
  asked.windows = 50;
  CHECK(serve::of_newest(asked, stored, open.rows(asked)).from == 2 * kMinute);
  CHECK(serve::of_newest(asked, {}, {}).windows == 50);
}

TEST_CASE("a closed row stays until the store must have it, then leaves", "[serve]") {
  ManualClock clock(1'000 * kSecond);
  OpenWindows open(clock);
  open.process(batch({row(1, "a", 1, 10, false)}));
  open.process(batch({row(1, "a", 1, 12, true)}));
  CHECK(shown(open.rows(query())) == Texts{"1ca|1=12"});
  CHECK(open.rows(query())[0].state.empty());
  clock.advance(OpenWindows::kClosedKept / 2);
  open.process(batch({row(2, "a", 1, 1, false)}));
  CHECK(open.size() == 2);
  clock.advance(OpenWindows::kClosedKept);
  open.process(batch({row(2, "a", 1, 2, false)}));
  CHECK(shown(open.rows(query())) == Texts{"2oa|1=2"});
}

TEST_CASE("a row never goes back to what it was before", "[serve]") {
  const auto revised = [](std::int64_t n, std::uint32_t revision, bool closed = true) {
    WindowRow out = row(1, "a", 1, n, closed);
    out.revision = revision;
    return out;
  };
  // After a crash the row comes again as it closed first, while the database has its revision.
  ManualClock clock(1'000 * kSecond);
  OpenWindows open(clock);
  open.process(batch({revised(2, 0)}));
  CHECK(shown(merge_rows({revised(3, 1)}, open.rows(query()), query())) == Texts{"1ca|1=3"});
  open.process(batch({revised(4, 2)}));
  CHECK(shown(merge_rows({revised(3, 1)}, open.rows(query()), query())) == Texts{"1ca|1=4"});
  // Nor within the process, where it is still held.
  for (const WindowRow& before : {revised(3, 1), revised(2, 0), revised(1, 0, false)}) {
    open.process(batch({before}));
    CHECK(shown(open.rows(query())) == Texts{"1ca|1=4"});
  }
  open.process(batch({revised(5, 2)}));
  CHECK(shown(open.rows(query())) == Texts{"1ca|1=5"});
  CHECK(shown(merge_rows({revised(2, 0, false)}, {revised(3, 0, false)}, query())) ==
        Texts{"1oa|1=3"});
}

TEST_CASE("stored and early rows become one answer", "[serve]") {
  const std::vector<WindowRow> stored = {row(3, "a", 1, 30, true), row(2, "a", 1, 20, false),
                                         row(2, "b", 1, 21, true), row(1, "a", 1, 10, true)};
  const std::vector<WindowRow> early = {row(4, "b", 1, 41, false), row(4, "a", 1, 40, false),
                                        row(3, "a", 1, 29, false), row(2, "a", 1, 22, false),
                                        row(2, "b", 1, 21, true)};
  store::WindowQuery asked = query();
  const Texts all = {"4oa|1=40", "4ob|1=41", "3ca|1=30", "2oa|1=22", "2cb|1=21", "1ca|1=10"};
  CHECK(shown(merge_rows(stored, early, asked)) == all);
  asked.windows = 2;
  CHECK(shown(merge_rows(stored, early, asked)) == Texts(all.begin(), all.begin() + 3));
  asked.windows = 4;
  asked.limit = 5;
  CHECK(shown(merge_rows(stored, early, asked)) == Texts(all.begin(), all.begin() + 5));
  asked = query();
  asked.latest = true;
  CHECK(shown(merge_rows(stored, early, asked)) == Texts{"4oa|1=40", "4ob|1=41"});
  asked.limit = 1;
  CHECK(shown(merge_rows(stored, early, asked)) == Texts{"4oa|1=40"});
  CHECK(shown(merge_rows(stored, {}, query())) ==
        Texts{"3ca|1=30", "2oa|1=20", "2cb|1=21", "1ca|1=10"});
}

TEST_CASE("keys that only look alike are kept apart", "[serve]") {
  ManualClock clock(1'000 * kSecond);
  OpenWindows open(clock);
  WindowRow none = row(1, "", 1, 2, false);
  none.keys[0] = Value::of_null({Kind::string, 0});
  WindowRow overflow = row(1, "a", 1, 3, false);
  overflow.overflow = true;
  open.process(batch({row(1, "a", 1, 0, false), row(1, "", 1, 1, false), none, overflow,
                      row(1, "a|1", 1, 4, false), row(1, "1:a", 1, 5, false)}));
  CHECK(open.size() == 6);
  store::WindowQuery asked = query();
  asked.keys = {{"service", "__overflow__"}};
  REQUIRE(open.rows(asked).size() == 1);
  CHECK(open.rows(asked)[0].metrics[0].integer == 3);
}

TEST_CASE("an open session is shown once, wherever it begins by now", "[serve]") {
  ManualClock clock(1'000 * kSecond);
  OpenWindows open(clock);
  auto schema = std::make_shared<WindowSchema>(*make_schema());
  schema->gap = kMinute;
  const auto push = [&](std::int64_t minute, std::int64_t minutes, const char* service,
                        bool closed) {
    WindowBatch out;
    out.schema = schema;
    out.rows.push_back(row(minute, service, 200, minutes, closed));
    out.rows[0].end = (minute + minutes) * kMinute;
    open.process(std::make_shared<const WindowBatch>(std::move(out)));
  };
  push(10, 2, "a", false);
  push(20, 2, "a", false);
  push(10, 2, "b", false);
  REQUIRE(open.rows(query()).size() == 3);
  push(8, 4, "a", false);  // It begins earlier …
  REQUIRE(shown(open.rows(query())) ==
          std::vector<std::string>{"20oa|200=2", "10ob|200=2", "8oa|200=4"});
  push(7, 15, "a", true);  // … or has been joined with the next, and closes.
  REQUIRE(shown(open.rows(query())) == std::vector<std::string>{"10ob|200=2", "7ca|200=15"});
  REQUIRE(open.size() == 2);
  push(16, 2, "a", true);  // One that has closed stays for as long as any.
  push(15, 4, "a", false);
  REQUIRE(open.size() == 4);
  clock.advance(OpenWindows::kClosedKept + kSecond);
  push(30, 1, "a", false);
  REQUIRE(shown(open.rows(query())) ==
          std::vector<std::string>{"30oa|200=1", "15oa|200=4", "10ob|200=2"});
}

TEST_CASE("what is held is bounded, and the newest windows stay", "[serve]") {
  ManualClock clock(1'000 * kSecond);
  OpenWindows open(clock);
  for (int minute = 1; minute <= 5; ++minute) {
    for (int part = 0; part < 30; ++part) {
      std::vector<WindowRow> rows;
      for (int i = 0; i < 1'000; ++i) rows.push_back(row(minute, "k", part * 1'000 + i, 1, false));
      open.process(batch(std::move(rows)));
    }
  }
  CHECK(open.size() <= OpenWindows::kRowsMax);
  store::WindowQuery asked = query();
  asked.limit = 1'000'000;
  asked.from = 5 * kMinute;
  CHECK(open.rows(asked).size() == 30'000);
  asked.from = kMinute;
  asked.to = 2 * kMinute;
  CHECK(open.rows(asked).empty());
}

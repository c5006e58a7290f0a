// The operator piece by piece: lateness, dead letters, early results, the cap on keys, NULL keys,
// and allocations.
#include <algorithm>
#include <cstdlib>
#include <new>
#include <set>

#include "support/catch.h"
#include "window/admission_impl.h"
#include "window/plan.h"
#include "window/support.h"

using namespace window_test;  // NOLINT

// Not under a sanitizer, which has an allocator of its own (clang does not say so by a macro).
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(__clang__) && \
    defined(__GLIBC__)
#define COUNTS_ALLOCATIONS 1
namespace {

std::size_t allocations = 0;  // NOLINT: counts every operator new and malloc of this program.

}  // namespace

extern "C" {
void* __libc_malloc(std::size_t size);                           // NOLINT
void* __libc_realloc(void* block, std::size_t size);             // NOLINT
void* __libc_calloc(std::size_t n, std::size_t size);            // NOLINT
void* __libc_memalign(std::size_t alignment, std::size_t size);  // NOLINT
void* calloc(std::size_t n, std::size_t size) {
  ++allocations;
  return __libc_calloc(n, size);
}
void* aligned_alloc(std::size_t alignment, std::size_t size) {
  ++allocations;
  return __libc_memalign(alignment, size);
}
void* malloc(std::size_t size) {
  ++allocations;
  return __libc_malloc(size);
}
void* realloc(void* block, std::size_t size) {
  ++allocations;
  return __libc_realloc(block, size);
}
}
#endif

namespace {

std::vector<NamedExpression> counts() {
  return {{"n", "count(*)"}, {"total", "sum(latency_ms)"}};
}

}  // namespace

TEST_CASE("now() of a result is the watermark that closed it, however events were cut",
          "[window]") {
  const Compiled c =
      compile({options("w", {}, {{"seen", "now()"}, {"n", "count(*)"}}, kMinute, 10 * kSecond)});
  REQUIRE(c.plan != nullptr);
  const std::vector<Event> events = {event(1), event(70), event(150), event(400)};
  for (const std::size_t cut : {1, 2, 4}) {
    INFO("cut " << cut);
    Engine engine(c, 2, 1, 1);
    for (std::size_t at = 0; at < events.size(); at += cut) engine.push(&events[at], cut);
    engine.drain();
    const auto rows = all_rows(engine.records);
    REQUIRE(rows.size() == 3);
    for (const WindowRow* row : rows) {
      REQUIRE(row->metrics[0].integer == row->end + 10 * kSecond);
    }
  }
}

TEST_CASE("a row is late when the watermark before it has passed its window's close",
          "[window][late]") {
  const Compiled c = compile({options("w", {}, counts(), kMinute, 10 * kSecond)});
  REQUIRE(c.plan != nullptr);
  Engine engine(c, 1, 1, 1);
  // 69 leaves [0, 60) open; 70 closes it, but the row that brings the watermark there is on time
  // in its own window, and rows after it in the same batch are late.
  std::vector<Event> events = {event(0),  event(69), event(59, "a", 5), event(70),
                               event(59), event(61), event(60)};
  engine.push(events.data(), events.size());
  engine.finish();
  REQUIRE(engine.late_counts == std::vector<std::uint64_t>{1});
  const auto rows = all_rows(engine.records);
  REQUIRE(rows.size() == 2);
  REQUIRE(rows[0]->metrics[0].integer == 2);
  REQUIRE(rows[0]->metrics[1].floating == 6);
  REQUIRE(rows[1]->metrics[0].integer == 4);

  REQUIRE(engine.late.size() == 1);
  const DeadLetter& letter = engine.late[0];
  REQUIRE(letter.reason == "late");
  REQUIRE(letter.window == "w");
  REQUIRE(letter.stream == "requests");
  REQUIRE(letter.event_index == 4);
  REQUIRE(
      letter.payload ==
      R"({"time":"1970-01-01T00:00:59Z","service":"a","latency_ms":1,"status_code":200,"ok":true})");
  REQUIRE(letter.detail.find("1970-01-01T00:01:10Z") != std::string::npos);
}

TEST_CASE("another partition holds the watermark back, and the floor holds it up",
          "[window][late]") {
  const Compiled c = compile({options("w", {}, counts())});
  Admission admission(c.plan, 1);
  StreamWindows windows(c.plan, 0, admission);
  BatchMaker maker(c.schema, true);
  DeadLetters late;
  const std::vector<Event> events = {event(200), event(10)};
  auto held = maker.make(events.data(), 2);
  held->stamp.others_time = 30 * kSecond;
  REQUIRE(windows.process(*held, late).late[0] == 0);
  auto floored = maker.make(&events[1], 1);
  floored->stamp.others_time = 30 * kSecond;
  floored->stamp.floor_time = 60 * kSecond;  // An idle timeout moved it there.
  REQUIRE(windows.process(*floored, late).late[0] == 1);
  floored->stamp.floor_time = 60 * kSecond - 1;
  REQUIRE(windows.process(*floored, late).late[0] == 0);
}

TEST_CASE("dead letters of one call are bounded, the rest is counted", "[window][late]") {
  const Compiled c = compile({options("w", {}, counts()), options("v", {}, counts())});
  Admission admission(c.plan, 1);
  StreamWindows windows(c.plan, 0, admission);
  BatchMaker maker(c.schema, true);
  DeadLetters late;
  const std::vector<Event> events(7000, event(10));
  auto batch = maker.make(events.data(), events.size());
  batch->stamp.floor_time = kHour;
  const ProcessCounts counted = windows.process(*batch, late);
  REQUIRE(counted.late[0] == 7000);
  REQUIRE(counted.late[1] == 7000);
  REQUIRE(late.size() == StreamWindows::kMaxDeadLetters);
  REQUIRE(counted.late_unsent == 14'000 - StreamWindows::kMaxDeadLetters);
  REQUIRE(windows.open_instances() == 0);
}

TEST_CASE("rows come by closing time, window, start and key; batches are bounded and marked",
          "[window][merger]") {
  const Compiled c = compile({options("minutes", {{"service", "service"}}, counts()),
                              options("all", {}, counts(), 2 * kMinute),
                              options("slow", {}, counts(), kMinute, kMinute)});
  REQUIRE(c.plan != nullptr);
  Engine engine(c, 1, 1, 1);
  std::vector<Event> events;
  for (int i = 0; i < 3000; ++i) events.push_back(event(i % 120, fmt::format("s{}", i % 1500)));
  // In order of time, so that nothing is late.
  std::stable_sort(events.begin(), events.end(),
                   [](const Event& a, const Event& b) { return a.time < b.time; });
  engine.push(events.data(), events.size());
  engine.finish();
  std::vector<std::string> order;
  std::map<std::string, int> last_marks;
  for (const Record& record : engine.records) {
    const auto& batch = *std::get<WindowBatchPtr>(record);
    REQUIRE(batch.rows.size() <= WindowBatch::kMaxRows);
    last_marks[batch.schema->window] += batch.last ? 1 : 0;
    for (const WindowRow& row : batch.rows) {
      const std::string place = fmt::format("{} {}", batch.schema->window, row.start / kSecond);
      if (order.empty() || order.back() != place) order.push_back(place);
    }
  }
  // "slow 0" closes at 120 as "minutes 60" and "all 0" do: then the order of the config decides.
  REQUIRE(order ==
          std::vector<std::string>{"minutes 0", "minutes 60", "all 0", "slow 0", "slow 60"});
  // Each that closed, though "minutes 0" alone did in a round of its own, by the events themselves.
  REQUIRE(last_marks == std::map<std::string, int>{{"all", 1}, {"minutes", 2}, {"slow", 2}});
  std::vector<std::string> keys;
  for (const WindowRow* row : all_rows(engine.records)) {
    if (row->start == 0 && row->keys.size() == 1) keys.push_back(row->keys[0].text);
  }
  REQUIRE(keys.size() > 700);
  REQUIRE(std::is_sorted(keys.begin(), keys.end()));
}

TEST_CASE("NULL keys form a group of their own, apart from empty text", "[window][keys]") {
  const Compiled c =
      compile({options("w", {{"service", "service"}, {"user_id", "user_id"}}, counts()),
               options("v", {{"service", "service"}}, counts())});
  for (const bool dictionary : {true, false}) {
    Engine engine(c, 2, 1, 1, dictionary);
    Event none = event(1);
    none.service.reset();
    Event user = none;
    user.user_id = 0;
    const std::vector<Event> events = {none, event(1, ""), user, none, event(1, "")};
    for (const Event& e : events) engine.push(&e, 1);
    engine.finish();
    const auto rows = all_rows(engine.records);
    REQUIRE(rows.size() == 5);
    REQUIRE(rows[0]->keys[0].null);
    REQUIRE(rows[0]->keys[1].null);
    REQUIRE(rows[0]->metrics[0].integer == 2);
    REQUIRE(rows[1]->keys[1].integer == 0);
    REQUIRE(rows[2]->keys[0].text.empty());
    REQUIRE_FALSE(rows[2]->keys[0].null);
    REQUIRE(rows[3]->keys[0].null);
    REQUIRE(rows[3]->metrics[0].integer == 3);
    REQUIRE(rows[4]->metrics[0].integer == 2);
  }
}

TEST_CASE("float keys: 0 and -0 are one key, order is by size", "[window][keys]") {
  const Compiled c = compile({options("w", {{"l", "latency_ms"}}, {{"n", "count(*)"}})});
  Engine engine(c, 1, 1, 1);
  const std::vector<Event> events = {event(1, "a", 0.0), event(1, "a", -0.0), event(1, "a", -2.5),
                                     event(1, "a", 1e300), event(1, "a", -1e300)};
  engine.push(events.data(), events.size());
  engine.finish();
  std::vector<double> keys;
  for (const WindowRow* row : all_rows(engine.records)) keys.push_back(row->keys[0].floating);
  REQUIRE(keys == std::vector<double>{-1e300, -2.5, 0, 1e300});
}

TEST_CASE("early results are complete even where only some lanes have news", "[window][open]") {
  const Compiled c = compile({options("w", {{"service", "service"}}, counts())});
  Engine engine(c, 3, 1, 1);
  for (int i = 0; i < 3; ++i) {
    const Event e = event(i);
    engine.push(&e, 1);
  }
  engine.show(0);
  engine.drain();
  auto rows = all_rows(engine.records);
  REQUIRE(rows.size() == 1);
  REQUIRE_FALSE(rows[0]->closed);
  REQUIRE(rows[0]->state.empty());
  REQUIRE(rows[0]->metrics[0].integer == 3);

  engine.records.clear();
  engine.show(0);
  engine.drain();
  REQUIRE(engine.records.empty());  // Nothing new.

  const Event fourth = event(4);
  engine.push(&fourth, 1);
  engine.show(0);
  engine.drain();
  rows = all_rows(engine.records);
  REQUIRE(rows.size() == 1);
  REQUIRE(rows[0]->metrics[0].integer == 4);

  // After the close, what is shown is the new window only.
  engine.records.clear();
  const Event next = event(61);
  engine.push(&next, 1);
  engine.show(0);
  engine.drain();
  rows = all_rows(engine.records);
  REQUIRE(rows.size() == 2);
  REQUIRE(rows[0]->closed);
  REQUIRE(rows[0]->metrics[0].integer == 4);
  REQUIRE_FALSE(rows[1]->closed);
  REQUIRE(rows[1]->start == 60 * kSecond);
  REQUIRE(rows[1]->metrics[0].integer == 1);
}

TEST_CASE("a copy of an open window does not change with it", "[window][open]") {
  const Compiled c = compile({options("w", {{"path", "path"}},
                                      {{"p", "quantile(latency_ms, 0.5)"},
                                       {"s", "sum(latency_ms)"},
                                       {"d", "count(distinct user_id)"},
                                       {"m", "max(path)"},
                                       {"l", "last(path)"}})});
  Admission admission(c.plan, 1);
  StreamWindows windows(c.plan, 0, admission);
  BatchMaker maker(c.schema, true);
  DeadLetters late;
  std::vector<Event> events;
  for (int i = 0; i < 500; ++i) {
    Event e = event(i % 50, "a", i % 7 == 0 ? -1e-20 * i : 1.5 * i);
    e.path = fmt::format("/some/long/path/that/is/not/inline/{}", i % 5);
    e.user_id = i;
    events.push_back(e);
  }
  auto batch = maker.make(events.data(), events.size());
  windows.process(*batch, late);
  WindowMerger merger(c.plan);
  const auto shown = [&](PartialPtr partial) {
    Records out;
    std::vector<PartialPtr> partials;
    partials.push_back(std::move(partial));
    merger.merge(std::move(partials), 1, 0, RoundKind::open, out);
    std::vector<std::string> rows = rows_of(out);
    for (std::string& row : rows) row.resize(row.find(" s="));  // Early rows have no state.
    return rows;
  };
  PartialPtr first = windows.copy_open(0);
  windows.process(*batch, late);
  PartialPtr second = windows.copy_open(0);
  const auto early = shown(std::move(first));
  const auto later = shown(std::move(second));
  REQUIRE(early.size() == 5);
  REQUIRE(early != later);
  REQUIRE(later == shown(windows.take_all()));
}

TEST_CASE("windows of very many keys are copied less often", "[window][open]") {
  WindowOptions o = options("w", {{"user_id", "user_id"}}, {{"n", "count(*)"}});
  const Compiled c = compile({o});
  Admission admission(c.plan, 1);
  StreamWindows windows(c.plan, 0, admission);
  BatchMaker maker(c.schema, true);
  DeadLetters late;
  std::vector<Event> events(30'000, event(1));
  for (std::size_t i = 0; i < events.size(); ++i) events[i].user_id = static_cast<std::int64_t>(i);
  auto batch = maker.make(events.data(), events.size());
  std::string copies;
  for (int i = 0; i < 9; ++i) {
    windows.process(*batch, late);
    copies += windows.copy_open(0) != nullptr ? 'x' : '.';
  }
  REQUIRE(copies == "x...x...x");
}

TEST_CASE("what a shutdown cuts short is not closed, but no early view either",
          "[window][merger]") {
  const Compiled c = compile({options("w", {}, counts())});
  Admission admission(c.plan, 1);
  StreamWindows windows(c.plan, 0, admission);
  BatchMaker maker(c.schema, true);
  DeadLetters late;
  const Event e = event(5);
  windows.process(*maker.make(&e, 1), late);
  REQUIRE(windows.open_instances() == 1);
  REQUIRE(windows.keys() == 1);
  REQUIRE(windows.bytes() > 0);
  REQUIRE(windows.take_closed(60 * kSecond - 1) == nullptr);
  WindowMerger merger(c.plan);
  Records out;
  std::vector<PartialPtr> partials;
  partials.push_back(windows.take_all());
  merger.merge(std::move(partials), 7, 5 * kSecond, RoundKind::cut_short, out);
  const auto rows = all_rows(out);
  REQUIRE(rows.size() == 1);
  REQUIRE_FALSE(rows[0]->closed);
  REQUIRE_FALSE(rows[0]->state.empty());
  REQUIRE_FALSE(std::get<WindowBatchPtr>(out[0])->early);
  REQUIRE(std::get<WindowBatchPtr>(out[0])->position == 7);
  REQUIRE(windows.open_instances() == 0);
}

TEST_CASE("keys beyond the cap: totals stay exact, lanes wait only near the cap", "[window][cap]") {
  WindowOptions o = options("w", {{"user_id", "user_id"}, {"service", "service"}}, counts());
  o.max_keys = 1000;
  const Compiled c = compile({o});
  std::vector<std::string> expected;
  for (const std::size_t lanes : {1, 4}) {
    Engine engine(c, lanes, 1, 3);
    std::mt19937 random(5);
    std::vector<Event> events;
    for (int i = 0; i < 40'000; ++i) {
      // Each minute has 3,000 keys, a few of them often.
      Event e = event(i / 200);
      e.user_id = random() % 2 == 0 ? static_cast<std::int64_t>(random() % 20)
                                    : static_cast<std::int64_t>(random() % 3000);
      events.push_back(e);
    }
    for (std::size_t at = 0; at < events.size(); at += 50) engine.push(&events[at], 50);
    engine.finish();
    std::map<Timestamp, std::int64_t> totals;
    std::map<Timestamp, std::size_t> keys;
    std::size_t overflow_groups = 0;
    for (const WindowRow* row : all_rows(engine.records)) {
      totals[row->start] += row->metrics[0].integer;
      keys[row->start] += row->overflow ? 0 : 1;
      if (!row->overflow) continue;
      ++overflow_groups;
      REQUIRE(row->keys[0].null);
      REQUIRE(row->keys[1].text == "__overflow__");
    }
    REQUIRE(totals.size() == 4);
    for (const auto& [start, total] : totals) {
      REQUIRE(total == (start == 180 * kSecond ? 4000 : 12'000));
      REQUIRE(keys[start] == 1000);
    }
    REQUIRE(overflow_groups == 4);
    if (lanes == 1) {
      expected = rows_of(engine.records);
      REQUIRE(engine.ordered_batches == 0);
    } else {
      REQUIRE(rows_of(engine.records) == expected);
      REQUIRE(engine.ordered_batches > 0);
      REQUIRE(engine.ordered_batches < 800 * 3 / 4);  // Full windows do not hold lanes up.
    }
  }
}

TEST_CASE("keys that lanes share do not use the cap up", "[window][cap]") {
  WindowOptions o = options("w", {{"user_id", "user_id"}}, counts());
  o.max_keys = 400;
  const Compiled c = compile({o});
  Engine engine(c, 4, 1, 3);
  std::vector<Event> events;
  for (int i = 0; i < 20'000; ++i) {
    Event e = event(1);
    e.user_id = i % 200;
    events.push_back(e);
  }
  for (std::size_t at = 0; at < events.size(); at += 20) engine.push(&events[at], 20);
  engine.finish();
  REQUIRE(engine.overflow_rows == 0);
  REQUIRE(engine.ordered_batches < 100);
}

TEST_CASE("a sum of integers beyond 64 bits is NULL and counted", "[window][sum]") {
  const Compiled c = compile({options("w", {}, {{"s", "sum(user_id)"}, {"a", "avg(user_id)"}})});
  Engine engine(c, 1, 1, 1);
  Event e = event(1);
  e.user_id = INT64_MAX;
  const std::vector<Event> events(2, e);
  engine.push(events.data(), 2);
  engine.finish();
  const auto rows = all_rows(engine.records);
  REQUIRE(rows[0]->metrics[0].null);
  REQUIRE(rows[0]->metrics[1].floating == 9223372036854775807.0);
  REQUIRE(engine.merger().overflows() == 1);
}

TEST_CASE("a batch of known keys allocates nothing", "[window][allocation]") {
#ifdef COUNTS_ALLOCATIONS
  const Compiled c =
      compile({options("w", {{"service", "service"}},
                       {{"n", "count(*)"},
                        {"e", "count(*) filter (where status_code >= 500)"},
                        {"a", "avg(latency_ms)"},
                        {"p50", "quantile(latency_ms, 0.5)"},
                        {"p99", "quantile(latency_ms, 0.99)"},
                        {"m", "max(path)"}}),
               options("v", {{"path", "path"}, {"user_id", "user_id"}}, counts(), kHour)});
  REQUIRE(c.plan != nullptr);
  Admission admission(c.plan, 1);
  StreamWindows windows(c.plan, 0, admission);
  BatchMaker maker(c.schema, true);
  DeadLetters late;
  std::mt19937 random(3);
  std::vector<Event> events;
  for (int i = 0; i < 5000; ++i) {
    Event e = event(i % 60, fmt::format("service-{}", i % 50), 1.0 + (random() % 10'000) * 0.01);
    e.path = fmt::format("/a/path/longer/than/the/inline/bytes/{}", i % 20);
    e.user_id = i % 3;
    e.status_code = i % 9 == 0 ? 500 : 200;
    events.push_back(e);
  }
  const auto batch = maker.make(events.data(), events.size());
  for (int i = 0; i < 3; ++i) windows.process(*batch, late);
  const std::size_t before = allocations;
  for (int i = 0; i < 5; ++i) {
    windows.process(*batch, late);
    REQUIRE_FALSE(windows.take_closed(kMinute - 1));
  }
  const std::size_t made = allocations - before;
  REQUIRE(made == 0);
#else
  WARN("allocations are not counted under a sanitizer");
#endif
}

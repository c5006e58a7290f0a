// A checkpoint of open windows under another config: what is lost is named, the rest goes on.
#include <map>
#include <variant>

#include "base/bytes.h"
#include "support/catch.h"
#include "window/support.h"

using namespace window_test;  // NOLINT

namespace {

std::vector<Event> few_events() {
  std::vector<Event> events;
  for (int i = 0; i < 8; ++i) {
    Event e;
    e.time = Timestamp{1'700'000'000} * kSecond + i * kSecond;
    e.service = fmt::format("service-{}", i % 4);
    e.path = "/a/path/beyond/twelve/bytes";
    e.latency_ms = i;
    e.amount = 100 * i;
    e.user_id = i;
    events.push_back(std::move(e));
  }
  return events;
}

RestoredWindows restored_under(const Engine::Checkpoint& checkpoint,
                               const std::vector<WindowOptions>& windows,
                               const std::string& filter = "") {
  const Compiled compiled = compile(windows, filter);
  INFO(text_of(compiled.diagnostics));
  REQUIRE(compiled.plan != nullptr);
  Engine engine(compiled, 2, 1, 1);
  auto restored = engine.restore(checkpoint);
  REQUIRE(restored.has_value());
  REQUIRE(engine.lane(0).open_instances() + engine.lane(1).open_instances() == restored->instances);
  return *restored;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("a window that is gone or defined differently is named, with what was open",
          "[window][snapshot]") {
  const WindowOptions minutes =
      options("minutes", {{"service", "service"}}, {{"n", "count(*)"}, {"revenue", "sum(amount)"}},
              kMinute, 10 * kSecond);
  const WindowOptions hours = options("hours", {}, {{"n", "count(*)"}}, kHour, 0);
  const Engine::Checkpoint checkpoint = checkpoint_of(compile({minutes, hours}), few_events());

  SECTION("the same config, in another order") {
    const RestoredWindows restored = restored_under(checkpoint, {hours, minutes});
    REQUIRE(restored.lost.empty());
    REQUIRE(restored.instances == 2);
    REQUIRE(restored.rows == 5);
  }
  SECTION("gone") {
    const RestoredWindows restored = restored_under(checkpoint, {hours});
    REQUIRE(restored.instances == 1);
    REQUIRE(restored.lost.size() == 1);
    const LostWindow& lost = restored.lost[0];
    REQUIRE(lost.window == "minutes");
    REQUIRE(lost.altered.empty());
    REQUIRE(lost.instances.size() == 1);
    REQUIRE(lost.instances[0].start == Timestamp{1'699'999'980} * kSecond);
    REQUIRE(lost.instances[0].end == Timestamp{1'700'000'040} * kSecond);
    REQUIRE(lost.instances[0].rows == 4);
    REQUIRE(lost.events == 8);
  }
  SECTION("all of them, told to those who have no plan") {
    const auto open = open_in_snapshot("requests", checkpoint.windows);
    REQUIRE(open.has_value());
    REQUIRE(open->size() == 2);
    for (const LostWindow& lost : *open) REQUIRE(lost.events == 8);
    REQUIRE(open_in_snapshot("others", checkpoint.windows).has_error());
    REQUIRE(open_in_snapshot("requests", "\x04rubbish").has_error());
  }
  SECTION("how many events that were, where the window counts them") {
    WindowOptions hopping =
        options("hops", {{"service", "service"}},
                {{"n", "count(*)"}, {"slow", "count(*) filter (where ok)"}}, kMinute, 0);
    hopping.hop = 5 * kSecond;  // Some panes are of windows that have closed.
    WindowOptions sums = minutes;
    sums.name = "sums";
    sums.select = {{"revenue", "sum(amount)"}, {"ok", "count(*) filter (where ok)"}};
    const auto before = checkpoint_of(compile({hopping, sums}), few_events());
    const RestoredWindows restored = restored_under(before, {hours});
    REQUIRE(restored.lost.size() == 2);
    REQUIRE(restored.lost[0].window == "hops");
    REQUIRE(restored.lost[0].instances.size() >= 2);
    REQUIRE(restored.lost[0].events == 8);
    REQUIRE(restored.lost[1].events == std::nullopt);
  }
  SECTION("each thing that decides what is counted") {
    const auto altered = [&](const WindowOptions& changed, const std::string& filter = "") {
      const RestoredWindows restored = restored_under(checkpoint, {changed}, filter);
      REQUIRE(restored.lost.size() == 2);
      REQUIRE(restored.lost[0].window == "hours");
      REQUIRE(restored.lost[1].window == "minutes");
      return restored.lost[1].altered;
    };
    WindowOptions o = minutes;
    o.size = 2 * kMinute;
    REQUIRE(altered(o) == Texts{"size"});
    o = minutes;
    o.by = {{"service", "upper(service)"}};
    REQUIRE(altered(o) == Texts{"by"});
    o = minutes;
    o.where = "ok";
    REQUIRE(altered(o) == Texts{"where"});
    REQUIRE(altered(minutes, "ok") == Texts{"filter"});
    o = minutes;
    o.select.push_back({"slow", "count(*) filter (where latency_ms > 100)"});
    REQUIRE(altered(o).size() == 1);
    REQUIRE(altered(o)[0].find("latency_ms > 100") != std::string::npos);
  }
  SECTION("what changes only how results are said does not matter") {
    WindowOptions o = minutes;
    o.select = {{"money", "sum(amount)"}, {"mean", "avg(amount)"}};
    o.by[0].name = "svc";
    const RestoredWindows restored = restored_under(checkpoint, {hours, o});
    REQUIRE(restored.lost.empty());
    REQUIRE(restored.rows == 5);
    // And the accumulators found their places.
    const Compiled compiled = compile({hours, o});
    Engine engine(compiled, 1, 1, 1);
    REQUIRE(engine.restore(checkpoint).has_value());
    engine.finish();
    const auto& batch = std::get<WindowBatchPtr>(engine.records.at(0));
    REQUIRE(batch->schema->window == "minutes");
    REQUIRE(batch->rows[1].keys[0].text == "service-1");
    REQUIRE(batch->rows[1].metrics[0].integer == 600);  // 100 + 500 cents
    REQUIRE(batch->rows[1].metrics[1].floating == 3);
  }
  SECTION("what is open stays open for as long as is said now") {
    WindowOptions o = minutes;
    for (const Duration lateness : {Duration{0}, kHour}) {
      o.allowed_lateness = lateness;
      const RestoredWindows restored = restored_under(checkpoint, {hours, o});
      REQUIRE(restored.lost.empty());
      REQUIRE(restored.rows == 5);
    }
  }
  SECTION("another max_keys") {
    WindowOptions o = minutes;
    o.max_keys = 2;
    const RestoredWindows restored = restored_under(checkpoint, {hours, o});
    REQUIRE(restored.lost.empty());
    REQUIRE(restored.recapped == Texts{"minutes"});
    // Four keys stay, no fifth is admitted, on one lane as on several.
    const Compiled compiled = compile({hours, o});
    for (const std::size_t lanes : {1, 3}) {
      Engine engine(compiled, lanes, 1, 1);
      REQUIRE(engine.restore(checkpoint).has_value());
      Event e = few_events()[7];
      for (const char* service : {"service-9", "service-0", "service-8"}) {
        e.service = service;
        engine.push(&e, 1);
      }
      engine.finish();
      REQUIRE(engine.overflow_rows == 2);
      const auto& batch = std::get<WindowBatchPtr>(engine.records.at(0));
      REQUIRE(batch->rows.size() == 5);
      REQUIRE(batch->rows[4].overflow);
      REQUIRE(batch->rows[0].metrics[0].integer == 3);
    }
  }
}

TEST_CASE("what has closed stays closed where a window waits for longer now",
          "[window][snapshot]") {
  const Timestamp begin = Timestamp{1'699'999'980} * kSecond;  // A whole minute.
  const auto at = [&](Duration after) {
    Event e = few_events()[0];
    e.time = begin + after;
    return e;
  };
  for (const Duration hop : {kMinute, 20 * kSecond}) {
    WindowOptions o = options("w", {}, {{"n", "count(*)"}}, kMinute, 10 * kSecond);
    o.hop = hop;
    std::vector<Event> events;
    for (int second = 0; second < 400; ++second) events.push_back(at(second * kSecond));
    const Engine::Checkpoint checkpoint = checkpoint_of(compile({o}), events);
    o.allowed_lateness = kHour;
    WindowOptions with_more = o;
    with_more.select.push_back({"most", "max(latency_ms)"});
    for (const WindowOptions& changed : {o, with_more}) {
      for (const std::size_t lanes : {1, 3}) {
        INFO("hop " << hop << ", lanes " << lanes << ", metrics " << changed.select.size());
        const Compiled compiled = compile({changed});
        Engine engine(compiled, lanes, 1, 1);
        REQUIRE(engine.restore(checkpoint).has_value());
        // One for windows that have all closed, one for some that have, one for those that are
        // open.
        for (const int second : {30, 359, 399}) {
          const Event e = at(second * kSecond);
          engine.push(&e, 1);
        }
        engine.checkpoint();
        engine.drain();
        // It is kept over the next restart, too.
        Engine next(compiled, lanes, 1, 1);
        REQUIRE(next.restore(engine.checkpoints.at(0)).has_value());
        const Event e = at(30 * kSecond);
        next.push(&e, 1);
        next.finish();
        REQUIRE(engine.late_counts[0] == (hop == kMinute ? 2 : 1));
        REQUIRE(next.late_counts[0] == 1);
        std::map<Timestamp, std::int64_t> rows;
        for (const Record& record : next.records) {
          for (const WindowRow& row : std::get<WindowBatchPtr>(record)->rows) {
            rows[row.start] = row.metrics[0].integer;
          }
        }
        // Seconds 0 to 399 had come, so that what ended by 389 had closed.
        std::map<Timestamp, std::int64_t> wanted;
        for (Timestamp start = begin; start < begin + 400 * kSecond; start += hop) {
          const auto in = [&](int second) {
            const Timestamp t = begin + second * kSecond;
            return t >= start && t < start + kMinute ? 1 : 0;
          };
          if (start + kMinute <= begin + 389 * kSecond) continue;
          std::int64_t n = in(359) + in(399);
          // Of a window that counts something else now, only what has come since.
          for (int s = 0; s < 400 && changed.select.size() == 1; ++s) n += in(s);
          if (n != 0) wanted[start] = n;
        }
        REQUIRE(rows == wanted);
      }
    }
  }
}

TEST_CASE("sessions that have been told stay told where they are defined differently",
          "[window][snapshot][session]") {
  const Timestamp begin = Timestamp{1'699'999'980} * kSecond;
  const auto at = [&](int second) {
    Event e = few_events()[0];
    e.time = begin + second * kSecond;
    return e;
  };
  WindowOptions o = options("w", {}, {{"n", "count(*)"}}, 8 * kSecond, 0);
  o.gap = 8 * kSecond;
  // The first two are a session that has closed by second 30.
  const Engine::Checkpoint checkpoint = checkpoint_of(compile({o}), {at(1), at(5), at(30)});
  o.allowed_lateness = kHour;
  for (const std::size_t lanes : {1, 3}) {
    const Compiled compiled = compile({o});
    Engine engine(compiled, lanes, 1, 1);
    REQUIRE(engine.restore(checkpoint).has_value());
    // The first would take its place; the second would be a session that had ended by second 30.
    for (const int second : {1, 21, 22, 24}) {
      const Event e = at(second);
      engine.push(&e, 1);
    }
    engine.checkpoint();
    engine.drain();
    REQUIRE(engine.late_counts[0] == 2);
    // It is kept over the next restart, too.
    Engine next(compiled, lanes, 1, 1);
    REQUIRE(next.restore(engine.checkpoints.at(0)).has_value());
    const Event e = at(2);
    next.push(&e, 1);
    next.finish();
    REQUIRE(next.late_counts[0] == 1);
    const auto rows = all_rows(next.records);
    REQUIRE(rows.size() == 1);
    REQUIRE(rows[0]->start == begin + 22 * kSecond);
    REQUIRE(rows[0]->metrics[0].integer == 2);
  }
}

TEST_CASE("what has closed need not be an end of today's windows", "[window][snapshot]") {
  // As where the rules of a time zone have changed since: midnight was at another time.
  const Compiled compiled = compile({options("w", {}, {{"n", "count(*)"}})});
  std::vector<Event> events;
  for (int second = 0; second < 200; ++second) {
    events.push_back(few_events()[0]);
    events.back().time += second * kSecond;
  }
  Engine::Checkpoint checkpoint = checkpoint_of(compiled, events);
  // Seconds 20 to 219 of a minute: three have closed.
  const Timestamp closed = Timestamp{1'699'999'980} * kSecond + 3 * kMinute;
  std::string bytes;
  put_signed(bytes, closed);
  std::string moved;
  put_signed(moved, closed - 10 * kSecond);
  const std::size_t at = checkpoint.windows.find(bytes);
  REQUIRE(at != std::string::npos);
  checkpoint.windows.replace(at, bytes.size(), moved);
  Engine engine(compiled, 2, 1, 1);
  const auto restored = engine.restore(checkpoint);
  REQUIRE(restored.has_value());
  REQUIRE(restored->instances == 1);
}

TEST_CASE("open windows are shown again after a restart, before anything new has come",
          "[window][snapshot]") {
  const Compiled compiled = compile({options("w", {{"service", "service"}}, {{"n", "count(*)"}})});
  REQUIRE(compiled.plan != nullptr);
  const Engine::Checkpoint checkpoint = checkpoint_of(compiled, few_events());
  Engine engine(compiled, 3, 1, 1);
  REQUIRE(engine.restore(checkpoint).has_value());
  engine.show(0);
  engine.drain();
  REQUIRE(engine.records.size() == 1);
  const auto& batch = std::get<WindowBatchPtr>(engine.records[0]);
  REQUIRE(batch->early);
  REQUIRE(batch->rows.size() == 4);
  REQUIRE(batch->rows[3].metrics[0].integer == 2);
}

TEST_CASE("a derived field or a type that changed alters the windows that read it",
          "[window][snapshot]") {
  const auto compile_with = [](const char* derived, Kind amount) {
    Compiled c;
    c.schema.fields[6].type = amount == Kind::decimal ? DataType{amount, 2} : DataType{amount, 0};
    expr::Scope scope = scope_of(c.schema);
    const SourceText source{std::string(derived)};
    scope.add_definition("slow", expr::parse(source, c.diagnostics), source);
    const std::vector<WindowOptions> windows = {
        options("reads", {}, {{"n", "count(*) filter (where slow)"}}, kHour),
        options("reads_not", {}, {{"n", "count(*)"}}, kHour),
        options("money", {}, {{"n", "count(amount)"}}, kHour)};
    c.plan = compile_windows(c.schema, scope, nullptr, SourceText(), windows, c.diagnostics);
    INFO(text_of(c.diagnostics));
    REQUIRE(c.plan != nullptr);
    return c;
  };
  const Engine::Checkpoint checkpoint =
      checkpoint_of(compile_with("latency_ms > 100", Kind::decimal), few_events());
  const auto lost_under = [&](const char* derived, Kind amount) {
    const Compiled compiled = compile_with(derived, amount);
    Engine engine(compiled, 1, 1, 1);
    const auto restored = engine.restore(checkpoint);
    REQUIRE(restored.has_value());
    Texts names;
    for (const LostWindow& lost : restored->lost) names.push_back(lost.window);
    return names;
  };
  REQUIRE(lost_under("latency_ms  >  100", Kind::decimal).empty());
  REQUIRE(lost_under("latency_ms > 200", Kind::decimal) == Texts{"reads"});
  REQUIRE(lost_under("latency_ms > 100", Kind::integer) == Texts{"money"});
}

TEST_CASE("a snapshot of version 1, from before windows could hop, is read", "[window][snapshot]") {
  const Compiled compiled =
      compile({options("w", {{"service", "service"}}, {{"n", "count(*)"}}, kMinute, kSecond)});
  const Engine::Checkpoint now = checkpoint_of(compiled, few_events());
  // Version 1 had neither a number of kept panes before that of instances nor a due behind the end.
  const Timestamp start = Timestamp{1'699'999'980} * kSecond;
  const Timestamp end = start + kMinute;
  std::string later;
  put_signed(later, start);  // What has closed.
  put_varint(later, 0);
  put_u8(later, 0);  // Nothing is corrected.
  std::string unknown;
  put_signed(unknown, kMinTimestamp);
  put_varint(unknown, 0);
  put_u8(unknown, 0);
  std::string before;
  for (std::string* bytes : {&later, &unknown, &before}) {
    put_varint(*bytes, 1);
    put_signed(*bytes, start);
    put_signed(*bytes, end);
  }
  put_signed(later, end);
  put_signed(unknown, end);
  const std::size_t at = now.windows.find(later);
  REQUIRE(at != std::string::npos);
  REQUIRE(now.windows[0] == 4);
  Engine::Checkpoint old = now;
  old.windows.replace(at, later.size(), before);
  old.windows[0] = 1;

  Engine engine(compiled, 2, 1, 1);
  const auto restored = engine.restore(old);
  REQUIRE(restored.has_value());
  REQUIRE(restored->lost.empty());
  REQUIRE(restored->instances == 1);
  REQUIRE(restored->rows == 4);
  engine.checkpoint();
  engine.drain();
  std::string same = now.windows;
  same.replace(at, later.size(), unknown);
  REQUIRE(engine.checkpoints.at(0).windows == same);
}

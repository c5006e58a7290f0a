// Sessions against an oracle that goes through the log event by event, closing and joining as it
// goes: every lane count, every cut into batches, across a restart in the middle.
#include <list>
#include <set>

#include "support/catch.h"
#include "window/late_histories.h"

using namespace window_test;  // NOLINT

namespace {

struct Gap {
  std::string name;
  Duration gap;
  Duration lateness;
  std::size_t max_keys;
  Duration pane;
  Duration cut = 0;
};

WindowOptions session_options(const std::string& name, Duration gap, Duration lateness,
                              Duration cut = 0) {
  WindowOptions o = options(name, {{"service", "service"}}, select_list(), gap, lateness);
  o.gap = gap;
  o.cut_every = cut;
  return o;
}

struct SessionOracle {
  using Key = std::pair<bool, std::string>;  // Overflow comes last.
  struct Session {
    Key key;
    Timestamp first = 0;
    Timestamp last = 0;
    std::vector<Event> events;  ///< In the order of the log.
    std::vector<std::size_t> places;
  };

  SessionOracle(std::vector<Gap> w, std::uint32_t partitions)
      : windows(std::move(w)),
        watermark(partitions),
        open(windows.size()),
        late(windows.size(), 0) {}

  /// The watermark behind which nothing is added that ends as `t` does.
  static Timestamp closes_at(const Gap& w, Timestamp t) {
    return floor_to(t, w.pane) + w.pane + w.gap + w.lateness;
  }

  void add(const Event& e) {
    ++place;
    for (std::size_t w = 0; w < windows.size(); ++w) {
      close(w);
      put(w, e);
    }
    watermark.pass(e);
  }

  void close(std::size_t w) {
    for (auto s = open[w].begin(); s != open[w].end();) {
      const auto session = s++;
      const Timestamp at = closes_at(windows[w], session->last);
      if (at > watermark.time) continue;
      closed[{at, w, session->first, session->key}] = session->events;
      ends[{at, w, session->first, session->key}] =
          std::min(session->last + windows[w].gap, cut_behind(windows[w], session->first));
      open[w].erase(session);
    }
  }

  static Timestamp cut_behind(const Gap& w, Timestamp t) {
    return w.cut == 0 ? kMaxTimestamp : floor_to(t, w.cut) + w.cut;
  }

  void put(std::size_t w, const Event& e) {
    const Gap& window = windows[w];
    if (closes_at(window, e.time) <= watermark.time) {
      ++late[w];
      return;
    }
    // The cap is on the keys of an eighth of the gap, between two closes.
    const Duration step = window.pane;
    const Timestamp since = watermark.time == kMinTimestamp
                                ? kMinTimestamp
                                : floor_to(watermark.time - window.gap - window.lateness, step);
    std::set<std::string>& admitted = keys[{w, floor_to(e.time, step), since}];
    Session joined{{false, e.service.value_or("null")}, e.time, e.time, {}, {}};
    if (!admitted.contains(joined.key.second)) {
      if (admitted.size() < window.max_keys) {
        admitted.insert(joined.key.second);
      } else {
        joined.key = {true, ""};
      }
    }
    std::map<std::size_t, Event> events{{place, e}};
    for (auto s = open[w].begin(); s != open[w].end();) {
      const auto other = s++;
      const bool overlaps = other->key == joined.key && e.time < other->last + window.gap &&
                            other->first < e.time + window.gap &&
                            cut_behind(window, e.time) == cut_behind(window, other->first);
      if (!overlaps) continue;
      joined.first = std::min(joined.first, other->first);
      joined.last = std::max(joined.last, other->last);
      for (std::size_t i = 0; i < other->events.size(); ++i) {
        events[other->places[i]] = other->events[i];
      }
      open[w].erase(other);
      joins += 1;
    }
    for (const auto& [at, event] : events) {
      joined.places.push_back(at);
      joined.events.push_back(event);
    }
    open[w].push_back(std::move(joined));
  }

  std::vector<std::string> finish() {
    watermark.time = kMaxTimestamp;
    for (std::size_t w = 0; w < windows.size(); ++w) close(w);
    std::vector<std::string> out;
    for (const auto& [at, events] : closed) {
      const auto& [closes, w, first, key] = at;
      out.push_back(fmt::format("{} {} {} closed{} k={}", windows[w].name, first, ends[at],
                                key.first ? " overflow" : "",
                                key.first ? "__overflow__" : key.second) +
                    metrics_of(events));
    }
    return out;
  }

  std::vector<Gap> windows;
  Watermark watermark;
  std::size_t place = 0;
  std::vector<std::list<Session>> open;
  std::map<std::tuple<Timestamp, std::size_t, Timestamp, Key>, std::vector<Event>> closed;
  std::map<std::tuple<Timestamp, std::size_t, Timestamp, Key>, Timestamp> ends;
  std::map<std::tuple<std::size_t, Timestamp, Timestamp>, std::set<std::string>> keys;
  std::vector<std::uint64_t> late;
  std::size_t joins = 0;
};

}  // namespace

TEST_CASE("sessions: events of a key that follow one another by less than the gap",
          "[window][session]") {
  std::size_t late = 0;
  std::size_t rows_in_all = 0;
  std::size_t joins = 0;
  std::size_t kept = 0;
  const unsigned histories = seeds(1'200);
  for (unsigned seed = 0; seed < histories; ++seed) {
    std::mt19937 random(seed);
    const std::uint32_t partitions = 1 + random() % 2;
    const std::size_t cap = random() % 3 == 0 ? 2 : 100;
    const Duration lateness = static_cast<Duration>(random() % 4) * 9 * kSecond;
    const std::vector<Gap> windows = {
        {"short_ones", 8 * kSecond, lateness, cap, kSecond},
        {"long_ones", 40 * kSecond, lateness, 100, 5 * kSecond},
        {"uneven", 7'001 * kMillisecond + 1, 0, 100, 875'125},
        {"cut_ones", 40 * kSecond, lateness, cap, 5 * kSecond, kMinute},
        // No eighth of it divides the minute; the longest part that does is a 75th.
        {"cut_unevenly", 7 * kSecond, lateness, 100, kMinute / 75, kMinute}};
    const std::size_t count = 60 + random() % 140;
    const Duration stride = (1 + static_cast<Duration>(random() % 8)) * kSecond;
    const std::vector<Event> events = random_events(random, count, partitions, stride);
    SessionOracle oracle(windows, partitions);
    for (const Event& e : events) oracle.add(e);
    const std::vector<std::string> expected = oracle.finish();
    late += oracle.late[0];
    rows_in_all += expected.size();
    joins += oracle.joins;

    std::vector<WindowOptions> all;
    for (const Gap& w : windows) {
      all.push_back(session_options(w.name, w.gap, w.lateness, w.cut));
      all.back().max_keys = w.max_keys;
    }
    const Compiled compiled = compile(all);
    INFO(text_of(compiled.diagnostics));
    REQUIRE(compiled.plan != nullptr);
    const std::size_t line = random() % events.size();
    Outcome of_one_lane;
    for (const std::size_t lanes : {1, 2, 4}) {
      INFO("seed " << seed << ", lanes " << lanes);
      const Outcome outcome =
          outcome_of(compiled, events, {lanes, partitions, seed, line, windows.size()}, random);
      REQUIRE(as_oracle(outcome.rows) == expected);
      REQUIRE(outcome.late == oracle.late);
      REQUIRE(outcome.panes_after == 0);
      kept += outcome.kept_panes;
      if (lanes == 1) of_one_lane = outcome;
      REQUIRE(outcome.rows == of_one_lane.rows);
      REQUIRE(outcome.snapshot == of_one_lane.snapshot);
    }
  }
  // The histories meet what they are for.
  REQUIRE(late > histories / 2);
  REQUIRE(joins > 8 * histories);
  REQUIRE(rows_in_all > 8 * histories);
  REQUIRE(kept > histories / 2);
}

TEST_CASE("a session that has closed is not opened again, and is told as it was",
          "[window][session]") {
  const Compiled compiled = compile({session_options("w", 8 * kSecond, 0)});
  Engine engine(compiled, 2, 1, 1);
  // The first closes at 13 s; what comes at 12 s would be within the gap of 5, and begins another.
  for (const int second : {1, 5, 14, 12, 40}) {
    const Event e = event(second);
    engine.push(&e, 1);
  }
  engine.finish();
  const auto rows = all_rows(engine.records);
  REQUIRE(rows.size() == 3);
  REQUIRE(rows[0]->start == 1 * kSecond);
  REQUIRE(rows[0]->end == 13 * kSecond);
  REQUIRE(rows[0]->metrics[0].integer == 2);
  REQUIRE(rows[1]->start == 12 * kSecond);
  REQUIRE(rows[1]->end == 22 * kSecond);
  REQUIRE(rows[2]->start == 40 * kSecond);
}

TEST_CASE("a session that is cut ends there, and its key goes on with another",
          "[window][session]") {
  const Compiled compiled = compile({session_options("w", 8 * kSecond, 0, kMinute)});
  Engine engine(compiled, 2, 1, 1);
  for (const int second : {50, 55, 61, 64, 100}) {
    const Event e = event(second);
    engine.push(&e, 1);
  }
  engine.finish();
  const auto rows = all_rows(engine.records);
  REQUIRE(rows.size() == 3);
  REQUIRE(rows[0]->start == 50 * kSecond);
  REQUIRE(rows[0]->end == 60 * kSecond);
  REQUIRE(rows[0]->metrics[0].integer == 2);
  REQUIRE(rows[1]->start == 61 * kSecond);
  REQUIRE(rows[1]->end == 72 * kSecond);
  REQUIRE(rows[1]->metrics[0].integer == 2);
}

TEST_CASE("panes of sessions are an eighth of the gap, or the next shorter that a cut allows",
          "[window][session]") {
  REQUIRE(session_pane(8 * kSecond, 0) == kSecond);
  REQUIRE(session_pane(5 * kMinute, kHour) == 37'500 * kMillisecond);
  REQUIRE(session_pane(7 * kSecond, kMinute) == 800 * kMillisecond);
  REQUIRE(session_pane(1'000'003 * 8, 2 * 1'000'003 * 8 + 1) == 0);
}

TEST_CASE("sessions cut short by a shutdown are told as they are", "[window][session][merger]") {
  const Compiled c = compile({session_options("w", 8 * kSecond, 0)});
  Admission admission(c.plan, 1);
  StreamWindows windows(c.plan, 0, admission);
  BatchMaker maker(c.schema, true);
  WindowMerger merger(c.plan);
  DeadLetters late;
  for (const int second : {1, 5, 30}) {
    const Event e = event(second);
    windows.process(*maker.make(&e, 1), late);
  }
  Records out;
  std::vector<PartialPtr> partials;
  partials.push_back(windows.take_all());
  merger.merge(std::move(partials), 1, 30 * kSecond, RoundKind::cut_short, out);
  const auto rows = all_rows(out);
  REQUIRE(rows.size() == 2);
  REQUIRE(rows[0]->end == 13 * kSecond);
  REQUIRE(rows[1]->end == 38 * kSecond);
  REQUIRE_FALSE(rows[0]->closed);
  REQUIRE(merger.kept().panes == 0);
}

TEST_CASE("snapshots of sessions: damaged ones are refused or run to their end",
          "[window][session][snapshot]") {
  const Compiled compiled = compile({session_options("w", 8 * kSecond, kSecond)});
  const Engine::Checkpoint good =
      checkpoint_of(compiled, {event(5), event(25), event(26), event(34)});
  for (std::size_t at = 0; at < good.windows.size(); ++at) {
    for (const int bit : {0, 3, 6, 7}) {
      Engine::Checkpoint bad = good;
      bad.windows[at] = static_cast<char>(bad.windows[at] ^ (1 << bit));
      Engine engine(compiled, 1, 1, 1);
      const auto restored = engine.restore(bad);
      if (!restored) {
        REQUIRE(restored.error().code == ErrorCode::corrupt);
        continue;
      }
      const Event e = event(1'000);
      engine.push(&e, 1);
      engine.finish();
    }
  }
  // With another gap, other sessions.
  Engine other(compile({session_options("w", 9 * kSecond, kSecond)}), 1, 1, 1);
  const auto restored = other.restore(good);
  REQUIRE(restored.has_value());
  REQUIRE(restored->lost.size() == 1);
  REQUIRE(restored->lost[0].altered == std::vector<std::string>{"size", "gap"});
}

TEST_CASE("open sessions are shown as they are by now, from all lanes and the merger",
          "[window][session][open]") {
  WindowOptions o = options("w", {{"service", "service"}}, {{"n", "count(*)"}}, kMinute);
  o.gap = kMinute;
  o.size = kMinute;
  const Compiled compiled = compile({o});
  REQUIRE(compiled.plan != nullptr);
  Engine engine(compiled, 3, 1, 1);
  const auto shown = [&]() {
    engine.drain();
    engine.records.clear();
    for (int i = 0; i < 2; ++i) engine.show(0);
    engine.drain();
    std::vector<std::string> out;
    for (const WindowRow* row : all_rows(engine.records)) {
      out.push_back(fmt::format("{} {}-{} {}{}", row->keys[0].to_string(), row->start / kSecond,
                                row->end / kSecond, row->metrics[0].integer,
                                row->closed ? " closed" : ""));
    }
    std::sort(out.begin(), out.end());
    return out;
  };
  using Texts = std::vector<std::string>;
  for (const Event& e : {event(100), event(110, "b")}) engine.push(&e, 1);
  REQUIRE(shown() == Texts{"a 100-160 1", "b 110-170 1"});
  // One goes on, the other begins earlier.
  for (const Event& e : {event(150), event(95, "b")}) engine.push(&e, 1);
  REQUIRE(shown() == Texts{"a 100-210 2", "b 95-170 2"});
  // What has closed is shown no more; what began in panes that have ended is shown whole.
  for (const Event& e : {event(200, "c"), event(201)}) engine.push(&e, 1);
  REQUIRE(shown() == Texts{"a 100-261 3", "c 200-260 1"});
  engine.records.clear();
  engine.finish();
  REQUIRE(all_rows(engine.records).size() == 2);
}

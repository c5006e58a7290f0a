// Hopping windows against an oracle that puts each event into each window that would hold it, one
// by one: every lane count, every cut into batches, across a restart in the middle.
#include <set>

#include "support/catch.h"
#include "window/late_histories.h"

using namespace window_test;  // NOLINT

namespace {

struct Hops {
  std::string name;
  Duration size;
  Duration hop;
  Duration lateness;
  std::size_t max_keys;
};

std::vector<WindowOptions> options_of(const std::vector<Hops>& windows) {
  std::vector<WindowOptions> all;
  for (const Hops& w : windows) {
    WindowOptions o = options(w.name, {{"service", "service"}}, select_list(), w.size, w.lateness);
    o.hop = w.hop;
    o.max_keys = w.max_keys;
    all.push_back(std::move(o));
  }
  return all;
}

struct Oracle {
  using Key = std::pair<bool, std::string>;  // Overflow comes last.
  using Rows = std::map<Key, std::vector<Event>>;

  Oracle(std::vector<Hops> w, std::uint32_t partitions)
      : windows(std::move(w)),
        watermark(partitions),
        late(windows.size(), 0),
        partly_late(windows.size(), 0) {}

  void add(const Event& e) {
    for (std::size_t w = 0; w < windows.size(); ++w) put(w, e);
    watermark.pass(e);
  }

  void put(std::size_t w, const Event& e) {
    const Hops& window = windows[w];
    const Timestamp pane = floor_to(e.time, window.hop);
    std::vector<Timestamp> open;
    bool missed = false;
    for (Timestamp start = pane - window.size + window.hop; start <= pane; start += window.hop) {
      if (start + window.size + window.lateness > watermark.time) {
        open.push_back(start);
      } else {
        missed = true;
      }
    }
    if (open.empty()) {
      ++late[w];
      return;
    }
    if (missed) ++partly_late[w];
    // The cap is on a pane's keys, those of stragglers counted apart.
    std::set<std::string>& admitted = keys[{w, pane, open.front()}];
    Key key{false, e.service.value_or("null")};
    if (!admitted.contains(key.second)) {
      if (admitted.size() < window.max_keys) {
        admitted.insert(key.second);
      } else {
        key = {true, ""};
      }
    }
    for (const Timestamp start : open) {
      rows[{start + window.size + window.lateness, w, start}][key].push_back(e);
    }
  }

  std::vector<std::string> texts() const {
    std::vector<std::string> out;
    for (const auto& [place, groups] : rows) {
      const auto& [closes_at, w, start] = place;
      for (const auto& [key, events] : groups) {
        std::string text = fmt::format("{} {} {} closed{}", windows[w].name, start,
                                       start + windows[w].size, key.first ? " overflow" : "");
        text += " k=" + (key.first ? std::string("__overflow__") : key.second);
        out.push_back(text + metrics_of(events));
      }
    }
    return out;
  }

  std::vector<Hops> windows;
  Watermark watermark;
  std::map<std::tuple<std::size_t, Timestamp, Timestamp>, std::set<std::string>> keys;
  std::map<std::tuple<Timestamp, std::size_t, Timestamp>, Rows> rows;
  std::vector<std::uint64_t> late;
  std::vector<std::uint64_t> partly_late;
};

}  // namespace

TEST_CASE("hopping windows: an event is in each window that was open when it came",
          "[window][hopping]") {
  std::size_t partly_late = 0;
  std::size_t late = 0;
  std::size_t kept = 0;
  const unsigned histories = seeds(1'200);
  for (unsigned seed = 0; seed < histories; ++seed) {
    std::mt19937 random(seed);
    const std::uint32_t partitions = 1 + random() % 2;
    const std::size_t cap = random() % 3 == 0 ? 3 : 100;
    const Duration lateness = static_cast<Duration>(random() % 4) * 7 * kSecond;
    const std::vector<Hops> windows = {
        {"minute_by_10s", kMinute, 10 * kSecond, lateness, cap},
        {"tumbling", 30 * kSecond, 30 * kSecond, 0, cap},
        {"half_by_15s", 30 * kSecond, 15 * kSecond, lateness, 100},
    };
    const std::size_t count = 60 + random() % 120;
    const Duration stride = (1 + static_cast<Duration>(random() % 8)) * kSecond;
    const std::vector<Event> events = random_events(random, count, partitions, stride);
    Oracle oracle(windows, partitions);
    for (const Event& e : events) oracle.add(e);
    const std::vector<std::string> expected = oracle.texts();
    late += oracle.late[0];
    partly_late += oracle.partly_late[0];

    const Compiled compiled = compile(options_of(windows));
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
      REQUIRE(outcome.partly_late == oracle.partly_late);
      REQUIRE(outcome.panes_after == 0);
      kept += outcome.kept_panes;
      // The same bytes: of results, states included, and of what is open in the middle.
      if (lanes == 1) of_one_lane = outcome;
      REQUIRE(outcome.rows == of_one_lane.rows);
      REQUIRE(outcome.snapshot == of_one_lane.snapshot);
    }
  }
  // The histories meet what they are for.
  REQUIRE(late > histories / 2);
  REQUIRE(partly_late > histories / 2);
  REQUIRE(kept > histories / 2);
}

TEST_CASE("a window of very many panes is the merge of them all", "[window][hopping]") {
  WindowOptions o =
      options("w", {}, {{"n", "count(*)"}, {"users", "count(distinct user_id)"}}, 24 * kMinute);
  o.hop = kSecond;
  const Compiled compiled = compile({o});
  REQUIRE(compiled.plan != nullptr);
  Engine engine(compiled, 2, 1, 1);
  std::vector<Event> events;
  for (int i = 0; i < 5'000; ++i) {
    Event e = event(Timestamp{1'700'000'000} + i + (i > 2'000 ? 5'000 : 0));
    e.user_id = i % 700;
    events.push_back(std::move(e));
  }
  for (std::size_t at = 0; at < events.size(); at += 10) engine.push(&events[at], 10);
  engine.finish();
  std::map<Timestamp, std::pair<std::int64_t, std::set<std::int64_t>>> expected;
  for (const Event& e : events) {
    for (int i = 1; i <= 24 * 60; ++i) {
      auto& [n, users] = expected[e.time + i * kSecond];
      ++n;
      users.insert(*e.user_id);
    }
  }
  const auto rows = all_rows(engine.records);
  REQUIRE(rows.size() == expected.size());
  auto row = rows.begin();
  for (const auto& [end, figures] : expected) {
    REQUIRE((*row)->end == end);
    REQUIRE((*row)->start == end - 24 * kMinute);
    REQUIRE((*row)->metrics[0].integer == figures.first);
    REQUIRE((*row)->metrics[1].integer == static_cast<std::int64_t>(figures.second.size()));
    ++row;
  }
}

TEST_CASE("open hopping windows are shown with all they are made of", "[window][hopping][open]") {
  WindowOptions o = options("w", {}, {{"n", "count(*)"}}, kMinute);
  o.hop = 20 * kSecond;
  const Compiled compiled = compile({o});
  Engine engine(compiled, 2, 1, 3);
  for (const int second : {5, 25, 26, 41, 65, 85, 86}) {
    const Event e = event(second);
    engine.push(&e, 1);
  }
  engine.drain();
  engine.records.clear();
  engine.show(0);
  engine.drain();
  const auto rows = all_rows(engine.records);
  REQUIRE(rows.size() == 1);  // [20, 80) has closed; [40, 100) is in its last hop.
  REQUIRE(rows[0]->start == 40 * kSecond);
  REQUIRE(rows[0]->end == 100 * kSecond);
  REQUIRE_FALSE(rows[0]->closed);
  REQUIRE(rows[0]->metrics[0].integer == 4);
}

TEST_CASE("what a shutdown cuts short of hopping windows is every window that is open",
          "[window][hopping][merger]") {
  WindowOptions o = options("w", {}, {{"n", "count(*)"}}, kMinute);
  o.hop = 20 * kSecond;
  const Compiled c = compile({o});
  Admission admission(c.plan, 1);
  StreamWindows windows(c.plan, 0, admission);
  BatchMaker maker(c.schema, true);
  WindowMerger merger(c.plan);
  DeadLetters late;
  Records out;
  const auto round = [&](PartialPtr partial, Timestamp watermark, RoundKind kind) {
    out.clear();
    std::vector<PartialPtr> partials;
    partials.push_back(std::move(partial));
    merger.merge(std::move(partials), 1, watermark, kind, out);
  };
  const Event e = event(5);
  windows.process(*maker.make(&e, 1), late);
  round(windows.take_closed(25 * kSecond), 25 * kSecond, RoundKind::closed);
  REQUIRE(all_rows(out).size() == 1);
  REQUIRE(merger.kept().panes == 1);
  REQUIRE(merger.kept().keys == 1);
  // A window closes for which no lane has anything.
  round(windows.take_closed(40 * kSecond), 40 * kSecond, RoundKind::closed);
  REQUIRE(all_rows(out).size() == 1);
  REQUIRE(all_rows(out)[0]->end == 40 * kSecond);
  round(windows.take_all(), 41 * kSecond, RoundKind::cut_short);
  REQUIRE(all_rows(out).size() == 1);
  REQUIRE(all_rows(out)[0]->end == 60 * kSecond);
  REQUIRE_FALSE(all_rows(out)[0]->closed);
  REQUIRE(merger.kept().panes == 0);
}

TEST_CASE("a hop that does not fit its window is told, with the way out", "[window][compile]") {
  const auto told = [](Duration size, Duration hop, const std::string& zone = "") {
    WindowOptions o = options("w", {}, {{"n", "count(*)"}}, size);
    o.hop = hop;
    o.timezone = zone;
    const Compiled c = compile({o});
    REQUIRE((c.plan == nullptr) == !c.diagnostics.empty());
    return text_of(c.diagnostics);
  };
  REQUIRE(told(kMinute, kMinute).empty());
  REQUIRE(told(kDay, kMinute).empty());
  REQUIRE(told(kMinute, 25 * kSecond).find("a whole number of hops") != std::string::npos);
  REQUIRE(told(kMinute, 2 * kMinute).find("a whole number of hops") != std::string::npos);
  REQUIRE(told(2 * kDay, kMinute).find("2880 windows; at most 1440") != std::string::npos);
  REQUIRE(told(2 * kDay, kDay, "Europe/Berlin").find("do not hop") != std::string::npos);
}

TEST_CASE("panes of a snapshot that do not lie as the window's do are refused",
          "[window][hopping][snapshot]") {
  WindowOptions o = options("w", {}, {{"n", "count(*)"}}, kMinute);
  o.hop = 20 * kSecond;
  const Compiled compiled = compile({o});
  const Engine::Checkpoint good =
      checkpoint_of(compiled, {event(5), event(25), event(45), event(50)});
  {
    Engine engine(compiled, 2, 1, 1);
    const auto restored = engine.restore(good);
    REQUIRE(restored.has_value());
    REQUIRE(restored->instances == 3);
    REQUIRE(engine.merger().kept().panes == 2);
  }
  // Whatever byte is another: refused, or something that runs to its end.
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
  // With another hop, other panes.
  o.hop = 10 * kSecond;
  Engine other(compile({o}), 1, 1, 1);
  const auto restored = other.restore(good);
  REQUIRE(restored.has_value());
  REQUIRE(restored->lost.size() == 1);
  REQUIRE(restored->lost[0].altered == std::vector<std::string>{"hop"});
  REQUIRE(restored->lost[0].instances.size() == 3);
  REQUIRE(other.merger().kept().panes == 0);
}

// Windows that are corrected after they have closed, against an oracle that knows neither panes nor
// lanes: every lane count, every cut into batches, across a restart in the middle.
#include <set>

#include "support/catch.h"
#include "window/late_histories.h"

using namespace window_test;  // NOLINT

namespace {

struct Corrected {
  std::string name;
  Duration size;
  Duration hop;
  Duration lateness;
  Duration correct_for;  ///< 0: it is not.
  Duration every;        ///< Revisions are due at its multiples.
};

std::vector<WindowOptions> options_of(const std::vector<Corrected>& windows) {
  std::vector<WindowOptions> all;
  for (const Corrected& w : windows) {
    WindowOptions o = options(w.name, {{"service", "service"}}, select_list(), w.size, w.lateness);
    o.hop = w.hop;
    o.correct_for = w.correct_for;
    all.push_back(std::move(o));
  }
  return all;
}

/// Each event goes by itself into each window that would hold it, and is noted with the time from
/// which it counts there: the window's end, or a later multiple of `every`.
struct Oracle {
  using Place = std::tuple<std::size_t, Timestamp, std::string>;           ///< Window, start, key.
  using Row = std::tuple<Timestamp, std::size_t, Timestamp, std::string>;  ///< And when it is told.

  Oracle(std::vector<Corrected> w, std::uint32_t partitions)
      : windows(std::move(w)),
        watermark(partitions),
        late(windows.size(), 0),
        partly_late(windows.size(), 0),
        correcting(windows.size(), 0) {}

  void add(const Event& e) {
    for (std::size_t w = 0; w < windows.size() && !e.excluded; ++w) put(w, e);
    watermark.pass(e);
  }

  void put(std::size_t w, const Event& e) {
    const Corrected& window = windows[w];
    std::size_t missed = 0;
    std::size_t taken = 0;
    bool corrects = false;
    const Timestamp last = floor_to(e.time, window.hop);
    for (Timestamp start = last - window.size + window.hop; start <= last; start += window.hop) {
      const Timestamp end = start + window.size;
      Timestamp from = end;
      if (end + window.lateness <= watermark.time) {
        from = floor_to(watermark.time - window.lateness, window.every) + window.every;
        // Rounded up to whole ones.
        const Duration correct_for =
            (window.correct_for + window.every - 1) / window.every * window.every;
        if (correct_for == 0 || from > end + correct_for) {
          ++missed;
          continue;
        }
        corrects = true;
      }
      ++taken;
      groups[{w, start, e.service.value_or("null")}][from].push_back({order++, e});
    }
    late[w] += taken == 0 ? 1 : 0;
    partly_late[w] += taken != 0 && missed != 0 ? 1 : 0;
    correcting[w] += window.correct_for != 0 && taken != 0 && (corrects || missed != 0) ? 1 : 0;
  }

  std::vector<std::string> texts() const {
    std::map<Row, std::string> rows;
    for (const auto& [place, parts] : groups) {
      const auto& [w, start, key] = place;
      std::vector<Numbered> so_far;
      int revision = 0;
      for (const auto& [from, events] : parts) {
        so_far.insert(so_far.end(), events.begin(), events.end());
        std::sort(so_far.begin(), so_far.end(),
                  [](const Numbered& a, const Numbered& b) { return a.order < b.order; });
        std::vector<Event> all;
        for (const Numbered& each : so_far) all.push_back(each.event);
        rows[{from + windows[w].lateness, w, start, key}] = fmt::format(
            "{} {} {} closed{} k={}{}", windows[w].name, start, start + windows[w].size,
            revision == 0 ? std::string() : fmt::format(" r={}", revision), key, metrics_of(all));
        ++revision;
      }
    }
    std::vector<std::string> out;
    for (const auto& [place, text] : rows) out.push_back(text);
    return out;
  }

  struct Numbered {
    std::size_t order;
    Event event;
  };
  std::vector<Corrected> windows;
  Watermark watermark;
  std::size_t order = 0;
  std::map<Place, std::map<Timestamp, std::vector<Numbered>>> groups;
  std::vector<std::uint64_t> late;
  std::vector<std::uint64_t> partly_late;
  std::vector<std::uint64_t> correcting;
};

const unsigned kSeeds = seeds(80);

}  // namespace

TEST_CASE("late events come again as revisions, which follow from the log alone",
          "[window][correction]") {
  std::uint64_t late = 0;
  std::uint64_t partly_late = 0;
  std::uint64_t correcting = 0;
  std::size_t kept = 0;
  std::size_t revisions = 0;
  for (unsigned seed = 0; seed < kSeeds; ++seed) {
    std::mt19937 random(seed);
    const std::uint32_t partitions = 1 + random() % 2;
    const Duration lateness = static_cast<Duration>(random() % 4) * 7 * kSecond;
    const std::vector<Corrected> windows = {
        {"minute_by_10s", kMinute, 10 * kSecond, lateness, 40 * kSecond, 10 * kSecond},
        {"halves", 30 * kSecond, 30 * kSecond, lateness, 45 * kSecond, 30 * kSecond},
        {"two_minutes", 2 * kMinute, 2 * kMinute, 0, 3 * kMinute, kMinute},
        {"as_ever", 30 * kSecond, 30 * kSecond, lateness, 0, 30 * kSecond},
        {"ninety_by_30s", 90 * kSecond, 30 * kSecond, 5 * kSecond, 30 * kSecond, 30 * kSecond},
    };
    const std::size_t count = 60 + random() % 120;
    const Duration stride = (1 + static_cast<Duration>(random() % 8)) * kSecond;
    std::vector<Event> events = random_events(random, count, partitions, stride);
    for (Event& e : events) e.excluded = random() % 12 == 0;
    Oracle oracle(windows, partitions);
    for (const Event& e : events) oracle.add(e);
    const std::vector<std::string> expected = oracle.texts();
    late += oracle.late[1];
    partly_late += oracle.partly_late[0];
    correcting += oracle.correcting[1];

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
      REQUIRE(outcome.correcting == oracle.correcting);
      REQUIRE(outcome.panes_after == 0);
      kept += outcome.kept_panes;
      if (lanes == 1) {
        of_one_lane = outcome;
        for (const std::string& row : outcome.rows) {
          revisions += row.find(" r=") != std::string::npos;
        }
      }
      REQUIRE(outcome.rows == of_one_lane.rows);
      REQUIRE(outcome.snapshot == of_one_lane.snapshot);
    }
  }
  // The histories meet what they are for.
  REQUIRE(late > kSeeds / 8);
  REQUIRE(partly_late > kSeeds / 8);
  REQUIRE(correcting > kSeeds);
  REQUIRE(revisions > kSeeds);
  REQUIRE(kept > kSeeds);
}

namespace {

/// Minutes of each service, corrected for five.
WindowOptions minutes() {
  WindowOptions o = options("w", {{"service", "service"}}, {{"n", "count(*)"}}, kMinute);
  o.correct_for = 5 * kMinute;
  return o;
}

void push(Engine& engine, const Event& e) {
  engine.push(&e, 1);
}

/// "start/service n rN" of each row, from `from` on.
std::vector<std::string> told(const Engine& engine, std::size_t from = 0) {
  std::vector<std::string> out;
  const auto rows = all_rows(engine.records);
  for (std::size_t i = from; i < rows.size(); ++i) {
    out.push_back(fmt::format("{}/{} {} r{}{}", rows[i]->start / kSecond,
                              rows[i]->keys[0].to_string(), rows[i]->metrics[0].integer,
                              rows[i]->revision, rows[i]->closed ? "" : " open"));
  }
  return out;
}

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("one revision for all that came late before the next one is due",
          "[window][correction]") {
  const Compiled compiled = compile({minutes()});
  Engine engine(compiled, 2, 1, 1);
  for (const Event& e : {event(10), event(70), event(20), event(30), event(130)}) push(engine, e);
  engine.drain();
  REQUIRE(told(engine) == Texts{"0/a 1 r0", "0/a 3 r1", "60/a 1 r0"});
  // A key that the window had no row of gets its first.
  for (const Event& e : {event(40, "b"), event(50, "b"), event(190), event(55, "b"), event(250)}) {
    push(engine, e);
  }
  engine.drain();
  REQUIRE(told(engine, 3) == Texts{"0/b 2 r0", "120/a 1 r0", "0/b 3 r1", "180/a 1 r0"});
  REQUIRE(engine.late.empty());
  REQUIRE(engine.correcting_counts.at(0) == 5);
  // [0, 60) takes what comes until the watermark is at 360, and not then.
  for (const Event& e : {event(359), event(1), event(360), event(2)}) push(engine, e);
  engine.drain();
  REQUIRE(engine.late.size() == 1);
  REQUIRE(engine.late[0].detail.find("had closed too long before to be corrected") !=
          std::string::npos);
  engine.finish();
  REQUIRE(told(engine, 7) == Texts{"240/a 1 r0", "0/a 4 r2", "300/a 1 r0", "360/a 1 r0"});
}

TEST_CASE("long windows are corrected with each full minute, not at their next end",
          "[window][correction]") {
  WindowOptions o = minutes();
  o.size = kDay;
  o.timezone = "Europe/Berlin";
  o.correct_for = kHour;
  const Compiled compiled = compile({o});
  Engine engine(compiled, 1, 1, 1);
  const Timestamp midnight = 22 * 3'600 + 19'540 * 86'400LL;  // In summer there.
  push(engine, event(midnight - 60));
  push(engine, event(midnight + 5));
  push(engine, event(midnight - 1));
  push(engine, event(midnight + 59));
  engine.drain();
  REQUIRE(all_rows(engine.records).size() == 1);
  push(engine, event(midnight + 60));
  engine.drain();
  const auto rows = all_rows(engine.records);
  REQUIRE(rows.size() == 2);
  REQUIRE(rows[1]->end == midnight * kSecond);
  REQUIRE(rows[1]->revision == 1);
  REQUIRE(rows[1]->metrics[0].integer == 2);
}

TEST_CASE("closed windows that can be corrected do not count as open", "[window][correction]") {
  WindowOptions hopping = minutes();
  hopping.name.text = "h";
  hopping.hop = 30 * kSecond;
  for (const WindowOptions& options : {minutes(), hopping}) {
    const Compiled c = compile({options});
    Admission admission(c.plan, 1);
    StreamWindows windows(c.plan, 0, admission);
    BatchMaker maker(c.schema, true);
    WindowMerger merger(c.plan);
    DeadLetters late;
    Records out;
    const auto pass = [&](Timestamp watermark) {
      std::vector<PartialPtr> partials;
      partials.push_back(windows.take_closed(watermark));
      merger.merge(std::move(partials), 1, watermark, RoundKind::closed, out);
    };
    for (const int second : {5, 65, 125}) {
      const Event e = event(second);
      windows.process(*maker.make(&e, 1), late);
    }
    REQUIRE(windows.open_instances() == 3);
    pass(125 * kSecond);
    REQUIRE(windows.open_instances() == 1);
    REQUIRE(merger.kept().panes == 0);
    REQUIRE(merger.kept().closed_panes == 2);
    REQUIRE(merger.kept().keys == 2);
    const Event correction = event(10);
    const auto behind = maker.make(&correction, 1);
    behind->stamp.floor_time = 125 * kSecond;
    windows.process(*behind, late);
    REQUIRE(late.empty());
    REQUIRE(windows.open_instances() == 1);
    REQUIRE(windows.keys() == 2);
  }
}

TEST_CASE("a closed window has max_keys keys, whatever comes late", "[window][correction]") {
  WindowOptions o = minutes();
  o.max_keys = 2;
  const Compiled compiled = compile({o});
  for (const std::size_t lanes : {1, 3}) {
    Engine engine(compiled, lanes, 1, 1);
    for (const Event& e : {event(1, "a"), event(61), event(2, "d"), event(3, "c"), event(4, "a"),
                           event(5, "d"), event(121), event(6, "e"), event(7, "c")}) {
      push(engine, e);
    }
    engine.finish();
    // What comes late is counted apart at first: of it "d" and "c" are admitted, "a" is beyond.
    // Then the window has room for one more, the first in the order of their bytes.
    const Texts rows = told(engine);
    REQUIRE(Texts(rows.begin(), rows.begin() + 6) == Texts{"0/a 1 r0", "0/c 1 r0",
                                                           "0/__overflow__ 3 r0", "60/a 1 r0",
                                                           "0/c 2 r1", "0/__overflow__ 4 r1"});
  }
}

TEST_CASE("revisions that a shutdown cuts short are of windows that have closed",
          "[window][correction][merger]") {
  const Compiled c = compile({minutes()});
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
  const Event first[] = {event(5), event(65)};
  windows.process(*maker.make(first, 2), late);
  round(windows.take_closed(65 * kSecond), 65 * kSecond, RoundKind::closed);
  REQUIRE(merger.kept().closed_panes == 1);
  REQUIRE(merger.kept().keys == 1);
  auto behind = maker.make(first, 1);
  behind->stamp.floor_time = 65 * kSecond;
  const ProcessCounts counts = windows.process(*behind, late);
  REQUIRE(counts.correcting[0] == 1);
  REQUIRE(counts.revised_at == 120 * kSecond);
  // It is in no view of what is open.
  round(windows.copy_open(0), 65 * kSecond, RoundKind::open);
  REQUIRE(all_rows(out).size() == 1);
  REQUIRE(all_rows(out)[0]->start == 60 * kSecond);
  round(windows.take_all(), 66 * kSecond, RoundKind::cut_short);
  REQUIRE(all_rows(out).size() == 2);
  REQUIRE(all_rows(out)[0]->start == 0);
  REQUIRE(all_rows(out)[0]->revision == 1);
  REQUIRE(all_rows(out)[0]->closed);
  REQUIRE_FALSE(all_rows(out)[1]->closed);
  REQUIRE(merger.kept().closed_panes == 0);
}

TEST_CASE("what is kept to be corrected, under another config", "[window][correction][snapshot]") {
  WindowOptions o = minutes();
  const std::vector<Event> before = {event(10), event(70), event(130), event(20), event(190)};
  const auto after = [&](const WindowOptions& now, const std::vector<Event>& then,
                         const std::vector<Event>& events) {
    const Compiled compiled = compile({now});
    Engine engine(compiled, 2, 1, 1);
    const auto restored = engine.restore(checkpoint_of(compile({o}), then));
    REQUIRE(restored.has_value());
    for (const Event& e : events) push(engine, e);
    engine.drain();
    Texts out = told(engine);
    for (const LostWindow& lost : restored->lost) {
      out.push_back(fmt::format("lost {}", fmt::join(lost.altered, ",")));
    }
    for (const DeadLetter& letter : engine.late) out.push_back("late " + letter.window);
    return out;
  };
  const std::vector<Event> again = {event(30), event(250)};
  // The same: it goes on, by its number.
  REQUIRE(after(o, before, again) == Texts{"0/a 3 r2", "180/a 1 r0"});
  WindowOptions now = o;
  // No longer for as long, or no longer at all.
  now.correct_for = kMinute;
  REQUIRE(after(now, before, again) == Texts{"180/a 1 r0", "late w"});
  now.correct_for = 0;
  REQUIRE(after(now, before, again) == Texts{"180/a 1 r0", "late w"});
  const std::vector<Event> pending = {event(10), event(70), event(130), event(190), event(20)};
  REQUIRE(after(o, pending, {event(250)}) == Texts{"0/a 2 r1", "180/a 1 r0"});
  // What was waiting comes all the same, and nothing behind that.
  REQUIRE(after(now, pending, {event(250)}) == Texts{"0/a 2 r1", "180/a 1 r0"});
  REQUIRE(after(now, pending, {event(30), event(250), event(40), event(310)}) ==
          Texts{"0/a 2 r1", "180/a 1 r0", "240/a 1 r0", "late w", "late w"});
  // For longer: not what has been forgotten.
  now.correct_for = kHour;
  const std::vector<Event> long_ago = {event(10), event(430), event(490)};
  REQUIRE(after(now, long_ago, {event(20), event(400), event(550)}) ==
          Texts{"360/a 1 r0", "480/a 1 r0", "late w"});
  // Counted otherwise: rows of before stay as they are.
  now = o;
  now.where = "ok";
  REQUIRE(after(now, before, again) == Texts{"lost where", "late w"});
  // From now on: what closed before then has left nothing to correct it from.
  now = o;
  o.correct_for = 0;
  REQUIRE(after(now, {event(10), event(70), event(130)},
                {event(30), event(190), event(131), event(250)}) ==
          Texts{"120/a 1 r0", "120/a 2 r1", "180/a 1 r0", "late w"});
}

TEST_CASE("what is kept to be corrected is read back or refused",
          "[window][correction][snapshot]") {
  WindowOptions hopping = minutes();
  hopping.name = SourceText("h");
  hopping.hop = 20 * kSecond;
  const Compiled compiled = compile({minutes(), hopping});
  const Engine::Checkpoint good = checkpoint_of(
      compiled, {event(5), event(65), event(6, "bb"), event(7), event(125), event(8), event(66)});
  {
    Engine engine(compiled, 2, 1, 1);
    const auto restored = engine.restore(good);
    REQUIRE(restored.has_value());
    REQUIRE(restored->revised_at == 180 * kSecond);
    REQUIRE(engine.merger().kept().closed_panes == 4);
  }
  // Whatever byte is another: refused, or something that runs to its end.
  std::size_t refused = 0;
  for (std::size_t at = 0; at < good.windows.size(); ++at) {
    for (const int bit : {0, 3, 6, 7}) {
      Engine::Checkpoint bad = good;
      bad.windows[at] = static_cast<char>(bad.windows[at] ^ (1 << bit));
      Engine engine(compiled, 1, 1, 1);
      const auto restored = engine.restore(bad);
      if (!restored) {
        REQUIRE(restored.error().code == ErrorCode::corrupt);
        ++refused;
        continue;
      }
      push(engine, event(9));
      push(engine, event(1'000));
      engine.finish();
    }
  }
  REQUIRE(refused > 100);
}

TEST_CASE("sessions are not corrected", "[window][correction][compile]") {
  WindowOptions o = minutes();
  o.gap = kMinute;
  const Compiled compiled = compile({o});
  REQUIRE(compiled.plan == nullptr);
  REQUIRE(text_of(compiled.diagnostics).find("sessions are not corrected") != std::string::npos);
}

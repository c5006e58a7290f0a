// Windows that are corrected for longer, for less long or no more from one life of the engine to
// the next, that go, come back or are defined anew: random histories against an oracle.
#include <set>

#include "support/catch.h"
#include "window/late_histories.h"

using namespace window_test;  // NOLINT

namespace {

constexpr Duration kNever = -1;  ///< The config has no such window.

/// Window `name` as one life of the engine has it.
struct Shape {
  std::string name;
  Duration size;
  Duration hop;
  Duration lateness;
  Duration every;  ///< Of revisions.
  Duration correct_for = 0;
  std::string where;  ///< Another one counts the same, and is another definition.
};

std::vector<WindowOptions> options_of(const std::vector<Shape>& shapes) {
  std::vector<WindowOptions> all;
  for (const Shape& w : shapes) {
    if (w.correct_for == kNever) continue;
    WindowOptions o = options(w.name, {{"service", "service"}}, select_list(), w.size, w.lateness);
    o.hop = w.hop;
    o.correct_for = w.correct_for;
    o.where = SourceText(w.where);
    all.push_back(std::move(o));
  }
  return all;
}

/// Each event goes by itself into each window that would hold it, and is noted with the time from
/// which it counts there. Knows what a window was from life to life, but neither panes nor lanes.
class Oracle {
 public:
  Oracle(std::vector<Shape> shapes, std::uint32_t partitions) : watermark_(partitions) {
    for (Shape& shape : shapes) windows_.emplace_back().shape = std::move(shape);
  }

  void add(const Event& e) {
    for (std::size_t w = 0; w < windows_.size(); ++w) {
      if (windows_[w].shape.correct_for != kNever) put(w, e);
    }
    watermark_.pass(e);
  }

  void next_life(const std::vector<Shape>& shapes) {
    for (std::size_t w = 0; w < windows_.size(); ++w) change(w, shapes[w]);
  }

  std::vector<std::string> texts() const {
    std::map<std::tuple<Timestamp, std::size_t, Timestamp, std::string>, std::string> rows;
    for (const auto& [place, parts] : groups_) {
      const auto& [w, life, start, key] = place;
      std::vector<Numbered> so_far;
      int revision = 0;
      for (const auto& [from, events] : parts) {
        so_far.insert(so_far.end(), events.begin(), events.end());
        std::sort(so_far.begin(), so_far.end(),
                  [](const Numbered& a, const Numbered& b) { return a.order < b.order; });
        std::vector<Event> all;
        for (const Numbered& each : so_far) all.push_back(each.event);
        const Shape& shape = windows_[w].shape;
        rows[{from + shape.lateness, w, start, key}] = fmt::format(
            "{} {} {} closed{} k={}{}", shape.name, start, start + shape.size,
            revision == 0 ? std::string() : fmt::format(" r={}", revision), key, metrics_of(all));
        ++revision;
      }
    }
    std::vector<std::string> out;
    for (const auto& [place, text] : rows) out.push_back(text);
    return out;
  }

  std::map<std::string, std::uint64_t> late;
  std::uint64_t owed = 0;    ///< Events that waited when their window came to be corrected less.
  std::uint64_t before = 0;  ///< That were late because they are older than their window.

 private:
  struct Numbered {
    std::size_t order;
    Event event;
  };
  struct Window {
    Shape shape;
    int life = 0;  ///< How often it has begun anew.
    Timestamp closed_before = kMinTimestamp;
    Timestamp forgotten = kMinTimestamp;
    Timestamp owed = kMinTimestamp;  ///< Until then it is corrected for as long as it was.
    std::map<Timestamp, std::uint64_t> waits;  ///< By when they are due.
  };
  using Place = std::tuple<std::size_t, int, Timestamp, std::string>;

  Timestamp passed(const Shape& shape) const {
    return watermark_.time == kMinTimestamp ? kMinTimestamp : watermark_.time - shape.lateness;
  }
  static Timestamp next(Timestamp t, Duration step) {
    return t == kMinTimestamp ? kMinTimestamp : floor_to(t, step) + step;
  }
  static Duration rounded(const Shape& shape) {
    return (shape.correct_for + shape.every - 1) / shape.every * shape.every;
  }

  void put(std::size_t w, const Event& e) {
    Window& window = windows_[w];
    const Shape& shape = window.shape;
    const Duration correct_for = rounded(shape);
    const Timestamp closed = std::max(passed(shape), window.closed_before);
    const Timestamp pane = floor_to(e.time, shape.hop);
    const Timestamp last_end = pane + shape.size;
    Timestamp due = pane + shape.hop;
    if (due <= closed) {
      due = next(closed, correct_for == 0 ? shape.hop : shape.every);
      const bool too_late = due > last_end + correct_for;
      if (too_late || (due > last_end && last_end <= window.forgotten)) {
        ++late[shape.name];
        if (last_end > passed(shape)) ++before;
        return;
      }
      ++window.waits[due];
    }
    for (Timestamp start = pane - shape.size + shape.hop; start <= pane; start += shape.hop) {
      const Timestamp end = start + shape.size;
      const bool closes = end > closed;
      const bool corrects = end > window.forgotten &&
                            (due <= window.owed || (correct_for != 0 && end + correct_for >= due));
      if (!closes && !corrects) continue;
      groups_[{w, window.life, start, e.service.value_or("null")}][closes ? end : due].push_back(
          {order_++, e});
    }
  }

  void change(std::size_t w, const Shape& shape) {
    Window& window = windows_[w];
    const bool was_there = window.shape.correct_for != kNever;
    const bool same = was_there && window.shape.where == shape.where;
    const Duration before_for = was_there ? rounded(window.shape) : 0;
    const Timestamp line = passed(shape);
    if (was_there && line != kMinTimestamp) {
      window.closed_before = std::max(window.closed_before, floor_to(line, shape.hop));
      if (line >= window.owed) {
        window.owed = kMinTimestamp;
        const Timestamp gone = next(line, shape.every) - before_for - 1;
        if (before_for != 0) window.forgotten = std::max(window.forgotten, gone);
      }
    }
    window.waits.erase(window.waits.begin(), window.waits.upper_bound(line));
    const bool corrected = before_for != 0 || window.owed != kMinTimestamp;
    window.shape = shape;
    if (shape.correct_for == kNever || !same) {
      forget_untold(w, line);
      window.waits.clear();
      window.owed = kMinTimestamp;
      if (shape.correct_for == kNever) return;
      ++window.life;
      if (watermark_.time != kMinTimestamp) {
        window.closed_before = std::max(window.closed_before, floor_to(watermark_.time, shape.hop));
      }
      window.forgotten = window.closed_before;
      return;
    }
    if (!corrected || (shape.correct_for == 0 && window.waits.empty())) {
      window.forgotten = window.closed_before;
      window.owed = kMinTimestamp;
      return;
    }
    if (shape.correct_for == 0) wait_for_closes(w, line);
    for (const auto& [due, events] : window.waits) {
      window.owed = std::max(window.owed, due);
      if (rounded(shape) < before_for) owed += events;
    }
  }

  void forget_untold(std::size_t w, Timestamp line) {
    for (auto group = groups_.begin(); group != groups_.end();) {
      auto& parts = group->second;
      const bool ours = std::get<0>(group->first) == w;
      if (ours) parts.erase(parts.upper_bound(line), parts.end());
      group = parts.empty() ? groups_.erase(group) : std::next(group);
    }
  }

  /// What was due with a full minute comes with the next window's end.
  void wait_for_closes(std::size_t w, Timestamp line) {
    Window& window = windows_[w];
    const auto moved = [&](Timestamp from) { return next(from - 1, window.shape.hop); };
    for (auto& [place, parts] : groups_) {
      if (std::get<0>(place) != w || std::get<1>(place) != window.life) continue;
      std::map<Timestamp, std::vector<Numbered>> all;
      for (auto& [from, events] : parts) {
        auto& into = all[from > line ? moved(from) : from];
        into.insert(into.end(), events.begin(), events.end());
      }
      parts = std::move(all);
    }
    std::map<Timestamp, std::uint64_t> waits;
    for (const auto& [due, events] : window.waits) waits[moved(due)] += events;
    window.waits = std::move(waits);
  }

  std::vector<Window> windows_;
  Watermark watermark_;
  std::size_t order_ = 0;
  std::map<Place, std::map<Timestamp, std::vector<Numbered>>> groups_;
};

std::vector<Shape> drawn(std::mt19937& random, Duration lateness) {
  std::vector<Shape> shapes = {
      {"minute_by_10s", kMinute, 10 * kSecond, lateness, 10 * kSecond, 0, ""},
      {"halves", 30 * kSecond, 30 * kSecond, lateness, 30 * kSecond, 0, ""},
      {"two_minutes", 2 * kMinute, 2 * kMinute, 0, kMinute, 0, ""},
  };
  for (Shape& shape : shapes) {
    const Duration kFor[] = {kNever, 0, 0, 30 * kSecond, kMinute, 3 * kMinute, 3 * kMinute};
    shape.correct_for = kFor[random() % std::size(kFor)];
    if (random() % 5 == 0) shape.where = "ok";
  }
  // A stream needs one.
  if (options_of(shapes).empty()) shapes[random() % shapes.size()].correct_for = kMinute;
  return shapes;
}

const unsigned kSeeds = seeds(150);

}  // namespace

TEST_CASE("another config loses no late event that waits, and makes no row of what is left",
          "[window][correction][snapshot]") {
  std::uint64_t late = 0;
  std::uint64_t owed = 0;
  std::uint64_t before = 0;
  for (unsigned seed = 0; seed < kSeeds; ++seed) {
    std::mt19937 random(seed);
    INFO("seed " << seed);
    const std::uint32_t partitions = 1 + random() % 2;
    const Duration lateness = static_cast<Duration>(random() % 4) * 7 * kSecond;
    const Duration stride = (1 + static_cast<Duration>(random() % 8)) * kSecond;
    std::vector<Shape> shapes = drawn(random, lateness);
    Oracle oracle(shapes, partitions);
    std::vector<std::string> rows;
    std::map<std::string, std::uint64_t> late_counts;
    const std::vector<Event> events =
        random_events(random, 80 + random() % 120, partitions, stride);
    std::optional<Engine::Checkpoint> last;
    for (std::size_t at = 0; at < events.size();) {
      const std::size_t end = std::min(events.size(), at + 1 + random() % 60);
      const std::vector<Event> of_life(events.begin() + static_cast<std::ptrdiff_t>(at),
                                       events.begin() + static_cast<std::ptrdiff_t>(end));
      if (last) oracle.next_life(shapes);
      for (const Event& e : of_life) oracle.add(e);
      const Compiled compiled = compile(options_of(shapes));
      INFO(text_of(compiled.diagnostics));
      REQUIRE(compiled.plan != nullptr);
      Engine engine(compiled, 1 + random() % 4, partitions, seed);
      if (last) REQUIRE(engine.restore(*last).has_value());
      for (const Batch& cut : cut_up(of_life, random, 1 + random() % 20, 0)) {
        engine.push(&of_life[cut.begin], cut.end - cut.begin);
      }
      engine.checkpoint();
      engine.drain();
      last = engine.checkpoints.at(0);
      if (end == events.size()) engine.finish();
      for (std::string& row : closed_rows_of(engine.records)) rows.push_back(std::move(row));
      std::size_t index = 0;
      for (const WindowOptions& window : options_of(shapes)) {
        if (index < engine.late_counts.size() && engine.late_counts[index] != 0) {
          late_counts[window.name.text] += engine.late_counts[index];
        }
        ++index;
      }
      at = end;
      if (random() % 4 != 0) shapes = drawn(random, lateness);
    }
    REQUIRE(as_oracle(rows) == oracle.texts());
    REQUIRE(late_counts == oracle.late);
    for (const auto& [window, count] : oracle.late) late += count;
    owed += oracle.owed;
    before += oracle.before;
  }
  // The histories meet what they are for.
  REQUIRE(late > kSeeds);
  REQUIRE(owed > kSeeds / 8);
  REQUIRE(before > kSeeds / 8);
}

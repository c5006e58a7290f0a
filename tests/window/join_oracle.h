// A join of another make: what the tests hold the operator and the engine against. And what a user
// is promised of events in order, which knows nothing of time at all.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <list>
#include <optional>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "window/options.h"
#include "window/stream_join.h"

namespace window_test {

using namespace streamobs;          // NOLINT: test code
using namespace streamobs::window;  // NOLINT

struct JoinRow {
  Timestamp time = 0;
  std::optional<std::int64_t> key;
  std::int64_t number = 0;  ///< Tells it apart, and is its value.
  bool excluded = false;
  bool filtered = false;
};

/// What happens at one position of the log.
struct JoinMoment {
  Side side = Side::left;
  std::optional<JoinRow> row;  ///< Or a change of the stream's time:
  Timestamp watermark = kMinTimestamp;
  Pace pace = Pace::active;
  std::optional<Timestamp> silence;  ///< Or how far it lets time go.
};

/// A joined row: of a left one alone where there is no right one.
struct JoinedRow {
  Timestamp time = 0;
  Timestamp watermark = 0;  ///< Of the joined rows, before it.
  std::int64_t left = 0;
  std::optional<std::int64_t> right;
};

/// The definition of stream_join.h, followed event by event over plain lists.
class JoinOracle {
 public:
  explicit JoinOracle(const JoinOptions& options) : options_(options) {}

  void feed(const JoinMoment& event) {
    State& mine = of(event.side);
    if (event.silence) {
      silence_ = std::max(silence_, *event.silence);
    } else {
      mine.watermark = std::max(mine.watermark, event.watermark);
      mine.pace = event.pace;
    }
    move_time();
    if (!event.row || event.row->excluded || event.row->filtered) return;
    Waiting row{*event.row, false};
    if (row.row.key) {
      auto& others = of(other(event.side)).waiting;
      for (auto them = others.begin(); them != others.end();) {
        const Duration apart = std::abs(them->row.time - row.row.time);
        if (them->row.key != row.row.key || apart > options_.within) {
          ++them;
          continue;
        }
        const bool is_left = event.side == Side::left;
        add(is_left ? row.row : them->row, is_left ? &them->row : &row.row);
        row.matched = true;
        if (options_.one_to_one) {
          others.erase(them);
          return;
        }
        them->matched = true;
        ++them;
      }
      if (row.row.time + options_.within >= clock_[other_index(event.side)]) {
        mine.waiting.push_back(row);
        return;
      }
    }
    go(event.side, row);
  }

  std::vector<JoinedRow> rows;
  /// Who left without a partner, and is no row.
  std::vector<std::pair<Side, std::int64_t>> letters;
  Timestamp watermark = kMinTimestamp;

 private:
  struct Waiting {
    JoinRow row;
    bool matched;
  };
  struct State {
    std::list<Waiting> waiting;  ///< As they came.
    Timestamp watermark = kMinTimestamp;
    Pace pace = Pace::silent;
  };
  State& of(Side side) { return states_[static_cast<std::size_t>(side)]; }
  static std::size_t other_index(Side side) { return static_cast<std::size_t>(other(side)); }

  void add(const JoinRow& left, const JoinRow* right) {
    const Timestamp of_right = right != nullptr ? right->time : left.time + options_.within;
    rows.push_back({options_.time == Side::left ? left.time : of_right, watermark, left.number,
                    right != nullptr ? std::optional(right->number) : std::nullopt});
  }

  void go(Side side, const Waiting& row) {
    if (row.matched) return;
    if (side == Side::left && options_.keep_left) return add(row.row, nullptr);
    if (options_.drop_unmatched) return;
    letters.emplace_back(side, row.row.number);
  }

  void move_time() {
    for (std::size_t i = 0; i < 2; ++i) {
      Timestamp now = states_[i].watermark;
      if (states_[i].pace == Pace::silent) now = std::max(now, silence_);
      if (states_[i].pace == Pace::over) {
        now = std::max(states_[0].watermark, states_[1].watermark);
      }
      clock_[i] = std::max(clock_[i], now);
    }
    for (const Side side : {Side::left, Side::right}) {
      std::vector<std::list<Waiting>::iterator> due;
      auto& waiting = of(side).waiting;
      for (auto it = waiting.begin(); it != waiting.end(); ++it) {
        if (it->row.time + options_.within < clock_[other_index(side)]) due.push_back(it);
      }
      std::stable_sort(due.begin(), due.end(),
                       [](auto a, auto b) { return a->row.time < b->row.time; });
      for (auto it : due) {
        go(side, *it);
        waiting.erase(it);
      }
    }
    Timestamp held = std::min(clock_[0], clock_[1]);
    for (const Waiting& w : of(options_.time).waiting) {
      const bool holds = w.row.time + options_.hold >= clock_[other_index(options_.time)];
      if (holds) held = std::min(held, w.row.time);
    }
    watermark = std::max(watermark, held);
  }

  const JoinOptions options_;
  State states_[2];
  Timestamp silence_ = kMinTimestamp;  ///< As far as it lets time go, whoever is silent when.
  Timestamp clock_[2] = {kMinTimestamp, kMinTimestamp};
};

/// What comes of streams in order when every pair within the bound counts (match all, hold as
/// within): nothing is late, so rows bear no watermark.
struct JoinPromise {
  std::vector<JoinedRow> rows;
  std::vector<std::pair<Side, std::int64_t>> letters;

  JoinPromise(const JoinOptions& options, const std::vector<JoinMoment>& events) {
    std::vector<JoinRow> of[2];
    for (const JoinMoment& event : events) {
      if (!event.row || event.row->excluded || event.row->filtered) continue;
      of[static_cast<std::size_t>(event.side)].push_back(*event.row);
    }
    std::vector<bool> found(of[1].size());
    for (const JoinRow& left : of[0]) {
      bool alone = true;
      for (std::size_t i = 0; i < of[1].size(); ++i) {
        const JoinRow& right = of[1][i];
        if (!left.key || left.key != right.key) continue;
        if (std::abs(left.time - right.time) > options.within) continue;
        alone = false;
        found[i] = true;
        rows.push_back({options.time == Side::left ? left.time : right.time, kMinTimestamp,
                        left.number, right.number});
      }
      if (!alone) continue;
      if (options.keep_left) {
        rows.push_back({options.time == Side::left ? left.time : left.time + options.within,
                        kMinTimestamp, left.number, std::nullopt});
      } else {
        letters.emplace_back(Side::left, left.number);
      }
    }
    for (std::size_t i = 0; i < of[1].size(); ++i) {
      if (!found[i]) letters.emplace_back(Side::right, of[1][i].number);
    }
  }
};

}  // namespace window_test

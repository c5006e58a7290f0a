// What one window of the config has at the merger: what lanes have handed over and no window has
// closed with yet, and the panes that windows still to close will need again.
//
// Windows close one after the other, by their ends. A tumbling window is its only pane: nothing is
// kept, and nothing copied. A hopping one is the merge of its panes: each pane is counted once, by
// the lanes, and kept until its last window has closed. So that a window costs about three merges
// of a group, however many panes it has, merges of the older panes up to a line (`suffixes_`, from
// each pane to the line) are made together, once all the windows that begin before the line have
// closed; behind the line there is one running merge (two stacks, as for sliding windows; cf.
// Tangwongsan, Hirzel, Schneider: "General incremental sliding-window aggregation", VLDB 2015).
//
// Private to this folder; belongs to a WindowMerger.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "window/instance.h"
#include "window/plan.h"

namespace streamobs::window {

class WindowCloser {
 public:
  /// `plan` must outlive it.
  explicit WindowCloser(const WindowPlan& plan) : plan_(plan) {}

  /// What a lane has handed over, in the order of lanes.
  void take(InstancePtr part);
  /// The end of the next window that has anything in it.
  std::optional<Timestamp> next_end() const;
  struct Closed {
    Interval interval;
    const GroupTable* table =
        nullptr;  ///< In one of these two, or the closer's until its next call.
    InstancePtr pane;
    std::unique_ptr<GroupTable> made;
  };
  /// Closes the window that ends at next_end().
  Closed close_next();
  /// Drops everything: no window will close any more.
  void clear();

  /// The window that ends at `end`, later than all that have closed, as it would be with `parts` of
  /// it, copies of what lanes still hold.
  Closed preview(Timestamp end, std::span<const WindowInstance* const> parts) const;

  /// The end of the last window that has closed; means something while panes are kept.
  Timestamp closed_to() const { return closed_to_; }
  /// By start.
  const std::map<Timestamp, InstancePtr>& panes() const { return panes_; }
  /// Goes on with panes as they were kept. On a fresh one only.
  void restore(RetainedPanes retained);
  std::size_t keys() const;

 private:
  using Tables = std::map<Timestamp, std::unique_ptr<GroupTable>>;

  void add(InstancePtr part);
  void draw_line(Timestamp end);
  void drop_before(Timestamp start);

  const WindowPlan& plan_;
  /// By due and start; the lanes' parts of one pane in their order.
  std::map<std::pair<Timestamp, Timestamp>, std::vector<InstancePtr>> handed_over_;
  Timestamp closed_to_ = kMinTimestamp;
  std::map<Timestamp, InstancePtr> panes_;
  Timestamp line_ = kMinTimestamp;
  Tables suffixes_;  ///< Of each pane before the line: it and those up to the line.
  std::unique_ptr<GroupTable> newer_;  ///< Of all panes behind the line; null where there is none.
};

}  // namespace streamobs::window

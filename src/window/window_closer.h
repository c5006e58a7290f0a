// What one window of the config has at the merger: what lanes have handed over and no window has
// closed with yet, and the panes that windows still to close will need again.
//
// Windows close one after the other, by their ends. Two kinds: PaneCloser here, and SessionCloser.
// Where they take late events for a while (late = "update"), what they were made of goes on to
// Corrections when they have closed, and what comes late is due at a later end and goes there too.
//
// A tumbling window is its only pane: nothing is kept, and nothing copied. A hopping one is the
// merge of its panes: each pane is counted once, by the lanes, and kept until its last window has
// closed. So that a window costs about three merges of a group, however many panes it has, merges
// of the older panes up to a line (`suffixes_`, from each pane to the line) are made together, once
// all the windows that begin before the line have closed; behind the line there is one running
// merge (two stacks, as for sliding windows; cf. Tangwongsan, Hirzel, Schneider: "General
// incremental sliding-window aggregation", VLDB 2015).
//
// Private to this folder; belongs to a WindowMerger.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "window/instance.h"
#include "window/plan.h"

namespace streamobs::window {

class Corrections;

class WindowCloser {
 public:
  /// `plan` must outlive it.
  static std::unique_ptr<WindowCloser> make(const WindowPlan& plan);
  virtual ~WindowCloser() = default;
  WindowCloser(const WindowCloser&) = delete;
  WindowCloser& operator=(const WindowCloser&) = delete;

  /// What a lane has handed over, in the order of lanes.
  void take(InstancePtr part);
  /// The end of the next window that has anything in it; of sessions, of the next pane.
  virtual std::optional<Timestamp> next_end() const = 0;
  struct Closed {
    Interval interval;
    const GroupTable* table =
        nullptr;  ///< In one of these two, or the closer's until its next call.
    InstancePtr pane;
    std::unique_ptr<GroupTable> made;
    /// Of sessions: the groups that have closed, each with an interval of its own.
    std::optional<std::vector<std::uint32_t>> sessions;
    /// Of a window that had closed before: for each group how often it has come again, or that it
    /// is as it was.
    static constexpr std::int64_t kUnchanged = -1;
    std::optional<std::vector<std::int64_t>> revisions;
  };
  /// Closes what ends at next_end(); before it, by start, what is corrected then.
  virtual std::vector<Closed> close_next() = 0;
  /// Drops everything: no window will close any more.
  virtual void clear();

  /// The window that ends at `end`, later than all that have closed, as it would be with `parts` of
  /// it, copies of what lanes still hold. Of sessions all that are open, whatever `end` is.
  virtual std::vector<Closed> preview(Timestamp end,
                                      std::span<const WindowInstance* const> parts) const = 0;

  /// The end of the last window that has closed; means something while panes are kept.
  Timestamp closed_to() const { return closed_to_; }
  /// All windows that end by then have closed, those with nothing in them too. Not of sessions.
  Timestamp closed_before() const { return closed_before_; }
  /// The watermark has come so far, and what it closes has been closed.
  virtual void pass(Timestamp watermark);
  /// By start.
  const std::map<Timestamp, InstancePtr>& panes() const { return panes_; }
  /// Null where nothing is ever corrected.
  virtual const Corrections* corrections() const { return nullptr; }
  /// Goes on with panes as they were kept. On a fresh one only.
  virtual void restore(RetainedPanes retained);

 protected:
  explicit WindowCloser(const WindowPlan& plan) : plan_(plan) {}
  /// One that is due at `due`, all lanes' parts of it in one; null where there is none.
  InstancePtr take_due(Timestamp due);
  /// To the panes.
  virtual void add(InstancePtr part);

  const WindowPlan& plan_;
  /// By due and start; the lanes' parts of one pane in their order.
  std::map<std::pair<Timestamp, Timestamp>, std::vector<InstancePtr>> handed_over_;
  Timestamp closed_to_ = kMinTimestamp;
  Timestamp closed_before_ = kMinTimestamp;
  std::map<Timestamp, InstancePtr> panes_;
};

class PaneCloser final : public WindowCloser {
 public:
  enum class For : std::uint8_t {
    all_time,
    one_time,  ///< To put some windows together: of them nothing is kept to be corrected.
  };
  explicit PaneCloser(const WindowPlan& plan, For use = For::all_time);
  ~PaneCloser() override;

  std::optional<Timestamp> next_end() const override;
  std::vector<Closed> close_next() override;
  void clear() override;
  void pass(Timestamp watermark) override;
  void restore(RetainedPanes retained) override;
  const Corrections* corrections() const override { return corrections_.get(); }
  std::vector<Closed> preview(Timestamp end,
                              std::span<const WindowInstance* const> parts) const override;

 private:
  void add(InstancePtr part) override;
  Closed close_whole(InstancePtr pane);
  Closed close_panes(Timestamp end);
  void draw_line(Timestamp end);
  void drop_before(Timestamp start);

  /// Null: nothing is corrected. Where windows have come to be corrected no more, it is there until
  /// what waited has been.
  std::unique_ptr<Corrections> corrections_;
  Timestamp line_ = kMinTimestamp;
  /// Of each pane before the line: it and those behind it, up to the line.
  std::map<Timestamp, std::unique_ptr<GroupTable>> suffixes_;
  std::unique_ptr<GroupTable> newer_;  ///< Of all panes behind the line; null where there is none.
};

}  // namespace streamobs::window

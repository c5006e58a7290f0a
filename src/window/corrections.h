// Windows that have closed and are corrected when something late comes: what they were made of,
// kept for `correct_for`, and how often the rows of each of their groups have come again.
//
// Lanes hand over what is late when the next revision is due; that follows from the watermark
// before each event, so from the log alone. Here it is merged into the panes that are kept, and
// each group of a closed window that has changed comes out again, computed anew from its panes: as
// often as there were revisions that changed it, however many events each had. A group of which the
// window had no row gets its first one, revision 0.
//
// Private to this folder; belongs to a PaneCloser, is as old as it. Memory: the groups of all
// windows that closed within correct_for, as while they were open, and a number for each group that
// has been corrected.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <vector>

#include "window/instance.h"
#include "window/plan.h"
#include "window/window_closer.h"

namespace streamobs::window {

class Corrections {
 public:
  using Panes = std::map<Timestamp, InstancePtr>;  ///< By start.

  /// `plan` must outlive it.
  explicit Corrections(const WindowPlan& plan) : plan_(plan) {}
  Corrections(const Corrections&) = delete;
  Corrections& operator=(const Corrections&) = delete;

  /// No window that is open needs the pane any more. The reference is good until the next call but
  /// revise().
  WindowInstance& keep(InstancePtr pane);

  /// Takes what came late and is due at `due`: by start, one part of a pane. `open` are the panes
  /// that open windows are still made of; what belongs to them is given to `to_open`. Appends what
  /// that changes in windows that have closed, by start.
  void revise(Timestamp due, std::vector<InstancePtr> parts, const Panes& open,
              const std::function<void(InstancePtr)>& to_open,
              std::vector<WindowCloser::Closed>& out);

  /// Everything that a watermark of `passed` plus what windows wait closes has been closed: windows
  /// that nothing can be late for any more are forgotten.
  void pass(Timestamp passed);
  void clear();
  void restore(RetainedPanes& retained);

  /// Whether what is due then, behind its pane's end, corrects: not behind what is owed, where a
  /// window has come to be corrected no more.
  bool takes(Timestamp due) const { return plan_.corrects() || due <= owed_; }
  /// Nothing will be corrected any more.
  bool done() const { return !plan_.corrects() && owed_ == kMinTimestamp; }
  Timestamp forgotten() const { return forgotten_; }
  const Panes& panes() const { return panes_; }
  const RevisionNumbers& revisions() const { return revisions_; }

 private:
  /// A group that something came late for.
  struct Group {
    std::vector<Timestamp> before;   ///< Starts of panes that it had, in order.
    std::vector<Timestamp> changed;  ///< Starts of those that it has more of now.
  };
  /// The groups that something came late for, by slot of `keys`.
  struct Late {
    explicit Late(const WindowPlan& plan) : keys(plan) {}

    GroupTable keys;
    std::vector<Group> groups;
    std::set<Timestamp> ends;  ///< Of the closed windows that are to be corrected.
  };

  const WindowInstance* pane_at(Timestamp start, const Panes& open) const;
  void cap(InstancePtr& part, const WindowInstance* pane) const;
  void note(const WindowInstance& part, Timestamp due, Late& late) const;
  std::vector<const WindowInstance*> panes_of(const Late& late, const Panes& open) const;
  void add_changed(const WindowInstance& pane, const Late& late, GroupTable& to) const;
  std::vector<std::int64_t> number(const GroupTable& groups, const Interval& window,
                                   const Late& late);

  const WindowPlan& plan_;
  Panes panes_;
  RevisionNumbers revisions_;
  Timestamp forgotten_ = kMinTimestamp;  ///< Windows that end by then cannot be corrected.
  /// Up to here what waited when the engine was restored is due: until then windows are corrected
  /// for as long as they were.
  Timestamp owed_ = kMinTimestamp;
};

}  // namespace streamobs::window

// What one lane has of one pane of a window, and the parcel in which instances travel to the
// merger.
//
// An instance is *due* at a window's end: at the mark that closes that window it is handed over.
// For what comes in time that is the end of the first window the pane belongs to, its own end. What
// comes when that window has closed, but not all that the pane belongs to, is kept apart in an
// instance that is due later: so a window holds exactly the events that came before it closed,
// wherever in a batch that was, and whichever lane had them. A tumbling window's only pane is due
// at its end. Private to this folder.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/pod_vector.h"
#include "event/dictionary.h"
#include "window/assigner.h"
#include "window/group_table.h"
#include "window/key_set.h"
#include "window/stream_windows.h"

namespace streamobs::window {

/// Leads from dictionary ids straight to groups, without hashing. Only while the dictionaries stay
/// the same ones; else it starts anew.
struct DirectMap {
  struct Dimension {
    const Dictionary* dictionary = nullptr;
    std::shared_ptr<const Dictionary> owner;  ///< Null: may not be trusted beyond one slice.
    int bits = 0;                             ///< Ids (plus one; 0 is null) have room in these.
    int shift = 0;
  };
  std::vector<Dimension> dimensions;
  PodVector<std::uint32_t> slots;  ///< GroupTable::kNone: not looked up yet.
  /// Rows resolved without it since it was wanted: a large one is made only where it pays.
  std::size_t rows_without = 0;

  bool is_large() const { return slots.size() > (std::size_t{1} << kSmallBits); }
  static constexpr int kSmallBits = 10;  ///< 4 KiB.
};

struct WindowInstance {
  WindowInstance(const WindowPlan& plan, Interval pane, Timestamp due_at)
      : interval(pane), due(due_at), table(plan) {}

  Interval interval;  ///< The pane.
  Timestamp due;      ///< End of the first window that counts it.
  GroupTable table;
  DirectMap direct;
  /// All the keys this instance will ever have, once max_keys is reached; see Admission.
  std::shared_ptr<const KeySet> frozen;
};

using InstancePtr = std::unique_ptr<WindowInstance>;

/// Of windows that have closed, by end, and their groups (whether it is __overflow__, its key's
/// bytes): how often their rows have come again. None stands for never.
using RevisionNumbers = std::map<Timestamp, std::map<std::pair<bool, std::string>, std::uint32_t>>;

/// What the merger keeps: of a hopping window the panes that windows which have closed were made of
/// and others will be, of one that is corrected what those that can still be were made of.
struct RetainedPanes {
  /// Of any window but sessions: those that end by then have closed, whatever allowed_lateness is
  /// by now, and stay closed.
  Timestamp closed_before = kMinTimestamp;
  Timestamp closed_to = kMinTimestamp;  ///< End of the last window with anything in it that closed.
  std::vector<InstancePtr> panes;       ///< By start; all end at `closed_to` or before.
  Timestamp forgotten = kMinTimestamp;  ///< Windows that end by then cannot be corrected.
  std::vector<InstancePtr> closed;      ///< By start; all windows they belong to have closed.
  RevisionNumbers revisions;
  /// Up to here late events wait for revisions that are still to come, though windows may not be
  /// corrected for as long now, or not at all; kMinTimestamp: none do.
  Timestamp owed = kMinTimestamp;
};

class Partial {
 public:
  std::shared_ptr<const StreamWindowsPlan> plan;  ///< Tables refer to it.
  std::size_t lane = 0;
  std::size_t view_window = 0;         ///< Of copy_open(): the window that was asked for.
  std::vector<InstancePtr> instances;  ///< By window, then due, then start.
};

/// A lane's open instances: for each window, by due, then start.
using OpenInstances = std::vector<std::vector<InstancePtr>>;

/// Which instance of a stream.
struct InstancePlace {
  std::size_t window = 0;
  Timestamp due = 0;
  Timestamp start = 0;

  auto operator<=>(const InstancePlace&) const = default;
};
InstancePlace place_of(const WindowInstance& instance);

/// Where the instance of this place stands among those of its window, or would stand.
std::vector<InstancePtr>::const_iterator find_instance(const std::vector<InstancePtr>& instances,
                                                       const InstancePlace& place);
/// The same; null where it is not there.
WindowInstance* instance_of(const std::vector<InstancePtr>& instances, const InstancePlace& place);

}  // namespace streamobs::window

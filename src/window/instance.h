// One window instance in one lane, and the parcel in which instances travel to the merger.
// Private to this folder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
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
  WindowInstance(const WindowPlan& plan, Interval when) : interval(when), table(plan) {}

  Interval interval;
  GroupTable table;
  DirectMap direct;
  /// All the keys this instance will ever have, once max_keys is reached; see Admission.
  std::shared_ptr<const KeySet> frozen;
};

using InstancePtr = std::unique_ptr<WindowInstance>;

class Partial {
 public:
  std::shared_ptr<const StreamWindowsPlan> plan;  ///< Tables refer to it.
  std::size_t lane = 0;
  /// A copy made by copy_open() of window `view_window`, not the lane's own instances.
  bool is_view = false;
  std::size_t view_window = 0;
  std::vector<InstancePtr> instances;  ///< By window, then start.
};

/// A lane's open instances: for each window, by start.
using OpenInstances = std::vector<std::vector<InstancePtr>>;

/// The place in a window's instances of the one that starts at `start`, or where it would stand.
std::vector<InstancePtr>::const_iterator find_instance(const std::vector<InstancePtr>& instances,
                                                       Timestamp start);

}  // namespace streamobs::window

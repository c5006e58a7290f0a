// What is open of a stream's windows as bytes, for checkpoints: docs/accumulators.md, "Snapshots".
// Private to this folder. Pure: may run on any strand that owns what it is given.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "window/corrections.h"
#include "window/instance.h"
#include "window/plan.h"
#include "window/stream_windows.h"

namespace streamobs::window {

/// 1: there were only tumbling windows, so nothing was kept at the merger, and each instance was
/// due at its end. 2: only windows with something open were there, and nothing said what had
/// closed. 3: no window was corrected once it had closed.
inline constexpr std::uint8_t kSnapshotVersion = 4;

/// RetainedPanes that belong to somebody else.
struct KeptPanes {
  Timestamp closed_before = kMinTimestamp;
  Timestamp closed_to = kMinTimestamp;
  std::vector<const WindowInstance*> panes;  ///< By start.
  const Corrections* corrections = nullptr;  ///< Null: the window is not corrected.
};

/// Appends the snapshot of the instances, of any lanes, and of what the merger keeps of each
/// window. Instances of one place are merged into the first of them.
void encode_snapshot(const StreamWindowsPlan& plan, const std::vector<WindowInstance*>& instances,
                     const std::vector<KeptPanes>& kept, std::string& out);

/// Reads a snapshot into `open` and `retained`, which are empty and have a place for each window of
/// the plan. `watermark` is the stream's at the snapshot's position: a window of which the snapshot
/// has nothing that can be taken over begins with those that end behind it. Without a snapshot (the
/// stream had no windows) all do.
Result<RestoredWindows> decode_snapshot(std::optional<std::string_view> bytes,
                                        const StreamWindowsPlan& plan, Timestamp watermark,
                                        OpenInstances& open, std::vector<RetainedPanes>& retained);

}  // namespace streamobs::window

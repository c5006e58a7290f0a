// The open windows of a stream as bytes, for checkpoints: docs/accumulators.md, "Snapshots".
// Private to this folder. Pure: may run on any strand that owns what it is given.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "window/instance.h"
#include "window/plan.h"
#include "window/stream_windows.h"

namespace streamobs::window {

/// Appends the snapshot of the instances, of any lanes. Those of one window and start are merged
/// into the first of them.
void encode_snapshot(const StreamWindowsPlan& plan, const std::vector<WindowInstance*>& instances,
                     std::string& out);

/// Reads a snapshot into `open`, which is empty and has a place for each window of the plan.
Result<RestoredWindows> decode_snapshot(std::string_view bytes, const StreamWindowsPlan& plan,
                                        OpenInstances& open);

}  // namespace streamobs::window

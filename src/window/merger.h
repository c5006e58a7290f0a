// Combines the lanes' partial accumulators of the windows that have closed (or that are shown while
// open) and says what came out.
//
// One for each stream; belongs to the merge strand. Synchronous. Results are the same for any
// number of lanes: accumulators merge exactly, and rows are ordered by closing time, window, start
// and key.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "event/record.h"
#include "window/stream_windows.h"

namespace streamobs::window {

class WindowMerger {
 public:
  explicit WindowMerger(std::shared_ptr<const StreamWindowsPlan> plan);
  ~WindowMerger();

  /// One round: the partials of all lanes for the same log position (nulls allowed), in lane order.
  /// `closed` is false for early results (the lanes' copies of open windows, which come out as
  /// `early` batches) and for what a shutdown cut short. Rows come in WindowBatches of at most
  /// WindowBatch::kMaxRows, the last of each window marked.
  void merge(std::vector<PartialPtr> partials, std::uint64_t position, Timestamp watermark,
             bool closed, Records& out);
  /// Appends the snapshot of what all lanes' copy_all() gave at one log position (nulls allowed).
  /// Canonical: the same events counted give the same bytes, for any number of lanes and however
  /// history was cut. Looks at the plan only, never at the merger's own state, so it may run on
  /// another thread (for many keys it takes a while) beside merge().
  void snapshot(std::vector<PartialPtr> copies, std::string& out) const;
  /// Sums that fit no 64-bit number and metrics that left their range, so far: they became NULL.
  std::uint64_t overflows() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace streamobs::window

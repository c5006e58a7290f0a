// Combines the lanes' partial accumulators of the windows that have closed (or that are shown while
// open) and says what came out.
//
// One for each stream; belongs to the merge strand. Synchronous. Results are the same for any
// number of lanes: accumulators merge exactly, and rows are ordered by closing time, window, start
// and key. Of tumbling windows it keeps nothing; of hopping ones the panes that lanes have handed
// over, until the last window they belong to has closed; of windows that are corrected (late =
// "update"), for as long as they are.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "event/record.h"
#include "window/stream_windows.h"

namespace streamobs::window {

/// What lanes have been asked for.
enum class RoundKind : std::uint8_t {
  closed,     ///< take_closed(), and the windows that the watermark closes are to close.
  open,       ///< copy_open(): early results.
  cut_short,  ///< take_all() at a shutdown: the rows of what is open, which is gone then.
};

class WindowMerger {
 public:
  explicit WindowMerger(std::shared_ptr<const StreamWindowsPlan> plan);
  ~WindowMerger();

  /// Events are counted only if their time is in [from, to): what reaches beyond is not whole, and
  /// its rows say that it has not closed. Before the first round.
  void only(Timestamp from, Timestamp to);
  /// One round: the partials of all lanes for the same log position (nulls allowed), in lane order.
  /// To be called for every mark, since windows may close for which no lane has anything. Rows come
  /// in WindowBatches of at most WindowBatch::kMaxRows, the last of each close marked.
  void merge(std::vector<PartialPtr> partials, std::uint64_t position, Timestamp watermark,
             RoundKind kind, Records& out);
  /// Appends the snapshot of what all lanes' copy_all() gave at one log position (nulls allowed),
  /// and of what is kept here at that position. Canonical: the same events counted give the same
  /// bytes, for any number of lanes and however history was cut.
  void snapshot(std::vector<PartialPtr> copies, std::string& out) const;
  /// Takes over what a snapshot says was kept here (StreamWindows::restore() has the rest). Before
  /// the first round; refuses (corrupt) what that refuses.
  Result<> restore(std::optional<std::string_view> snapshot, Timestamp watermark);

  /// Of early results of a hopping window at most as many are shown, the newest.
  static constexpr std::size_t kMaxShown = 60;

  struct Kept {
    std::size_t panes = 0;         ///< That open windows are made of.
    std::size_t closed_panes = 0;  ///< Of which all windows have closed, and can be corrected.
    std::size_t keys = 0;          ///< Of both.
  };
  Kept kept() const;
  /// Sums that fit no 64-bit number and metrics that left their range, so far: they became NULL.
  std::uint64_t overflows() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace streamobs::window

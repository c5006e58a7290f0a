// Which rows are late for a window, and when what is not late is due.
//
// The watermark decides, and beside it what had closed before this process began: that stays closed
// whatever the config says now. Belongs to one lane's StreamWindows. Private to this folder.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <vector>

#include "event/dead_letter.h"
#include "event/event_batch.h"
#include "window/plan.h"
#include "window/stream_windows.h"

namespace streamobs::window {

class Lateness {
 public:
  /// `plan` must outlive it.
  explicit Lateness(const StreamWindowsPlan& plan);

  /// For each window of the plan.
  void keep_closed(const std::vector<ClosedBefore>& closed);

  /// When a row of this pane, before which the watermark was this, first counts; nothing: it is
  /// late.
  std::optional<Timestamp> due(const WindowPlan& window, const Interval& pane,
                               Timestamp watermark) const {
    const OfWindow& known = windows_[window.index];
    const auto due = window.due(pane, std::max(watermark, known.closed_at));
    // Of what is due behind its last window, only corrections are left to be made.
    if (!due || *due <= window.assigner.last_end(pane)) return due;
    if (window.assigner.last_end(pane) <= known.forgotten) return std::nullopt;
    return due;
  }
  /// Whether all windows of the pane have a row that is due then.
  bool whole(const WindowPlan& window, const Interval& pane, Timestamp due) const {
    if (due == pane.end) return true;
    return saturating_add(pane.end, window.correct_for) >= due &&
           pane.end > windows_[window.index].forgotten && window.corrects();
  }

  /// The dead letter of a row that is late for this window.
  DeadLetter letter(const WindowPlan& window, const EventBatch& batch, std::size_t row,
                    Timestamp watermark) const;

 private:
  const StreamWindowsPlan& plan_;
  struct OfWindow {
    Timestamp closed_at =
        kMinTimestamp;  ///< The watermark that closes what had closed at the start.
    Timestamp forgotten = kMinTimestamp;
  };
  std::vector<OfWindow> windows_;
};

}  // namespace streamobs::window

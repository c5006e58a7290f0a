#include "window/lateness.h"

#include <string_view>

#include <fmt/format.h>

#include "base/time_format.h"
#include "window/late_letter.h"

namespace streamobs::window {

Lateness::Lateness(const StreamWindowsPlan& plan) : plan_(plan), windows_(plan.windows.size()) {}

void Lateness::keep_closed(const std::vector<ClosedBefore>& closed) {
  for (const WindowPlan& window : plan_.windows) {
    const ClosedBefore& before = closed.at(window.index);
    OfWindow& known = windows_[window.index];
    known.closed_at = before.end == kMinTimestamp ? kMinTimestamp : window.closes_at(before.end);
    known.forgotten = before.forgotten;
  }
}

DeadLetter Lateness::letter(const WindowPlan& window, const EventBatch& batch, std::size_t row,
                            Timestamp watermark) const {
  const Timestamp time = batch.time[row];
  const Timestamp end = window.session() ? saturating_add(time, window.gap)
                                         : window.assigner.last_end(window.assigner.at(time));
  const std::string_view what = window.session()   ? "the session of"
                                : window.hopping() ? "the last window"
                                                   : "the window";
  const std::string_view whose = window.session() ? "this event alone would make, up to" : "ended";
  std::string_view since = window.corrects() ? " too long before to be corrected" : "";
  // Not by the watermark, but by what had closed, or ended before there was such a window.
  if (window.due(window.assigner.at(time), watermark)) since = " before this config took effect";
  DeadLetter letter =
      late_letter(batch, row,
                  fmt::format("{} {} that {} {} had closed{}: the watermark was {}", what,
                              window.name, whose, to_rfc3339(end), since, to_rfc3339(watermark)));
  letter.window = window.name;
  return letter;
}

}  // namespace streamobs::window

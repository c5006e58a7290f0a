// The sessions of one window of the config at the merger: intervals of a key that go from its first
// event to its last plus the gap, for as long as its events follow one another by less than that.
//
// Lanes know nothing of sessions: they count by pane, with the times of each group's first and last
// event. Here panes end one after the other, in event time. A group of the pane that ends is the
// end of its session, unless a later pane has a group of its key that begins within the gap: then
// it is merged into that one and goes on there. So a session is at any time one group, in the last
// pane it has reached. What lanes hand over is taken in the order in which it is due, that is,
// before the first close that came behind it in the log: a session holds what came before it
// closed, and what comes then begins a new one. (Lateness as in Apache Beam: an event is judged
// alone, before merging; its time is rounded up to the end of its pane.) Where sessions are cut,
// one ends there, and no pane lies across.
//
// Private to this folder; belongs to a WindowMerger.
#pragma once

#include "window/window_closer.h"

namespace streamobs::window {

class SessionCloser final : public WindowCloser {
 public:
  explicit SessionCloser(const WindowPlan& plan) : WindowCloser(plan) {}

  std::optional<Timestamp> next_end() const override;
  std::vector<Closed> close_next() override;
  std::vector<Closed> preview(Timestamp end,
                              std::span<const WindowInstance* const> parts) const override;

 private:
  bool goes_on(const WindowInstance& pane, std::uint32_t slot);
};

/// When the session in a group's row begins and ends.
Interval session_of(const WindowPlan& plan, const std::byte* row);

}  // namespace streamobs::window

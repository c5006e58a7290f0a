#include "loadgen/feed.h"

#include <algorithm>

namespace streamobs::loadgen {
namespace {

/// Microseconds from the first to the index-th event.
Duration offset_of(std::uint64_t index, double rate) {
  return static_cast<Duration>(static_cast<double>(index) * static_cast<double>(kSecond) / rate);
}

}  // namespace

Feed::Feed(Scenario& scenario, const FeedPlan& plan, Timestamp wall_start)
    : scenario_(scenario),
      plan_(plan),
      wall_start_(wall_start),
      event_start_(wall_start),
      from_wall_clock_(plan.rate <= 0 && plan.events == 0 && !plan.start) {
  if (plan.start) {
    event_start_ = *plan.start;
  } else if (plan.rate <= 0 && plan.events != 0) {
    // The past, up to about now, so that nothing comes from the future.
    event_start_ = (wall_start - offset_of(plan.events, plan.event_rate)) / kSecond * kSecond;
  }
}

Timestamp Feed::due(std::uint64_t ahead) const {
  if (plan_.rate <= 0) return wall_start_;
  std::uint64_t index = made_ + ahead;
  if (plan_.events != 0) index = std::min(index, plan_.events - 1);
  return wall_start_ + offset_of(index, plan_.rate);
}

bool Feed::done(Timestamp wall_now) const {
  if (plan_.events != 0 && made_ >= plan_.events) return true;
  return plan_.duration > 0 && wall_now - wall_start_ >= plan_.duration;
}

Timestamp Feed::event_time_of(std::uint64_t index, Timestamp wall_now) {
  if (!from_wall_clock_) return event_start_ + offset_of(index, plan_.event_rate);
  last_at_ = std::max(last_at_, wall_now);  // The wall clock may jump back, event time must not.
  return last_at_;
}

std::uint64_t Feed::generate(std::uint64_t max, Timestamp wall_now, std::vector<Lines>& out) {
  out.resize(scenario_.streams().size());
  std::uint64_t count = 0;
  while (count < max && !done(wall_now) && due() <= wall_now) {
    scenario_.next(event_time_of(made_, wall_now), out);
    ++made_;
    ++count;
  }
  return count;
}

}  // namespace streamobs::loadgen

#include "app/stream_timing.h"

#include <algorithm>

#include "window/closing.h"

namespace streamobs::app {

namespace {

/// The watermark that closes every window an event of time `t` belongs to.
Timestamp closing_watermark(const PlannedStream& stream, Timestamp t) {
  return stream.windows == nullptr ? t : window::closing_watermark(*stream.windows, t);
}

/// Of a join's stream, from the newest event of its sides.
Timestamp closing_of_join(const Plan& plan, const PlannedJoin& planned, Timestamp t) {
  const Timestamp over = t + planned.join->options.within + 1;
  return std::max(over, closing_watermark(plan.streams[planned.stream_id], over));
}

}  // namespace

std::vector<wal::CloseGrid> close_grids(const PlannedStream& stream) {
  std::vector<wal::CloseGrid> grids;
  if (stream.windows == nullptr) return grids;
  for (const window::ClosingGrid& grid : window::closing_grids(*stream.windows)) {
    grids.push_back({grid.step, grid.lateness});
  }
  return grids;
}

std::vector<wal::StreamTiming> timings(const Plan& plan, bool bounded, const InFlight& in_flight) {
  std::vector<wal::StreamTiming> all;
  const auto revised_at = [&in_flight](std::uint32_t id) {
    return in_flight.revised_at[id].load(std::memory_order_relaxed);
  };
  for (std::uint32_t id = 0; id < plan.streams.size(); ++id) {
    wal::StreamTiming timing;
    timing.name = plan.config.streams[id].name.text;
    timing.idle_timeout = plan.config.streams[id].idle_timeout;
    timing.may_go_on = !bounded;
    timing.closing_watermark = [&plan, id, revised_at](Timestamp t) {
      return std::max(closing_watermark(plan.streams[id], t), revised_at(id));
    };
    // Marks of joined rows follow from elsewhere (app/joins).
    if (!plan.config.streams[id].joined) timing.grids = close_grids(plan.streams[id]);
    all.push_back(std::move(timing));
  }
  for (const PlannedJoin& planned : plan.joins) {
    wal::StreamTiming& timing = all[planned.stream_id];
    timing.told = true;
    timing.idle_timeout = 0;
    timing.ending_watermark = [&plan, &planned, revised_at](Timestamp t) {
      return std::max(closing_of_join(plan, planned, t), revised_at(planned.stream_id));
    };
    for (const window::JoinSidePlan& side : planned.join->sides) {
      wal::StreamTiming& of_side = all[side.stream_id];
      of_side.told = true;
      timing.joins.push_back(side.stream_id);
      timing.idle_timeout = std::max(timing.idle_timeout, of_side.idle_timeout);
    }
  }
  for (std::uint32_t id = 0; id < all.size(); ++id) {
    if (!all[id].joins.empty()) continue;
    all[id].ending_watermark = [&plan, id](Timestamp t) {
      Timestamp latest = closing_watermark(plan.streams[id], t);
      for (const PlannedJoin& planned : plan.joins) {
        const auto& sides = planned.join->sides;
        if (sides[0].stream_id != id && sides[1].stream_id != id) continue;
        latest = std::max(latest, closing_of_join(plan, planned, t));
      }
      return latest;
    };
  }
  return all;
}

}  // namespace streamobs::app

#include "app/stream_timing.h"

#include <algorithm>

#include "window/closing.h"

namespace streamobs::app {

namespace {

/// How finely silence of a stream is told to its joins.
constexpr Duration kToldEvery = kSecond;

/// The watermark that closes every window an event of time `t` belongs to.
Timestamp closing_watermark(const PlannedStream& stream, Timestamp t) {
  return stream.windows == nullptr ? t : window::closing_watermark(*stream.windows, t);
}

/// The same for all that comes of an event, rows it is joined to included: these are up to `within`
/// younger, and whoever waits leaves once time has passed that.
Timestamp closing_with_joins(const Plan& plan, std::uint32_t stream_id, Timestamp t) {
  Timestamp latest = closing_watermark(plan.streams[stream_id], t);
  for (const PlannedJoin& planned : plan.joins) {
    const window::JoinPlan& join = *planned.join;
    const bool side = join.sides[0].stream_id == stream_id || join.sides[1].stream_id == stream_id;
    if (!side) continue;
    const Timestamp over = t + join.options.within + 1;
    latest = std::max({latest, over, closing_watermark(plan.streams[planned.stream_id], over)});
  }
  return latest;
}

bool is_joined(const Plan& plan, std::uint32_t stream_id) {
  return std::any_of(plan.joins.begin(), plan.joins.end(), [&](const PlannedJoin& planned) {
    return planned.join->sides[0].stream_id == stream_id ||
           planned.join->sides[1].stream_id == stream_id;
  });
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

std::vector<wal::StreamTiming> timings(const Plan& plan, bool bounded) {
  std::vector<wal::StreamTiming> all;
  for (std::uint32_t id = 0; id < plan.streams.size(); ++id) {
    wal::StreamTiming timing;
    timing.name = plan.config.streams[id].name.text;
    timing.idle_timeout = plan.config.streams[id].idle_timeout;
    timing.may_go_on = !bounded;
    timing.grids = close_grids(plan.streams[id]);
    timing.closing_watermark = [&plan, id](Timestamp t) { return closing_with_joins(plan, id, t); };
    if (is_joined(plan, id)) timing.told_every = kToldEvery;
    all.push_back(std::move(timing));
  }
  return all;
}

}  // namespace streamobs::app

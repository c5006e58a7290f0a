// What the sequencer must know of the plan's streams: when silence is enough, and how far time must
// go until all that comes of an event has closed.
//
// Free functions; called where the sequencing is made.
#pragma once

#include <vector>

#include "app/lane.h"
#include "app/plan.h"
#include "wal/sequencer.h"

namespace streamobs::app {

/// The grids on which windows of a stream may close; none where it has none.
std::vector<wal::CloseGrid> close_grids(const PlannedStream& stream);

/// What the sequencer must know of the plan's streams. `bounded`: nothing but the configured
/// sources will ever send anything. `in_flight` outlives what is given: in silence, time goes on up
/// to the revisions that late events wait for, by an `advanced` record. What comes of the end of a
/// source follows from the log alone, so from the plan.
std::vector<wal::StreamTiming> timings(const Plan& plan, bool bounded, const InFlight& in_flight);

}  // namespace streamobs::app

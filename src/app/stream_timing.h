// What the sequencer must know of the plan's streams: when silence is enough, and how far time must
// go until all that comes of an event has closed.
//
// Free functions; called where the sequencing is made.
#pragma once

#include <vector>

#include "app/plan.h"
#include "wal/sequencer.h"

namespace streamobs::app {

/// The grids on which windows of a stream may close; none where it has none.
std::vector<wal::CloseGrid> close_grids(const PlannedStream& stream);

/// What the sequencer must know of the plan's streams. `bounded`: nothing but the configured
/// sources will ever send anything.
std::vector<wal::StreamTiming> timings(const Plan& plan, bool bounded);

}  // namespace streamobs::app

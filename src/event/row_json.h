// A batch's row as the JSON object it could have come from: what a late event's dead letter shows.
// Free function; any strand that holds the batch.
#pragma once

#include <cstddef>
#include <string>

#include "event/event_batch.h"

namespace streamobs {

/// The declared columns where their paths put them (metadata.traceId within metadata), in the
/// schema's order; nulls are left out. Times are written as RFC 3339, whatever form they came in.
std::string row_to_json(const EventBatch& batch, std::size_t row);

}  // namespace streamobs

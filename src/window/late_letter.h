// Dead letters of events that have been decoded: too late, or without a partner. Private to this
// folder; pure.
#pragma once

#include <cstddef>
#include <string>

#include "event/dead_letter.h"
#include "event/event_batch.h"

namespace streamobs::window {

/// Of a row of a stamped batch, with all but `source` (the caller knows the names) and `window`.
DeadLetter late_letter(const EventBatch& batch, std::size_t row, std::string detail);

/// To the length that is kept.
void cut_payload(DeadLetter& letter);

}  // namespace streamobs::window

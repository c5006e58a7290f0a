// A copy of the database, made while it is in use.
//
// A free function that reads through a connection of its own; any thread. It holds nobody up: the
// journal beside the database only cannot be folded in while the copy is made.
#pragma once

#include <string>

#include "base/clock.h"
#include "base/result.h"

namespace streamobs::store {

/// The last committed state of `database` as a new file `path`, compact, closed to others, and
/// synced before it has that name. `invalid`: there is such a file already. `unavailable`: no
/// space.
Result<> back_up(const std::string& database, const std::string& path, Duration busy_timeout);

}  // namespace streamobs::store

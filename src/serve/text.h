// Times on their way in.
#pragma once

#include <optional>
#include <string_view>

#include "base/clock.h"

namespace streamobs::serve {

/// ISO 8601 as base/time_reading.h has it ("2024-01-09T12:34:00Z", "2024-01-09 12:34",
/// "2024-01-09"; UTC where no zone is named) or epoch milliseconds. A space for the `+` of an
/// offset is taken: that is what an unescaped `+` in a query string becomes.
std::optional<Timestamp> parse_time(std::string_view text);

}  // namespace streamobs::serve

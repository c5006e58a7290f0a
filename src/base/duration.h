// Reading durations as people write them in the config: "90s", "1m", "1h30m", "500ms", "7d".
// The way back is to_text(Duration) in time_format.h. Free functions; any thread.
#pragma once

#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace streamobs {

/// Whole numbers, each with its unit, the largest unit first, each unit at most once: w, d, h, m,
/// s, ms, us. "0" needs no unit. No sign, no fraction, no spaces. The error says what was expected
/// instead.
Result<Duration> parse_duration(std::string_view text);

}  // namespace streamobs

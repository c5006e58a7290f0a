// Values as people write them: spans of time, times, decimals, numbers, truth.
//
// Pure functions, used by the parser (literals) and by casts from text, one value at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/clock.h"

namespace streamobs::expr {

/// "5 minutes", "1 day 2 hours", "90s", "1h30m", "01:30:00", "-5 min". Months and years have no
/// fixed length and are not taken.
std::optional<Duration> parse_interval(std::string_view text);

/// "2024-01-09", "2024-01-09 12:34", "2024-01-09T12:34:56.789Z", "… +02:00". Without a zone: UTC.
std::optional<Timestamp> parse_timestamp(std::string_view text);

enum class NumberError : std::uint8_t { none, not_a_number, out_of_range };

/// Blanks around a number are skipped, as in PostgreSQL.
NumberError parse_integer(std::string_view text, std::int64_t& out);
NumberError parse_float(std::string_view text, double& out);
/// In units of 10^-scale; digits beyond are rounded half away from zero.
NumberError parse_decimal(std::string_view text, int scale, std::int64_t& out);

/// true, t, yes, y, on, 1 and their opposites, in any case.
std::optional<bool> parse_boolean(std::string_view text);

}  // namespace streamobs::expr

// What is said of a replay that counted nothing: why its events were refused, and what to try.
//
// Pure text, made once after a run.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "event/block.h"

namespace streamobs::app {

/// What the beginning of a file looks like; none where it looks like nothing known, as what is
/// compressed does.
std::optional<Format> format_of(std::string_view beginning);

/// What to do about events of stream `stream` that are refused as `reason`, when they were read as
/// `format`. A reason that is not one of the engine's is the name of a check.
std::string advice_on(std::string_view reason, std::string_view stream, Format format);

}  // namespace streamobs::app

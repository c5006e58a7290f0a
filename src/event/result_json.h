// Results as JSON: the one shape that they have in the API, in the live stream and in topics
// (docs/api.md). Free functions; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_writer.h"
#include "event/anomaly.h"
#include "event/dead_letter.h"
#include "event/window_result.h"

namespace streamobs {

/// What stands for the keys beyond max_keys.
inline constexpr std::string_view kOverflowKey = "__overflow__";

void write(JsonWriter& json, const WindowSchema& schema, const WindowRow& row);
void write(JsonWriter& json, const Anomaly& anomaly);
void write(JsonWriter& json, const Incident& incident);
/// Within an open object.
void write_members(JsonWriter& json, const DeadLetter& letter);

// Members that whoever writes JSON like this needs.

void time_or_null(JsonWriter& json, std::string_view name, const std::optional<Timestamp>& time);
void number_or_null(JsonWriter& json, std::string_view name, const std::optional<double>& number);
void write_strings(JsonWriter& json, std::string_view name, const std::vector<std::string>& texts);

}  // namespace streamobs

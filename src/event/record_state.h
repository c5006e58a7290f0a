// Values, anomalies and incidents as bytes in a checkpoint: what detection and narration keep of
// them over a restart.
//
// Free functions; any thread. Little endian, frozen numbers (those of the enums); whoever stores
// them writes a version before them. Reading gives false on bytes that nobody wrote, and then what
// was read means nothing.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "event/anomaly.h"
#include "event/value.h"

namespace streamobs {

/// Times are signed varints. Those further from 1970 than any clock or calendar are refused,
/// kMinTimestamp excepted, so that sums of times and durations stay within 64 bits.
bool read_time(ByteReader& in, Timestamp& out);
bool is_plausible_time(Timestamp time);

void put_value(std::string& out, const Value& value);
bool read_value(ByteReader& in, Value& out);

void put_named_values(std::string& out, const std::vector<NamedValue>& values);
bool read_named_values(ByteReader& in, std::vector<NamedValue>& out);

void put_anomaly(std::string& out, const Anomaly& anomaly);
/// `with_revision`: false for bytes from before anomalies had one; then it is 0.
bool read_anomaly(ByteReader& in, Anomaly& out, bool with_revision = true);

void put_incident(std::string& out, const Incident& incident);
bool read_incident(ByteReader& in, Incident& out);

}  // namespace streamobs

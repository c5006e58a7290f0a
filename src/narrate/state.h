// An open incident, and the narrator's state in a checkpoint.
//
// The format, version 3 (little endian; put_varint, put_signed and put_text of base/bytes.h):
//
//   version        u8, 3; 2 has neither revisions of anomalies nor what was withdrawn
//   windows        varint, sorted by name; each:
//     name         text, and its WindowSchema::definition u64
//     metrics      varint; each: name text, ResultColumn::definition u64
//     rows         text that holds:
//       newest     signed, start of the newest row
//       series     varint, sorted by key_bytes; each one put_value for each key column
//       rows       varint, in the order in which they came; each:
//         series   varint, which of the above
//         start    signed, less that of the row before; then the window's length, signed
//         metrics  double for each metric column; NaN for NULL and for text
//   troubles       newest end signed; then varint, sorted by stream and names; each:
//     stream       text; names of key columns: varint, texts
//     keys         varint, sorted; each: values as key_bytes, text;
//                  spans varint, by time, each from and to signed
//   incidents      varint, in the order of opening; each:
//     incident     put_incident, as it was last sent
//     stream       text
//     flags        u8: 1 quiet
//     resolved at  signed, the last anomaly of it that did; kMinTimestamp: none
//     unresolved   varint; ids as texts, sorted
//     others       varint; labels as texts, sorted
//     findings     two, alongside and parts: sentence text; facts varint, texts
//     tracks       varint, in the order of their first anomaly; each:
//       first, worst, last   three times put_anomaly
//       since      signed
//       windows    varint
//       before     varint; each: metric text, mean and deviation double, windows varint
//       withdrawn  varint
//       newest     varint, by time; each put_anomaly
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>

#include "base/bytes.h"
#include "event/anomaly.h"
#include "narrate/story.h"

namespace streamobs::narrate {

inline constexpr std::uint8_t kStateVersion = 3;
inline constexpr std::uint8_t kOldestVersion = 2;  ///< That is still read.

struct OpenIncident {
  Case told;
  std::string stream;                ///< Whose event time counts for it.
  std::set<std::string> unresolved;  ///< Ids of its anomalies that are not over.
  Timestamp last_resolved_at = kMinTimestamp;
  bool changed = false;          ///< Not between two records.
  std::optional<Incident> sent;  ///< As people know it; between two records the same as `told`.

  Incident& incident() { return told.incident; }
  const Incident& incident() const { return told.incident; }
};

void put_open(std::string& out, const OpenIncident& open);
/// False on bytes that nobody wrote.
bool read_open(ByteReader& in, std::uint8_t version, OpenIncident& out);

}  // namespace streamobs::narrate

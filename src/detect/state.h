// A rule's state in a checkpoint.
//
// The format, version 4 (little endian; put_varint, put_signed and put_text of base/bytes.h):
//
//   version          u8, 4; 2 has no revisions: neither `said` nor that of an anomaly
//   streams          varint, in 2 and 3 alone; each: name text, position varint of its newest
//                    batch, watermark signed
//   rules            varint, sorted by name; each:
//     name           text
//     definition     u64, RulePlan::definition
//     ids            u8: 1: as in 2 and 3, which have no such byte (RuleRun::new_id); else 0
//     window         text, and its WindowSchema::definition u64
//     series         varint; each text, RulePlan::series_text
//     newest end     signed
//     keys           varint, least recently seen first; each:
//       key          text (key_bytes), text (key_text)
//       history      KeyHistory::put
//       start, end   signed, of the newest window seen
//       streak       of the newest window, and the one before it:
//         flags      u8: 1 true just now, 2 firing, 4 with a baseline
//         first      end, start signed; baseline double; only as the flags say
//         last end   signed
//       open         varint anomalies, oldest first, put_anomaly
//       said         varint, the revision of RuleRun::Key::said and 1; 0: none; else its id, text,
//                    which 3 does not have
//
// Times are kMinTimestamp where there is none yet.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "detect/rule_run.h"

namespace streamobs::detect {

inline constexpr std::uint8_t kStateVersion = 4;
inline constexpr std::uint8_t kOldestVersion = 2;  ///< That is still read.

/// A rule as it was read from a snapshot.
struct StoredRule {
  struct Key {
    std::string bytes;
    RuleRun::Key state;  ///< Without its place in any list.
  };
  std::string name;
  std::uint64_t definition = 0;
  bool old_ids = false;
  std::string window;
  std::uint64_t window_definition = 0;
  std::vector<std::string> series;
  Timestamp newest_end = kMinTimestamp;
  std::vector<Key> keys;
};

/// Passes over what earlier versions have between theirs and the rules; false on bytes that nobody
/// wrote.
bool skip_streams(ByteReader& in, std::uint8_t version);
void put_key(std::string& out, std::string_view bytes, const RuleRun::Key& key);
/// False on bytes that nobody wrote.
bool read_rule(ByteReader& in, std::uint8_t version, StoredRule& out);

/// For each of `wanted`, which of `there` it is, if any.
std::vector<std::optional<std::size_t>> places_of(const std::vector<std::string>& wanted,
                                                  const std::vector<std::string>& there);

}  // namespace streamobs::detect

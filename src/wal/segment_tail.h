// What stands behind the last good frame of the last segment: nothing, a torn tail, or damage.
//
// Plain functions that block; one thread. docs/wal-format.md, "How the end is found".
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/file_system.h"
#include "base/result.h"
#include "wal/log.h"
#include "wal/segment_reader.h"

namespace streamobs::wal {

/// The bytes of a raw segment from some offset on.
struct Rest {
  std::uint64_t bytes = 0;             ///< Up to the last that is not zero.
  std::uint64_t durable_sequence = 0;  ///< Greatest that a good frame header among them knows.
  std::uint64_t sequence_max = 0;      ///< Greatest of those headers' own.
};

Result<Rest> examine_rest(File& file, std::uint64_t offset, std::uint32_t origin);

/// Called where reading the last segment stopped (outcome end or bad): a torn tail, or nothing
/// where the log simply ends. `corrupt` where a witness says that the next record was durable;
/// `known_durable` is the greatest sequence that the caller knows to be.
Result<std::optional<TornTail>> judge_tail(SegmentReader& reader, SegmentForm form,
                                           std::uint64_t known_durable);

/// "log segment S is damaged at offset O (record N): PROBLEM; way out".
Error damage_at(const std::string& segment, std::uint64_t offset, std::uint64_t sequence,
                const std::string& problem);

/// Copies a torn tail to a file of its own beside the segment, durably; fills in its path. Old
/// copies beyond the newest eight are removed.
Result<> save_torn(FileSystem& files, const std::string& directory, std::uint64_t number,
                   File& segment, TornTail& torn);

/// Copies bytes of one file to another, `offset` to `to_offset`.
Result<> copy_bytes(File& from, std::uint64_t offset, std::uint64_t bytes, File& to,
                    std::uint64_t to_offset);

}  // namespace streamobs::wal

// Reads a whole log without stopping at damage, and notes what is there and what is wrong: the eyes
// of log_tool.
//
// Plain functions that block; one thread.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/result.h"
#include "wal/log.h"
#include "wal/segment_files.h"
#include "wal/segment_reader.h"

namespace streamobs::wal {

struct Damage {
  std::uint64_t sequence = 0;  ///< The first record that cannot be read; 0: not known.
  std::string message;         ///< Names segment, offset and what is wrong.
};

struct SegmentReport {
  SegmentFile file;
  bool header_good = false;
  std::uint64_t bytes = 0;
  std::uint64_t next_sequence = 0;  ///< Behind the last good record; header_good only.
  std::uint64_t end_offset = 0;     ///< Where that ended.
  std::uint64_t sequence_max = 0;   ///< Newest record that left a trace in it.
  std::uint64_t records = 0;
  std::array<std::uint64_t, 256> records_by_type{};
  std::optional<Damage> damage;
  std::optional<TornTail> torn;  ///< Of the last segment only.
};

using OnFrame = std::function<void(const SegmentReport&, const Frame&)>;

/// One for each segment, in order. Errors are those of the file system only. `known_durable` as in
/// LogReaderOptions.
Result<std::vector<SegmentReport>> examine(FileSystem& files, const std::string& directory,
                                           std::uint64_t known_durable, const OnFrame& on_frame);

}  // namespace streamobs::wal

// What Log::open does to an existing log before anything is written to it, and Log::look sees of
// it.
//
// Plain functions that block; one thread; can be repeated after a crash at any point.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/result.h"
#include "wal/log.h"
#include "wal/segment_files.h"

namespace streamobs::wal {

struct RecoveredTail {
  std::uint64_t next_sequence = 1;
  std::uint64_t rewritten_bytes = 0;
  std::optional<TornTail> torn;
};

/// Finds the end of the log in its last segment, saves and cuts a torn tail, and makes what is left
/// durable. `corrupt` as in Log::open.
Result<RecoveredTail> recover_tail(FileSystem& files, const std::string& directory,
                                   const SegmentFile& last, std::uint64_t known_durable);

/// The same end, and nothing is saved, cut or made durable.
Result<RecoveredTail> look_at_tail(FileSystem& files, const std::string& directory,
                                   const SegmentFile& last, std::uint64_t known_durable);

/// Removes unfinished files (*.tmp) of earlier processes.
Result<> remove_unfinished(FileSystem& files, const std::string& directory);

/// Removes segments without a record that have a successor, also from the list.
Result<> remove_empty(FileSystem& files, const std::string& directory,
                      std::vector<SegmentFile>& segments);

/// Removes both forms of a segment, and sees to it that this is durable.
Result<> remove_segment(FileSystem& files, const std::string& directory,
                        const SegmentFile& segment);

}  // namespace streamobs::wal

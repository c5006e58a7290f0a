// Which segments a log's directory holds, and what their files are called.
//
// Plain functions; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "base/result.h"
#include "wal/format.h"

namespace streamobs::wal {

/// One segment: at least one of its two forms is there.
struct SegmentFile {
  std::uint64_t number = 0;
  bool raw = false;
  bool sealed = false;
  SegmentHeader header;  ///< Of the form that is read: the sealed one, if there is one.
};

std::string raw_name(std::uint64_t number);
std::string sealed_name(std::uint64_t number);
/// Of the form that is read.
std::string name_of(const SegmentFile& segment);

/// What every message about damage ends with.
inline constexpr std::string_view kWayOut =
    "`streamobs wal verify` says what is wrong, `streamobs wal repair` what can be done about it";

/// Names only, in the order of their numbers. A directory that does not exist has none.
Result<std::vector<SegmentFile>> list_segments(FileSystem& files, const std::string& directory);

/// Reads the header of an open segment file. `corrupt` if it is damaged or of another segment than
/// its name says, `invalid` if a newer streamobs wrote it.
Result<SegmentHeader> read_segment_header(File& file, const std::string& name, std::uint64_t number,
                                          SegmentForm form);

/// Names and headers. `corrupt` also where headers contradict one another; `invalid` where they are
/// of another log than expected (0: any). `unavailable` where a segment went while looking.
Result<std::vector<SegmentFile>> read_segments(FileSystem& files, const std::string& directory,
                                               std::uint64_t expected_log_id);

}  // namespace streamobs::wal

// Compresses a raw segment to its sealed form, so that a crash at any point leaves at least one
// whole form, and a reader never sees half of one.
//
// A plain function that blocks; any thread, one segment by one thread at a time.
#pragma once

#include <cstdint>
#include <string>

#include "base/file_system.h"
#include "base/result.h"
#include "wal/pace.h"

namespace streamobs::wal {

struct SealedSegment {
  std::uint64_t raw_bytes = 0;
  std::uint64_t sealed_bytes = 0;
};

/// `end_sequence` is the first sequence of the segment behind it. What is there already of the
/// sealed form (a crash between its rename and the raw one's removal) is checked and kept.
/// `corrupt` where either form cannot be read back; the raw one is only removed if the sealed one
/// holds the same bytes.
/// `unavailable` soon after `pace` has said to end: nothing has changed.
Result<SealedSegment> seal_segment(FileSystem& files, const std::string& directory,
                                   std::uint64_t number, std::uint64_t end_sequence,
                                   Pace& pace);

}  // namespace streamobs::wal

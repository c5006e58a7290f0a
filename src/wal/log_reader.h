// Reads the records of a log in order, across segments, raw and sealed.
//
// Used at start-up behind Log::open (which has already cut a torn tail), by `replay --from-log`
// beside a running engine, and by the tools. One thread; reads only. What it hands out is whole,
// checked, and of this log; where something is missing or wrong it says so instead of going on.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "base/result.h"
#include "wal/log.h"
#include "wal/segment_reader.h"

namespace streamobs::wal {

/// One record as it was read.
struct LogEntry {
  std::uint8_t type = 0;
  std::uint64_t sequence = 0;
  std::string_view payload;
  /// Keeps the payload alive; copy it to hand the payload to another thread. It holds a block of
  /// some 1 MiB, so do not keep many for long.
  std::shared_ptr<const void> keep;
  std::uint64_t segment = 0;  ///< Number of the segment it stands in …
  std::uint64_t offset = 0;   ///< … and where (of a sealed one: in its raw form).
};

struct LogReaderOptions {
  /// The first record wanted; 0: the oldest there is.
  std::uint64_t from_sequence = 0;
  /// The last one wanted; reading ends cleanly behind it.
  std::uint64_t to_sequence = ~std::uint64_t{0};
  /// 0: any log.
  std::uint64_t expected_log_id = 0;
  /// Newest sequence known to be durable from elsewhere (checkpoint, database). A log that ends
  /// before it is damaged.
  std::uint64_t known_durable = 0;
  /// An engine may be writing: what is unfinished at the end is the end. It may hand out records
  /// that are written and not yet synced. What a witness calls durable is damage here, too.
  bool live = false;
};

class LogReader {
 public:
  /// `files` outlives the reader. `corrupt` where the log does not reach back to from_sequence
  /// (names what is missing) or a header is damaged; `not_found` where there is no log; `invalid`
  /// where it is another log, or of a newer format.
  static Result<std::unique_ptr<LogReader>> open(FileSystem& files, std::string directory,
                                                 const LogReaderOptions& options);

  /// The next record; false at the end. `corrupt` at damage inside, with segment, offset, sequence
  /// and the way out. Live: `unavailable` where the engine trimmed the log faster than it was read.
  /// The entry's payload is good until the next call, or as long as a copy of `keep` lives.
  Result<bool> next(LogEntry& entry);

  /// After the end: what stood behind the last good record, if the log is not live.
  const std::optional<TornTail>& torn() const { return torn_; }

  std::uint64_t log_id() const { return segments_.front().header.log_id; }
  /// Oldest record that the log held when it was opened.
  std::uint64_t first_sequence() const { return segments_.front().header.first_sequence; }
  /// The one that next() gives next, if there is one.
  std::uint64_t next_sequence() const;
  /// For progress: bytes of the files to be read, and of those read so far.
  std::uint64_t bytes_total() const { return bytes_total_; }
  std::uint64_t bytes_read() const;

 private:
  LogReader(FileSystem& files, std::string directory, const LogReaderOptions& options);

  Result<> begin();
  Result<> open_segment_here();
  Result<> go_on();
  Result<> go_to_next_segment();
  Result<> end_here();
  Result<bool> look_for_newer();

  FileSystem& files_;
  const std::string directory_;
  LogReaderOptions options_;
  std::vector<SegmentFile> segments_;
  std::size_t index_ = 0;  ///< Of the segment being read.
  std::unique_ptr<SegmentReader> reader_;
  SegmentForm form_ = SegmentForm::raw;
  bool ended_ = false;
  bool looked_again_ = false;  ///< At a place that may be damage.
  std::optional<TornTail> torn_;
  std::uint64_t bytes_total_ = 0;
  std::uint64_t bytes_before_ = 0;  ///< Of the segments already read.
};

}  // namespace streamobs::wal

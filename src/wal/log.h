// The write-ahead log: records in one order, durable before anyone hears of them.
//
// One Log per data directory, from start-up to the end; the directory's lock is the caller's
// business (store/data_dir). Every call blocks on the disk: none is made on the event loop.
//
// Threads. Writing (reserve, append, sync) is done by one thread at a time: the journal's, one
// group after the other. Beside it, maintaining (prepare_next, seal_next, trim) may go on, one call
// at a time (a second one waits), and any thread may ask (the const functions). That is safe
// because the two never touch the same file: maintenance only handles segments that writing has
// finished with, and what both know, the list of segments, is held under a mutex for moments only.
//
// A failed write or sync poisons the log: nobody knows what is on disk then (the page cache may
// have dropped the bytes), so every later write call fails with the same words and the process has
// to end and recover. A full disk does not: reserve() fails with `no_space` before anything has
// been written and succeeds again once there is space.
//
// The byte format is docs/wal-format.md.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/result.h"
#include "wal/block_writer.h"
#include "wal/format.h"
#include "wal/log_stats.h"
#include "wal/options.h"
#include "wal/segment_files.h"

namespace streamobs::wal {

/// One record to be appended. Refers to the caller's bytes until append() has returned.
struct LogRecord {
  std::uint8_t type = 0;       ///< wal/record.h; 1 … 255.
  std::uint64_t sequence = 0;  ///< The one behind the record before it; the first ever is 1.
  std::span<const std::string_view> payload;  ///< In pieces, so that nobody has to join them.
  std::uint32_t payload_crc = 0;              ///< crc32c over all pieces.
};

/// Bytes that a record takes in the log; what reserve() counts.
constexpr std::uint64_t bytes_in_log(std::uint64_t payload_bytes) {
  return frame_bytes(payload_bytes);
}

/// What was behind the last good record when the log was opened: written but never acknowledged.
struct TornTail {
  std::string segment;  ///< File name.
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  std::string reason;    ///< What is wrong with the first of them.
  std::string saved_as;  ///< Path of the copy; empty until they were cut.
};

/// What the log looked like when it was opened.
struct LogState {
  std::uint64_t log_id = 0;
  bool created = false;               ///< There was none before.
  std::uint64_t first_sequence = 1;   ///< Oldest record held; next_sequence if none is.
  std::uint64_t next_sequence = 1;    ///< Of the first record to be appended.
  std::uint64_t rewritten_bytes = 0;  ///< Of the last segment: written again and synced.
  std::optional<TornTail> torn;       ///< Saved aside and cut.
};

struct LogOpenOptions {
  /// The log id that checkpoint and database name; 0: none of them names one.
  std::uint64_t expected_log_id = 0;
  /// For a new log. Random, not 0. The caller draws it, so that tests can choose.
  std::uint64_t new_log_id = 0;
  /// The newest sequence that a checkpoint or the database has seen: a log that ends before it has
  /// lost something, and is refused.
  std::uint64_t known_durable = 0;
};

class Log {
 public:
  /// Opens the log in `directory` (DATA_DIR/wal), or creates it. When it returns, what the last
  /// segment held is durable: a torn tail is copied to torn-… and cut, and the good bytes are
  /// written again and synced (the page cache may show what the disk does not have). Records up to
  /// state().next_sequence - 1 can then be replayed with a LogReader, also while new ones are
  /// appended. An existing log opens on a full disk, too; reserve() says so then.
  ///
  /// `corrupt` where the log is damaged inside or ends before known_durable: names segment, offset
  /// and the way out. `invalid` where it is another log than expected, or of a newer format. Only
  /// the last segment is read here; damage in older ones is found by whoever reads them.
  ///
  /// `files` and `clock` outlive the log; the clock only dates segments (keep_age).
  static Result<std::unique_ptr<Log>> open(FileSystem& files, const Clock& clock,
                                           std::string directory, const WalOptions& options,
                                           const LogOpenOptions& open_options);
  /// What open() would find, with the same refusals; nothing is changed, and nobody may be writing.
  /// Where there is no log, `created`, and no id.
  static Result<LogState> look(FileSystem& files, const std::string& directory,
                               const LogOpenOptions& open_options);
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  const LogState& state() const { return state_; }

  // --- Writing: one thread at a time.

  /// Makes sure that records of together `bytes` (the sum of bytes_in_log()), appended before the
  /// next reserve(), find space. `no_space`: nothing happened, try again later.
  Result<> reserve(std::uint64_t bytes);

  /// Writes the records in one go. Not durable before sync(). Reserves what was not reserved; if
  /// that fails with `no_space`, nothing was written and the log is as before. `too_large` for a
  /// payload beyond kPayloadBytesMax, likewise.
  Result<> append(std::span<const LogRecord> records);

  /// All that was appended is durable when this returns.
  Result<> sync();

  // --- Maintaining: beside writing.

  /// Has the next segment ready, if that is due: space that was written before takes half the time
  /// to sync, and does not wait for other traffic on the disk. Without it, space is merely
  /// allocated when it is needed. False: nothing was to be done. `no_space`: later.
  Result<bool> prepare_next();

  /// Compresses the oldest segment that is full and not yet compressed; false: there was none.
  /// `corrupt` names a segment that cannot be read back; it stays as it is and is not tried again.
  /// `no_space`: later.
  Result<bool> seal_next();

  /// Any thread: what of the two is under way is broken off soon, and says that nothing was to be
  /// done; so do all later calls.
  void end_maintenance() { maintenance_ended_.store(true, std::memory_order_relaxed); }

  /// Removes the oldest segments that hold only records up to `up_to_sequence`, unless
  /// options.keep_age or keep_bytes hold them. Gives the number of segments removed.
  Result<std::uint64_t> trim(std::uint64_t up_to_sequence);

  // --- Asking: any thread.

  std::uint64_t next_sequence() const;
  std::uint64_t durable_sequence() const;
  /// Oldest record still held.
  std::uint64_t first_sequence() const;
  /// Why the log takes no more; nothing while it does.
  std::optional<Error> poisoned() const;
  LogStats stats() const;

 private:
  struct Segment {
    SegmentFile file;
    std::uint64_t bytes = 0;   ///< On disk.
    bool seal_failed = false;  ///< Not tried again.
  };
  /// The segment that is written, and only by the writing thread.
  struct Active {
    std::unique_ptr<File> file;
    std::uint32_t origin = 0;
    std::uint64_t capacity = 0;
    bool written = false;  ///< As in Spare.
  };
  /// Space for the next one, as next.tmp or prepared-N.tmp.
  struct Spare {
    std::unique_ptr<File> file;
    std::string path;
    std::uint64_t capacity = 0;
    bool written = false;  ///< Zeros were written to it, not only space allocated.
  };

  Log(FileSystem& files, const Clock& clock, std::string directory, const WalOptions& options);

  Result<> create(const LogOpenOptions& open_options);
  Result<> recover(std::vector<SegmentFile> segments, const LogOpenOptions& open_options);

  Result<> allocate_spare(std::uint64_t capacity);
  void take_prepared(std::uint64_t capacity);
  void drop(Spare& spare);
  Result<> roll();
  Result<SegmentFile> begin_segment();
  Result<> write_frames(std::span<const LogRecord> records);
  Error poison(const Error& error);

  bool may_remove_first(std::uint64_t up_to_sequence) const;

  FileSystem& files_;
  const Clock& clock_;
  const std::string directory_;
  const WalOptions options_;
  LogState state_;

  // Of the writing thread.
  Active active_;
  Spare spare_;
  std::string headers_;                   ///< Frame headers of the group being written.
  std::vector<std::string_view> pieces_;  ///< What goes into one write.
  BlockWriter writer_;                    ///< To the active segment.

  std::mutex maintaining_;  ///< Held by the calls that maintain throughout; before mutex_.
  std::uint64_t prepared_count_ = 0;  ///< Guarded by it.
  std::atomic<bool> maintenance_ended_{false};

  mutable std::mutex mutex_;       ///< Guards what follows; never held over a call to the disk.
  std::vector<Segment> segments_;  ///< Changed by both; the last only by the writing thread.
  std::uint64_t next_sequence_ = 1;
  std::uint64_t durable_sequence_ = 0;
  std::optional<Error> poison_;
  Spare prepared_;  ///< Made by maintenance, taken by the writing thread.
  bool prepare_due_ = false;
  LogStats stats_;
};

}  // namespace streamobs::wal

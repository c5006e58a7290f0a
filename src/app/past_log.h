// The history in a log, read for its events: of an engine that has ended, or of one that is running
// and writing on.
//
// A log is self-contained: the records of its sessions say under which config, and so with which
// fields, the batches behind them were written. Opened by the commands that read history (`query
// --from-log`, `replay --from-log`); reads only, takes no lock. One thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "app/plan.h"
#include "base/file_system.h"
#include "base/result.h"
#include "event/event_batch.h"
#include "wal/batch_codec.h"
#include "wal/log_reader.h"
#include "wal/record.h"

namespace streamobs::app {

/// A process's turn with the log: what the ids in its records mean.
struct PastSession {
  std::uint64_t position = 0;  ///< Of the record that says so.
  wal::SessionStarted record;
  std::shared_ptr<const Plan> plan;  ///< Of its config; null until it is asked for.
};

/// The source by whose name the log knows the rows of joins.
inline constexpr std::string_view kJoinSource = "(join)";

/// Whether a stream of a session, by its number there, was a join's.
bool was_join(const wal::SessionStarted& session, std::size_t stream);

class PastLog {
 public:
  /// `directory`: an engine's data directory, or the log's within it. Reads the log once to its
  /// present end, for its sessions; what is written later is not looked at.
  static Result<std::unique_ptr<PastLog>> open(FileSystem& files, const std::string& directory);

  /// The next record; false behind the last.
  Result<bool> next(wal::LogEntry& entry);
  /// The session that the record last given by next() belongs to.
  const PastSession& session() const { return sessions_[session_]; }
  std::size_t session_index() const { return session_; }
  /// The config of a session, compiled. Error: this streamobs does not take it any more.
  Result<std::shared_ptr<const Plan>> plan(std::size_t session);
  /// The stream that a batch (the record last given by next()) is of, as its session had it. Null:
  /// the batch is not to be read. It was set aside because it brought the engine down each time, or
  /// it is older than the first session's record and was written under another config.
  Result<const decode::StreamPlan*> stream_of(const wal::LogEntry& batch);
  /// A batch as it was. `schema` of its session or one with the same fields; outlives `out`.
  Result<> decode(const wal::LogEntry& entry, const StreamSchema& schema, EventBatch& out);

  /// All of them, the oldest first; neighbours differ. Records before the first are of a session
  /// whose own record is no longer in the log, and are taken to be of the first where they fit it.
  const std::vector<PastSession>& sessions() const { return sessions_; }
  /// Which records stream_of() has passed over so far because they do not; else empty.
  std::string passed_over() const;
  /// Where the log does not reach back to its beginning, that and what to do about it; else empty.
  std::string lacks() const;
  std::uint64_t first() const { return first_; }
  std::uint64_t last() const { return last_; }
  std::uint64_t bytes_total() const { return reader_->bytes_total(); }
  std::uint64_t bytes_read() const { return reader_->bytes_read(); }

 private:
  PastLog(FileSystem& files, std::string directory)
      : files_(files), directory_(std::move(directory)) {}
  Result<> find_sessions();
  Result<std::unique_ptr<wal::LogReader>> reader() const;
  Result<bool> fits_session(const wal::LogEntry& batch, const wal::BatchHead& head,
                            const decode::StreamPlan& stream) const;

  FileSystem& files_;
  const std::string directory_;  ///< Of the log.
  std::unique_ptr<wal::LogReader> reader_;
  wal::BatchDecoder decoder_;
  std::vector<PastSession> sessions_;
  std::size_t session_ = 0;
  std::set<std::uint64_t> set_aside_;
  std::uint64_t first_ = 0;
  std::uint64_t last_ = 0;
  // Batches of the time before the first session that do not fit it.
  std::uint64_t unfit_ = 0;
  std::uint64_t first_unfit_ = 0;
  std::uint64_t last_unfit_ = 0;
};

/// The text of a row as it came, where it was kept and is a JSON object; else empty. A line of
/// another format needs more than itself to be understood.
std::string_view kept_json(const EventBatch& batch, std::size_t row);

/// The rows of a batch whose time is in [from, to).
struct TimeRange {
  Timestamp from = kMinTimestamp;
  Timestamp to = kMaxTimestamp;
  bool contains(Timestamp t) const { return t >= from && t < to; }
};

/// Times as events have them; error: `text` is none.
Result<TimeRange> parse_time_range(const std::string& from, const std::string& to);

}  // namespace streamobs::app

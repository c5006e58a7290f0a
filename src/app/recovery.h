// What the engine left behind when it ended last: its log and its checkpoints, and what has to be
// replayed of them.
//
// `History` is opened by the topology before anything runs, on the thread that starts it, and kept
// until the engine has ended; `Tail` reads what is to be replayed, on the blocking pool, one call
// at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "app/coherence.h"
#include "app/plan.h"
#include "app/replay_watch.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "base/result.h"
#include "event/record.h"
#include "wal/batch_codec.h"
#include "wal/checkpoint.h"
#include "wal/log.h"
#include "wal/log_reader.h"
#include "wal/record.h"
#include "wal/sequencer.h"

namespace streamobs::app {

/// Names of the parts of a checkpoint that are not an operator's own.
namespace part {
inline constexpr const char* config = "config";  ///< The text in force at its position.
inline constexpr const char* sequencer = "sequencer";
inline constexpr const char* request_keys = "request_keys";
inline constexpr const char* lookups = "lookups";
inline constexpr const char* proposed = "proposed";  ///< Absent where there is nothing.
inline constexpr const char* detect = "detect";
inline constexpr const char* narrate = "narrate";
std::string deduplication(const std::string& stream);
std::string templates(const std::string& stream);
std::string join(const std::string& join);
std::string windows(const std::string& stream);
}  // namespace part

/// A part of a checkpoint by its name; null if it has none.
const std::string* find_part(const CheckpointParts& checkpoint, const std::string& name);
/// The same, for whoever goes on without one.
std::optional<std::string_view> find_text(const CheckpointParts& checkpoint,
                                          const std::string& name);

/// The payload of a range_proposed: it is decoded only if it comes to be taken.
struct ProposedPayload {
  std::string bytes;
};

/// A record of the log, decoded.
struct Replayed {
  std::uint64_t position = 0;
  std::variant<wal::EventBatchPtr, wal::ControlRecord, ProposedPayload> record;
};

/// A run of the log's records that were all written under one config.
struct Stretch {
  std::uint64_t from = 0;
  std::uint64_t to = 0;
  std::string config_text;
};

/// Records to be replayed, in order, as batches of a plan. Blocks; one call at a time.
class ReplayInput {
 public:
  virtual ~ReplayInput() = default;
  /// Appends the next records, about `bytes_max` of payload. False: there are no more.
  virtual Result<bool> read(std::vector<Replayed>& out, std::size_t bytes_max) = 0;
  /// Position of the first and of the last.
  virtual std::uint64_t from() const = 0;
  virtual std::uint64_t to() const = 0;
};

/// Those of a stretch of the engine's own log.
class Tail : public ReplayInput {
 public:
  /// Of the batches in `set_aside` nothing is read but where they came from: their events are
  /// refused.
  static Result<std::unique_ptr<Tail>> open(FileSystem& files, const std::string& directory,
                                            std::shared_ptr<const Plan> plan, std::uint64_t from,
                                            std::uint64_t to, std::set<std::uint64_t> set_aside);

  Result<bool> read(std::vector<Replayed>& out, std::size_t bytes_max) override;
  std::uint64_t from() const override { return from_; }
  std::uint64_t to() const override { return to_; }

 private:
  Tail(std::unique_ptr<wal::LogReader> reader, std::shared_ptr<const Plan> plan, std::uint64_t from,
       std::uint64_t to, std::set<std::uint64_t> set_aside);
  Result<Replayed> decode(const wal::LogEntry& entry);
  Result<wal::EventBatchPtr> decode_batch(const wal::LogEntry& entry);

  std::unique_ptr<wal::LogReader> reader_;
  std::shared_ptr<const Plan> plan_;
  std::uint64_t from_;
  std::uint64_t to_;
  const std::set<std::uint64_t> set_aside_;
  wal::BatchDecoder decoder_;
  bool ended_ = false;
};

class History {
 public:
  /// Opens log and checkpoints in `data_dir`, or begins them; not beside a database whose log is
  /// missing. What is to go on from says go_on_for().
  static Result<std::unique_ptr<History>> open(FileSystem& files, const Clock& clock,
                                               const std::string& data_dir,
                                               const wal::WalOptions& options);

  wal::Log& log() { return *log_; }
  /// As it was when it was opened.
  const wal::LogState& log_state() const { return log_->state(); }
  std::uint64_t log_id() const { return log_->state().log_id; }
  /// Position of the last record there was then.
  std::uint64_t end() const { return log_->state().next_sequence - 1; }

  /// The state to go on from; null: from the beginning.
  const CheckpointParts* checkpoint() const { return checkpoint_ ? &*checkpoint_ : nullptr; }
  /// What is to be replayed behind it, in order; one stretch for each config in force.
  const std::vector<Stretch>& stretches() const { return stretches_; }
  /// Takes up what a database with results up to `database` goes on from, with the refusals of
  /// judge_coherence(). Again for the new one, where a database has turned out to be damaged.
  Result<GoingOn> go_on_for(const store::LogPosition& database, const Clock& clock);
  /// Takes up the checkpoint that has been saved since.
  Result<> reload();

  /// Of the replays that are to come.
  ReplayWatch& watch() { return watch_; }

  Result<std::unique_ptr<Tail>> tail(std::shared_ptr<const Plan> plan, const Stretch& stretch);

  /// Blocking pool. Makes the parts the newest checkpoint; gives the position up to which the log
  /// is not needed any more.
  Result<std::uint64_t> save(const CheckpointParts& parts);

 private:
  History(FileSystem& files, const std::string& data_dir)
      : files_(files), data_dir_(data_dir), wal_(data_dir + "/wal"), watch_(files, data_dir) {}
  Result<> load_checkpoint(std::uint64_t applied);
  Result<> set_suspect_aside(const Clock& clock);
  Result<std::string> keep_aside(const wal::LogEntry& entry);
  /// Finds out which configs were in force behind the checkpoint.
  Result<> scan();

  FileSystem& files_;
  const std::string data_dir_;
  const std::string wal_;  ///< Directory of the log.
  ReplayWatch watch_;
  std::unique_ptr<wal::Log> log_;
  std::optional<wal::CheckpointStore> checkpoints_;
  std::optional<CheckpointParts> checkpoint_;
  std::vector<Stretch> stretches_;
  std::set<std::uint64_t> set_aside_;  ///< Batches that are not to be replayed any more.
};

}  // namespace streamobs::app

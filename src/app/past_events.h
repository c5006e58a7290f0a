// The events of a log as batches of another plan: what `replay --from-log` replays.
//
// Batches whose fields are those of the plan's stream, and stood at the same places in the events,
// are taken as they are. Others (and those that have to pass other checks) are written out as JSON
// and decoded anew, from the lines as they came where the stream kept them (keep = "raw"), else
// each field at its place of now. Time is what it was: sources fall silent and end where they did.
// Streams that the plan does not have are passed over. Blocking pool, one call at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/past_log.h"
#include "app/recovery.h"
#include "decode/decoder.h"

namespace streamobs::app {

class PastEvents : public ReplayInput {
 public:
  /// `plan`'s sources give way to those that the log's sessions had. `stream`: only this one;
  /// empty: all that the plan has.
  PastEvents(std::unique_ptr<PastLog> log, const Plan& plan, std::string stream, TimeRange range,
             std::function<void(std::uint64_t, std::uint64_t)> on_progress);

  /// Under which it is to be replayed.
  std::shared_ptr<const Plan> plan() const { return plan_; }
  /// Fields of the plan that no session of the log had, as "stream.field": null in every event, but
  /// where lines were kept. Error: the config of a session that has one of the streams is not taken
  /// any more.
  Result<std::vector<std::string>> unknown_fields();
  /// After the last read(): the rows that were not in the range, and the times that there were.
  std::uint64_t rows_outside() const { return rows_outside_; }
  /// Whether there was any event, of whichever stream.
  bool any() const { return any_; }
  const std::optional<TimeRange>& seen() const { return seen_; }
  /// PastLog::passed_over().
  std::string passed_over() const { return log_->passed_over(); }

  Result<bool> read(std::vector<Replayed>& out, std::size_t bytes_max) override;
  std::uint64_t from() const override { return log_->first(); }
  std::uint64_t to() const override { return log_->last(); }

 private:
  /// How the batches of a session's stream become those of the plan's.
  struct Translation {
    bool as_it_is = false;
    StreamSchema places;  ///< The fields of then, where the plan's stream looks for them.
    std::vector<std::size_t> hidden;  ///< Those of them whose place another one has.
  };
  /// What a session's numbers are in the plan.
  struct Meaning {
    std::vector<std::optional<std::uint32_t>> streams;
    std::vector<std::optional<std::uint32_t>> sources;
    std::map<std::uint32_t, Translation> translations;  ///< By the session's number of the stream.
  };
  using SourceKey = std::pair<std::string, std::string>;  ///< Name, stream.

  static SourceKey key_of(const wal::SessionStarted& session, std::size_t source);
  bool wanted(const std::string& stream) const { return stream_.empty() || stream_ == stream; }
  std::optional<std::uint32_t> stream_now(const wal::SessionStarted& session,
                                          std::size_t stream) const;
  Meaning& meaning();
  Result<Replayed> translate(const wal::LogEntry& entry);
  Result<wal::EventBatchPtr> translate_batch(const wal::LogEntry& entry);
  wal::ControlRecord translate_control(wal::ControlRecord record);
  static bool as_it_is(const decode::StreamPlan& then, const decode::StreamPlan& now);
  static Translation translation(const decode::StreamPlan& then, const decode::StreamPlan& now);
  Result<wal::EventBatchPtr> decode_anew(const wal::LogEntry& entry, const decode::StreamPlan& then,
                                         const Translation& translation, std::uint32_t stream_id);
  void leave_out_of_range(EventBatch& batch);

  std::unique_ptr<PastLog> log_;
  std::shared_ptr<const Plan> plan_;
  const std::string stream_;
  const TimeRange range_;
  const std::function<void(std::uint64_t, std::uint64_t)> on_progress_;
  std::map<SourceKey, std::uint32_t> sources_;
  std::map<std::uint64_t, Meaning> meanings_;               ///< By the session's position.
  std::vector<std::unique_ptr<decode::Decoder>> decoders_;  ///< By stream of the plan.
  EventBatch then_;                                         ///< As it was.
  std::uint64_t rows_outside_ = 0;
  bool any_ = false;
  std::optional<TimeRange> seen_;
};

}  // namespace streamobs::app

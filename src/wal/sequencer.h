// The sequencer: one history out of many sources.
//
// It admits each source partition's blocks in that partition's own order, numbers the batches, and
// stamps each with the watermark of its stream as it was just before it, so that what is late, and
// when a window closes, follows from this one order alone: not from which thread was faster, nor
// from how the events were cut into batches. Partitions that come in, idle timeouts and the ends of
// bounded inputs take their place in the same order.
//
// Most sources are one partition, number 0; a Kafka topic's each have their own time, so that a
// slow one is not made late by a fast one.
//
// What it decides becomes records of the log: replaying them (replay()) from any of its snapshots
// brings it to the very same state. Synchronous, no clock of its own (`now` comes in), one strand,
// lives as long as the engine.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "event/event_batch.h"
#include "event/resume_state.h"
#include "wal/record.h"

namespace streamobs::wal {

using EventBatchPtr = std::unique_ptr<EventBatch>;

/// When a window of a stream may close: whenever the watermark minus `lateness` enters a new
/// multiple of `step`. A step that is too small costs a message, nothing more.
struct CloseGrid {
  Duration step = kMinute;
  Duration lateness = 0;
};

/// What the sequencer must know of a stream's time.
struct StreamTiming {
  std::string name;  ///< Of the stream: by it a snapshot finds it again under another config.
  Duration idle_timeout = 30 * kSecond;
  std::vector<CloseGrid> grids;
  /// The watermark that closes every window an event of time `t` belongs to.
  std::function<Timestamp(Timestamp t)> closing_watermark;
  /// The same for all that comes of it elsewhere as well; empty: nothing does.
  std::function<Timestamp(Timestamp t)> ending_watermark;
  /// Somebody follows the stream's time (a join): each change of it is told (StreamTime).
  bool told = false;
  /// The stream is a join's, of these: it has no sources and no time of its own here. While one of
  /// them is silent, what is told of it is how far silence lets time go: up to the newest event of
  /// any of them, as it was `idle_timeout` ago, and what follows from that.
  std::vector<std::uint32_t> joins;
  /// Others than the sources that are expected may send events (HTTP): then the end of a file is
  /// not the end of the stream.
  bool may_go_on = false;
};

/// "The watermark of this stream has come so far": every lane is told, in its place between the
/// batches, and hands over what that closes.
struct Mark {
  std::uint32_t stream_id = 0;
  std::uint64_t position = 0;
  Timestamp watermark = kMinTimestamp;
};

/// How far the time of a followed stream has come behind what precedes; of a join's stream, how far
/// silence lets it go.
struct StreamTime {
  enum class State : std::uint8_t {
    active,  ///< Some partition holds the watermark back: others may not pass by it.
    silent,
    over,  ///< All its input was bounded, and has been read to the end.
  };
  std::uint32_t stream_id = 0;
  Timestamp watermark = kMinTimestamp;
  State state = State::silent;
};

/// One step of history. Batches, advances and ends are records, each with a log position of its
/// own; marks and what is told of times follow from them.
struct Sequenced {
  std::uint64_t position = 0;
  std::variant<EventBatchPtr, Advanced, SourceEnded, PartitionsJoined, RangeDiscarded, Mark,
               StreamTime>
      what;

  /// Whether it takes a position of its own.
  bool is_record() const {
    return !std::holds_alternative<Mark>(what) && !std::holds_alternative<StreamTime>(what);
  }
};

/// Whether windows that close on these grids may, when a watermark rises.
bool crosses(const std::vector<CloseGrid>& grids, Timestamp from, Timestamp to);

class Sequencer {
 public:
  explicit Sequencer(std::vector<StreamTiming> streams);

  /// Declares a source and its partition 0. `expected`: it holds the watermark back from the start,
  /// before its first event (a file that is about to be read), until it is idle or has ended.
  void add_source(std::uint32_t source_id, std::string name, std::uint32_t stream_id,
                  bool expected);

  /// From here on a source reads these partitions (below BlockOrigin::kPartitionsMax), each of
  /// which holds the watermark back as an expected source does. Their first batches come later.
  void join(PartitionsJoined joined, std::vector<Sequenced>& out);

  /// A source reads these partitions no more; others do. They no longer hold the watermark back,
  /// until they join again. Where none other is left that could say how late it is, they do as
  /// silent ones do: time goes by the wall clock once the idle timeout is over, so that a source
  /// that is given partitions again a moment later has lost nothing.
  void leave(std::uint32_t source_id, const std::vector<std::uint32_t>& partitions, Timestamp now,
             std::vector<Sequenced>& out);

  /// The block of that number, the next of its partition, will not come: others have its messages.
  void discard(RangeDiscarded range, std::vector<Sequenced>& out);

  /// Takes a decoded batch and appends what may go on now: the batch once its turn has come (with
  /// batches behind it that waited for it), and marks where a watermark crossed a closing line.
  void admit(EventBatchPtr batch, Timestamp now, std::vector<Sequenced>& out);

  /// Takes what the log says was decided once. Records come in their order; `invalid`: this one is
  /// not the next, or names a stream or source that is not there.
  Result<> replay(std::uint64_t position, EventBatchPtr batch, std::vector<Sequenced>& out);
  Result<> replay(std::uint64_t position, const ControlRecord& record, std::vector<Sequenced>& out);
  /// A record of no consequence for time (the start of a session) takes its place.
  std::uint64_t take_position() { return ++position_; }
  /// Before anything else: history begins behind that record, of which nothing is known.
  void begin_behind(std::uint64_t position) { position_ = position; }

  /// A bounded source has been read to its end, `blocks` blocks of all its partitions. Once all are
  /// admitted it no longer holds the watermark back; if it was the stream's last active one, every
  /// window that has events closes (of a stream that may go on, those whose end the wall clock has
  /// passed).
  void end_source(std::uint32_t source_id, std::uint64_t blocks, Timestamp now,
                  std::vector<Sequenced>& out);

  /// Looks for idle partitions. `busy(id)`: it has blocks on their way or is being held back by
  /// our own backpressure, which is not idleness. To be called more often than kLongestTick: that
  /// much silence is counted at most for one call, so that neither a jump of the wall clock nor a
  /// stop of the whole process makes a source idle.
  static constexpr Duration kLongestTick = 2 * kSecond;
  void tick(Timestamp now, const std::function<bool(PartitionId)>& busy,
            std::vector<Sequenced>& out);

  /// By how much the newest event of each partition of a source is ahead of that of the slowest
  /// partition that holds its stream's watermark back. One that has not sent anything yet counts
  /// as the slowest of all while `has_more(id)`: then something is coming of which nobody knows
  /// how old it is. kMaxTimestamp: ahead of such a one.
  struct Lead {
    std::uint32_t partition = 0;
    Duration ahead = 0;
  };
  std::vector<Lead> leads_of(std::uint32_t source_id,
                             const std::function<bool(PartitionId)>& has_more) const;

  /// All that decides what comes next, in bytes that are the same for the same state.
  void snapshot(std::string& out) const;
  /// Before anything else, on a sequencer with its streams and sources. What the snapshot names and
  /// this one does not have is passed over; given are the names of such sources that had places in
  /// files.
  Result<std::vector<std::string>> restore(std::string_view bytes);

  /// Where a source goes on, as far as it has reached the log.
  const ResumeState& resume_of(std::uint32_t source_id, std::uint32_t partition = 0) const {
    return sources_[source_id].partitions.at(partition).resume;
  }
  /// Those of a source that have been heard of, in rising order; 0 is always one.
  std::vector<std::uint32_t> partitions_of(std::uint32_t source_id) const;

  std::uint64_t position() const { return position_; }
  Timestamp watermark(std::uint32_t stream_id) const { return streams_[stream_id].watermark; }
  /// Newest event time of any source of the stream.
  Timestamp newest(std::uint32_t stream_id) const { return streams_[stream_id].newest; }
  bool idle(std::uint32_t stream_id) const;
  StreamTime time_of(std::uint32_t stream_id) const;
  /// Of all streams that are followed.
  void tell_all(std::vector<Sequenced>& out) const;
  /// Batches that wait for an earlier block of their partition.
  std::size_t waiting() const;

 private:
  enum class Activity : std::uint8_t {
    unseen,  ///< Has never sent anything and nobody waits for it.
    active,
    idle,
    ended,
  };
  struct Partition {
    Activity activity = Activity::unseen;
    Timestamp newest = kMinTimestamp;                ///< Newest event time.
    Duration silent_for = 0;                         ///< Since its last batch, by ticks.
    std::map<std::uint64_t, EventBatchPtr> waiting;  ///< By block number; bounded by its source.
    ResumeState resume;
  };
  struct Source {
    std::string name;
    std::uint32_t stream_id = 0;
    bool expected = false;
    bool end_announced = false;  ///< And its record not yet written.
    std::uint64_t blocks_total = 0;
    std::map<std::uint32_t, Partition> partitions;  ///< By number; 0 is always there.
  };
  struct Stream {
    StreamTiming timing;
    std::vector<std::uint32_t> sources;
    Timestamp watermark = kMinTimestamp;
    Timestamp newest = kMinTimestamp;
    /// Of a join's stream: what the newest event of its sides was at which time of ticked_for_.
    std::deque<std::pair<Duration, Timestamp>> newest_at;
  };

  void sequence(std::uint32_t stream_id, Partition& partition, EventBatchPtr batch,
                std::vector<Sequenced>& out);
  void finish(std::uint32_t source_id, Timestamp now, std::vector<Sequenced>& out);
  Result<> check_next(std::uint64_t position) const;
  Result<> check_names(const ControlRecord& record) const;
  void apply(const Advanced& advanced, std::vector<Sequenced>& out);
  void apply(const SourceEnded& ended, std::vector<Sequenced>& out);
  void apply(const PartitionsJoined& joined);
  void apply(const RangeDiscarded& range);
  void apply(const SessionStarted& session);
  /// Least newest-time of the active partitions of a stream but `except`; kMaxTimestamp if none.
  Timestamp least_active(const Stream& stream, const Partition* except) const;
  bool any_active(const Stream& stream) const;
  bool read_source(ByteReader& in, std::uint8_t version, std::vector<std::string>& lost);
  void tick_join(std::uint32_t stream_id, Timestamp now, std::vector<Sequenced>& out);
  void tell(std::uint32_t stream_id, std::vector<Sequenced>& out) const;
  void raise(std::uint32_t stream_id, Timestamp watermark, std::vector<Sequenced>& out);

  std::vector<Stream> streams_;
  std::vector<Source> sources_;  ///< By source id.
  std::uint64_t position_ = 0;
  Timestamp ticked_at_ = kMinTimestamp;
  Duration ticked_for_ = 0;  ///< All ticks together.
};

}  // namespace streamobs::wal

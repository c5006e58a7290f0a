// The sequencer: one history out of many sources.
//
// It admits each source partition's blocks in that partition's own order, numbers the batches, and
// stamps each with the watermark of its stream as it was just before it, so that what is late, and
// when a window closes, follows from this one order alone: not from which thread was faster, nor
// from how the events were cut into batches. Idle timeouts and the ends of bounded inputs take
// their place in the same order.
//
// This is where the write-ahead log will stand: today the order is kept in memory only, and a
// batch counts as taken when it has been numbered. Synchronous, no clock of its own (`now` comes
// in), one strand, lives as long as the engine.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "event/event_batch.h"

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
  Duration idle_timeout = 30 * kSecond;
  std::vector<CloseGrid> grids;
  /// The watermark that closes every window an event of time `t` belongs to.
  std::function<Timestamp(Timestamp t)> closing_watermark;
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

using Sequenced = std::variant<EventBatchPtr, Mark>;

class Sequencer {
 public:
  explicit Sequencer(std::vector<StreamTiming> streams);

  /// Declares partition 0 of a source. `expected`: it holds the watermark back from the start,
  /// before its first event (a file that is about to be read), until it is idle or has ended.
  void add_source(std::uint32_t source_id, std::uint32_t stream_id, bool expected);

  /// Takes a decoded batch and appends what may go on now: the batch once its turn has come (with
  /// batches behind it that waited for it), and marks where a watermark crossed a closing line.
  void admit(EventBatchPtr batch, Timestamp now, std::vector<Sequenced>& out);

  /// A bounded source has been read to its end, `blocks` blocks in all. Once all are admitted it no
  /// longer holds the watermark back; if it was the stream's last active one, every window that has
  /// events closes (of a stream that may go on, those whose end the wall clock has passed).
  void end_source(std::uint32_t source_id, std::uint64_t blocks, Timestamp now,
                  std::vector<Sequenced>& out);

  /// Looks for idle sources. `busy(source_id)`: it has blocks on their way or is being held back by
  /// our own backpressure, which is not idleness. To be called more often than kLongestTick: that
  /// much silence is counted at most for one call, so that neither a jump of the wall clock nor a
  /// stop of the whole process makes a source idle.
  static constexpr Duration kLongestTick = 2 * kSecond;
  void tick(Timestamp now, const std::function<bool(std::uint32_t)>& busy,
            std::vector<Sequenced>& out);

  std::uint64_t position() const { return position_; }
  Timestamp watermark(std::uint32_t stream_id) const { return streams_[stream_id].watermark; }
  /// Newest event time of any source of the stream.
  Timestamp newest(std::uint32_t stream_id) const { return streams_[stream_id].newest; }
  bool idle(std::uint32_t stream_id) const;
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
    std::uint32_t stream_id = 0;
    Activity activity = Activity::unseen;
    Timestamp newest = kMinTimestamp;  ///< Newest event time.
    Duration silent_for = 0;           ///< Since its last batch, by ticks.
    std::uint64_t next_block = 1;
    std::uint64_t blocks_total = 0;  ///< Known once it has ended, else 0.
    bool end_announced = false;
    std::map<std::uint64_t, EventBatchPtr> waiting;  ///< By block number; bounded by its source.
  };
  struct Stream {
    StreamTiming timing;
    std::vector<std::uint32_t> sources;
    Timestamp watermark = kMinTimestamp;
    Timestamp newest = kMinTimestamp;
  };

  void sequence(Partition& partition, EventBatchPtr batch, std::vector<Sequenced>& out);
  void finish(Partition& partition, Timestamp now, std::vector<Sequenced>& out);
  /// Least newest-time of the active partitions of a stream but `except`; kMaxTimestamp if none.
  Timestamp least_active(const Stream& stream, const Partition* except) const;
  bool any_active(const Stream& stream) const;
  void raise(std::uint32_t stream_id, Timestamp watermark, std::vector<Sequenced>& out);

  std::vector<Stream> streams_;
  std::vector<Partition> partitions_;  ///< By source id.
  std::uint64_t position_ = 0;
  Timestamp ticked_at_ = kMinTimestamp;
};

}  // namespace streamobs::wal

// A lane: decodes blocks where they arrive and counts the sequenced batches, on one strand.
//
// Everything data-parallel happens here; there is one lane for each core. A lane has two ways in
// (blocks from sources, sequenced work from the dispatcher) and two ways out (decoded batches to
// the sequencer, partial windows and dead letters to the results). Its state is touched on its
// strand only; it lives as long as the topology.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <variant>
#include <vector>

#include "app/lookups.h"
#include "app/outbound.h"
#include "app/plan.h"
#include "app/step.h"
#include "decode/decoder.h"
#include "event/event_batch.h"
#include "event/record.h"
#include "flow/asio.h"
#include "flow/channel.h"
#include "health/stream_tally.h"
#include "telemetry/registry.h"
#include "wal/batch_codec.h"
#include "wal/sequencer.h"
#include "window/admission.h"
#include "window/merger.h"
#include "window/stream_windows.h"

namespace streamobs::app {

using EventBatchPtr = std::unique_ptr<EventBatch>;

/// To the sequencer: a decoded batch, what a source has to say of its partitions, the end of a
/// bounded source, or another version of a look-up table.
struct Decoded {
  EventBatchPtr batch;
  AcknowledgementPtr acknowledgement;  ///< Null where nobody waits.
  bool agreed = false;                 ///< The consumer group has; of sources in one.
};
struct SourceEnd {
  std::uint32_t source_id = 0;
  std::uint64_t blocks = 0;
};
struct SourceJoin {
  std::uint32_t source_id = 0;
  std::vector<PartitionPlace> partitions;
  AcknowledgementPtr acknowledgement;  ///< Completed when it has its place in history.
};
/// A source reads these partitions no more.
struct SourceLeave {
  std::uint32_t source_id = 0;
  std::vector<std::uint32_t> partitions;
};
/// A source in a consumer group has handed in so many blocks in this life and proposes them to it
/// once they are durable.
struct SourceProposal {
  std::uint32_t source_id = 0;
  std::uint64_t blocks = 0;
  AcknowledgementPtr acknowledgement;  ///< Completed then, with the log's position.
};
/// What the group has said of that.
struct SourceVerdicts {
  std::uint32_t source_id = 0;
  std::vector<RangeVerdict> verdicts;
  AcknowledgementPtr acknowledgement;  ///< Completed when they have been followed.
};
using SequencerInput = std::variant<Decoded, SourceJoin, SourceLeave, SourceProposal,
                                    SourceVerdicts, SourceEnd, LookupVersion>;

/// A line across the flow (event/record.h): nothing but to be handed on in its place. With a
/// checkpoint, the lane adds copies of its open windows.
struct CutWork {
  std::uint64_t position = 0;
  std::shared_ptr<CheckpointParts> checkpoint;
};
using LaneWork = std::variant<EventBatchPtr, wal::Mark, ShowOpen, Finish, CutWork>;

/// From a lane to the results: its part of what a mark, a ShowOpen or a Finish asked for…
struct LanePartial {
  window::RoundKind kind = window::RoundKind::closed;
  std::uint32_t stream_id = 0;
  std::uint64_t position = 0;
  Timestamp watermark = 0;
  window::PartialPtr partial;  ///< Null: this lane has nothing for it.
};
/// … that it has come to a cut …
struct LaneCut {
  std::uint64_t position = 0;
  std::shared_ptr<CheckpointParts> checkpoint;
  std::vector<window::PartialPtr> copies;  ///< With a checkpoint: by stream; may be null.
};
/// … or what needs no other lane's part: events it set aside, one that had been set aside and was
/// sent again, events for sinks outside.
using LaneOutput = std::variant<LanePartial, LaneCut, Record>;

/// Counters shared by all lanes, by stream or window.
struct LaneMetrics {
  LaneMetrics(telemetry::Registry& registry, const Plan& plan);

  struct OfStream {
    telemetry::Counter* accepted;
    telemetry::Counter* filtered;
    telemetry::Counter* overflow_rows;
    telemetry::Counter* duplicates;
    telemetry::Counter* too_old;
    telemetry::Counter* templates_new;
    telemetry::Counter* templates_forgotten;
    std::vector<telemetry::Counter*> late;         ///< By window of the stream.
    std::vector<telemetry::Counter*> partly_late;  ///< Likewise; null where tumbling.
    std::vector<telemetry::Counter*> correcting;   ///< Likewise; null where nothing is corrected.
  };
  /// A batch gets its place in history.
  void count_taken(const EventBatch& batch);
  /// Windows have had it.
  void count_windowed(std::uint32_t stream_id, const window::ProcessCounts& counts);
  void count_rejected(const std::string& stream, const std::string& reason, std::uint64_t count);
  /// Those that there have been.
  std::map<std::string, std::uint64_t> rejected_by_reason(std::size_t stream_id) const;

  telemetry::Registry& registry;
  /// Reasons are few, but checks have names of their own, so counters are made as they are met.
  mutable std::mutex rejected_mutex;
  std::vector<std::map<std::string, telemetry::Counter*>> rejected;  ///< By stream, by reason.
  std::map<std::string, std::size_t> stream_ids;
  std::vector<telemetry::Counter*> received;  ///< By source.
  std::vector<OfStream> streams;
  telemetry::Counter& decoded_batches;
  telemetry::Counter& windowed_batches;
  telemetry::Counter& dead_letters_dropped;
  telemetry::Counter& windowed_events;
};

/// What the dispatcher and the sources must know of work under way; shared by all lanes.
struct InFlight {
  std::atomic<std::uint64_t> bytes{0};         ///< Of batches between decode and window.
  std::atomic<std::uint64_t> joined_bytes{0};  ///< Of those, what joins have made.
  std::unique_ptr<std::atomic<std::uint64_t>[]> windowed_rows;  ///< By stream, ever.
  /// By stream, ever: batches, marks and all else that touches a lane's windows.
  std::unique_ptr<std::atomic<std::uint64_t>[]> work_done;
  /// By stream: the watermark that makes the last revision that anything late waits for, so that
  /// silence does not keep it for ever (app/stream_timing).
  std::unique_ptr<std::atomic<Timestamp>[]> revised_at;
  struct OfPartition {
    std::atomic<std::int64_t> blocks{0};  ///< Handed in, not yet sequenced.
    /// We have told it to wait since this was last asked, so its silence is our doing.
    std::atomic<bool> turned_away{false};
    std::atomic<bool> behind{false};  ///< Its source knows of more than it has handed in.
    std::atomic<Duration> ahead{0};   ///< BlockSink::ahead; written where batches are sequenced.
  };
  struct OfSource {
    std::size_t partitions = 0;
    std::unique_ptr<OfPartition[]> of_partition;
  };
  std::vector<OfSource> sources;

  /// Before anything runs, for each source in its order.
  void add_source(std::size_t partitions);
  OfPartition& of(std::uint32_t source_id, std::uint32_t partition) {
    return sources[source_id].of_partition[partition];
  }
  /// Whether a partition's silence is not idleness. One caller.
  bool busy(const wal::PartitionId& id);
  /// Whether events of a partition are there that have no place in history yet.
  bool has_more(const wal::PartitionId& id) const;

  /// Something late waits for the revision that this watermark makes.
  void await_revision(std::uint32_t stream_id, Timestamp watermark);
  /// A batch has come into being; its bytes are under way until forget().
  void remember(const EventBatch& batch);
  void forget(const EventBatch& batch);
};

class Lane {
 public:
  Lane(std::size_t index, const Plan& plan, asio::io_context& io,
       std::vector<std::unique_ptr<window::Admission>>& admissions, LaneMetrics& metrics,
       InFlight& in_flight, std::size_t sources, bool durable);

  std::size_t index() const { return index_; }
  const asio::any_io_executor& executor() const { return executor_; }
  flow::Conveyor<Block>& blocks() { return blocks_; }  ///< One ring for each source.
  flow::Channel<LaneWork>& work() { return work_; }    ///< From the dispatcher.

  /// Before anything runs: takes over a stream's open windows from a checkpoint, at which its
  /// watermark was this; no snapshot: it had no windows.
  Result<window::RestoredWindows> restore(std::uint32_t stream_id,
                                          std::optional<std::string_view> snapshot,
                                          Timestamp watermark);
  /// Before anything runs: what another lane has been told of them by restore().
  void keep_closed(std::uint32_t stream_id, const std::vector<window::ClosedBefore>& closed);

  /// Before anything runs: who looks at a stream's events.
  void show_to(std::uint32_t stream_id, serve::StreamFeed& feed) {
    outbound_[stream_id]->show_to(feed);
  }

  /// On the lane's strand: decodes one block into a batch of the lane's pool.
  EventBatchPtr decode(const Block& block);

  /// Decodes what sources push, until all their rings are closed and drained.
  asio::awaitable<void> run_decode(flow::Channel<SequencerInput>& out);
  /// Counts what the dispatcher sends, until it closes; hands partials and dead letters on.
  asio::awaitable<void> run_windows(flow::Channel<LaneOutput>& out);

  /// On the lane's strand: what the events were like that were decoded since the last call, by
  /// stream.
  std::vector<health::TallyPart> take_tallies();

  /// For the pipeline view; any thread.
  std::size_t keys() const { return keys_.load(std::memory_order_relaxed); }
  std::size_t open_instances() const { return open_instances_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::size_t kPooledBatches = 64;

  EventBatchPtr take_batch();
  void recycle(EventBatchPtr batch);
  DeadLettersPtr count(EventBatchPtr batch);
  void handle_batch(EventBatchPtr batch, Records& out);
  LaneOutput handle(LaneWork& work);
  void work_done(std::uint32_t stream_id);
  void observe_state();

  const std::size_t index_;
  const Plan& plan_;
  asio::any_io_executor executor_;
  LaneMetrics& metrics_;
  InFlight& in_flight_;
  const bool durable_;  ///< There is a log: batches are encoded for it as they are decoded.
  flow::Conveyor<Block> blocks_;
  flow::Channel<LaneWork> work_;
  std::vector<std::unique_ptr<decode::Decoder>> decoders_;  ///< By stream.
  std::vector<std::unique_ptr<window::StreamWindows>>
      windows_;                                      ///< By stream; null without windows.
  std::vector<std::unique_ptr<Outbound>> outbound_;  ///< By stream.
  std::vector<health::StreamTally> tallies_;         ///< By stream; none where nothing is checked.
  wal::BatchEncoder encoder_;
  std::vector<EventBatchPtr> pool_;
  std::atomic<std::size_t> keys_{0};
  std::atomic<std::size_t> open_instances_{0};
};

}  // namespace streamobs::app

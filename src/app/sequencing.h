// The coroutine shell round the sequencer: gives decoded batches their place in history.
//
// Takes batches from every lane, and the ends of bounded sources, and hands them on to the journal
// in one order, with what follows from them: marks, checkpoints' barriers, looks at open windows.
// What a batch's place decides is decided here too: whether its request came before (by its key)
// and which of its events did (by their ids), which templates its messages follow, which versions
// of look-up tables it sees, and which events of other streams it is joined to. At the start it
// replays the tail of the log through the very same way. One strand, lives as long as the
// topology.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "app/joins.h"
#include "app/journal.h"
#include "app/lane.h"
#include "app/lookups.h"
#include "app/plan.h"
#include "app/proposed_ranges.h"
#include "app/recovery.h"
#include "app/replay_watch.h"
#include "app/step.h"
#include "base/clock.h"
#include "flow/asio.h"
#include "flow/blocking_pool.h"
#include "flow/channel.h"
#include "telemetry/registry.h"
#include "wal/request_keys.h"
#include "wal/sequencer.h"
#include "window/deduplicator.h"
#include "window/template_column.h"

namespace streamobs::app {

class Sequencing {
 public:
  /// `bounded`: nothing but the configured sources will ever send anything (replay of files).
  /// `durable`: what is left at the end belongs into a checkpoint.
  Sequencing(const Plan& plan, const asio::any_io_executor& executor, const Clock& clock,
             Journal& journal, flow::BlockingPool& pool, std::size_t lanes, InFlight& in_flight,
             LaneMetrics& lane_metrics, telemetry::Registry& metrics, bool bounded, bool durable);

  /// Rings into the sequencer: for each lane one for blocks of sources and one for requests, then
  /// one for each configured source's end.
  flow::Channel<SequencerInput>& blocks_of(std::size_t lane) { return input_[2 * lane]; }
  flow::Channel<SequencerInput>& requests_of(std::size_t lane) { return input_[2 * lane + 1]; }
  flow::Channel<SequencerInput>& end_of(std::size_t source) { return input_[2 * lanes_ + source]; }
  /// One for look-up tables whose files have changed.
  flow::Channel<SequencerInput>& lookup_versions() {
    return input_[2 * lanes_ + plan_.config.sources.size()];
  }

  /// Before run(): takes a checkpoint's parts over.
  Result<> restore(const CheckpointParts& checkpoint);
  /// How far each stream has come. Before run(), or on the history strand.
  std::vector<Timestamp> watermarks() const;
  /// How a replay is watched: what it touches is noted, and where the last one brought the process
  /// down it goes record by record.
  struct Care {
    ReplayWatch* watch = nullptr;           ///< Null: nobody watches.
    std::function<std::uint64_t()> passed;  ///< Position up to which all has come through.
  };
  /// Before run(): the tail to replay, and whom to tell when that has been done. Where that says
  /// false the engine ends without a trace of its config: the log does not hear of it, and there is
  /// no checkpoint.
  void recover(ReplayInput* tail, Care care, std::function<bool(Result<>)> on_ready);

  /// Before run(): once so many events have been refused and not one has been taken, `tell` is
  /// called, once, on this strand, and what comes then is passed over. Only where there is no log.
  void give_up_after_refused(std::uint64_t refused_max, std::function<void()> tell);

  /// Before the first new event: what a table's file says now. Without a log it holds from the
  /// start, replayed events included.
  void offer(LookupVersion version);
  const Lookups& lookups() const { return lookups_; }

  /// Until the input is closed and drained; then asks for a last checkpoint (without a log: for
  /// what is left open), and closes the journal.
  asio::awaitable<void> run();
  /// Wakes it for idle timeouts, checkpoints and for showing open windows, until stop_ticking().
  asio::awaitable<void> run_ticks();
  void stop_ticking();
  /// How far the replay has come; any thread.
  int percent_replayed() const { return percent_replayed_.load(std::memory_order_relaxed); }
  /// Whether all there was to replay has been replayed.
  bool replayed_all() const { return replayed_all_.load(std::memory_order_relaxed); }
  /// Any thread: a replay under way ends where it is.
  void give_up_replay() { give_up_replay_.store(true, std::memory_order_relaxed); }

  /// Any thread: the checkpoint asked for last is durable, or has failed.
  void checkpoint_ended() { checkpoint_under_way_.store(false, std::memory_order_release); }

  /// Where a source goes on, by partition. This strand, or before run().
  std::map<std::uint32_t, ResumeState> resume_of(std::uint32_t source_id) const;

  /// Of the log, so far. The same.
  std::uint64_t last_position() const { return sequencer_.position(); }

  /// What a source has proposed to its group in an earlier life and nobody has decided on, by
  /// partition. The same.
  std::map<std::uint32_t, std::vector<ProposedRange>> undecided_of(std::uint32_t source_id) const {
    return ranges_.undecided(source_id);
  }

  /// What people see of a stream's time; any thread.
  struct StreamTime {
    std::atomic<Timestamp> watermark{kMinTimestamp};
    std::atomic<Timestamp> newest{kMinTimestamp};
    std::atomic<bool> idle{true};
  };
  const StreamTime& time_of(std::uint32_t stream_id) const { return times_[stream_id]; }
  const Joins& joins() const { return joins_; }
  double input_fill() const { return input_.fill_ratio(); }
  std::uint64_t position() const { return position_.load(std::memory_order_relaxed); }

 private:
  /// What a checkpoint held open is to be seen before the next event comes.
  static constexpr std::uint64_t kNeverShown = ~std::uint64_t{0};
  struct WindowState {
    std::uint32_t stream_id = 0;
    std::size_t index = 0;  ///< Within its stream.
    Duration emit_every = 0;
    Timestamp next_emit = 0;
    std::uint64_t batches_shown = kNeverShown;  ///< Of the stream, at the last showing.
  };

  asio::awaitable<void> replay_tail();
  asio::awaitable<void> replay_all(Result<>& outcome);
  asio::awaitable<bool> replay_some(std::size_t bytes_max, Result<>& outcome);
  asio::awaitable<void> wait_until_passed(std::uint64_t position);
  Result<> take_replayed(Replayed& record);
  void say_progress();
  bool gave_up() const { return give_up_replay_.load(std::memory_order_relaxed); }
  asio::awaitable<void> note_session();
  asio::awaitable<void> note(wal::ControlRecord record);
  asio::awaitable<void> take(LookupVersion version, Timestamp now);
  asio::awaitable<void> take_offered(Timestamp now);
  asio::awaitable<void> take(Decoded decoded, Timestamp now);
  asio::awaitable<void> take_held(Timestamp now);
  asio::awaitable<void> take_notice(SequencerInput& input, Timestamp now);
  void make_groups(telemetry::Registry& metrics);
  bool proposes(const EventBatch& batch) const;
  asio::awaitable<void> propose(EventBatchPtr batch);
  asio::awaitable<void> answer_proposal(std::uint32_t source_id);
  asio::awaitable<void> decide(SourceVerdicts verdicts, Timestamp now);
  asio::awaitable<void> decide(wal::PartitionId partition, std::uint64_t number, bool committed,
                               Timestamp now);
  EventBatchPtr taken_from(const wal::PartitionId& partition, ProposedRanges::Range& range);
  void settle_block(const BlockOrigin& origin);
  bool answer_by_key(Decoded& decoded, Step& step) const;
  void settle(EventBatch& batch);
  void deduplicate(EventBatch& batch);
  void mine_templates(EventBatch& batch);
  Result<> restore_templates(const CheckpointParts& checkpoint);
  void look_for_hope(EventBatch& batch);
  asio::awaitable<void> join(const EventBatch& batch, bool replayed);
  Joins::Made joined_at(std::uint64_t position, bool replayed) const;
  asio::awaitable<void> finish_position(std::uint64_t position, std::vector<Step>& steps,
                                        bool replayed);
  asio::awaitable<void> push(std::vector<Step>& steps, bool replayed);
  void tell_joins();
  Timestamp watermark(std::uint32_t stream_id) const;
  asio::awaitable<void> pass_on(AcknowledgementPtr acknowledgement, bool replayed);
  asio::awaitable<void> tick(Timestamp now);
  asio::awaitable<void> show_open_windows(Timestamp now);
  bool checkpoint_due() const;
  asio::awaitable<void> ask_for_checkpoint();
  asio::awaitable<void> end();
  void publish_times();
  void publish_leads();

  const Plan& plan_;
  asio::any_io_executor executor_;
  const Clock& clock_;
  Journal& journal_;
  flow::BlockingPool& pool_;
  const std::size_t lanes_;
  const bool durable_;
  InFlight& in_flight_;
  LaneMetrics& lane_metrics_;
  flow::Conveyor<SequencerInput> input_;
  wal::Sequencer sequencer_;
  wal::RequestKeys request_keys_;
  std::vector<std::unique_ptr<window::Deduplicator>> deduplicators_;  ///< By stream; null: no ids.
  std::vector<std::unique_ptr<window::TemplateColumn>> templates_;    ///< The same; null: none.
  Lookups lookups_;
  Joins joins_;
  std::vector<LookupVersion> offered_;     ///< To be taken as soon as may be; one a table.
  std::vector<wal::Sequenced> sequenced_;  ///< What the sequencer has just said.
  /// Blocks of sources that came while the log's disk was full. Bounded: a source sends no more
  /// while it is.
  std::deque<Decoded> held_;

  /// Of a source in a consumer group; null for all others.
  struct Group {
    std::uint64_t proposed = 0;             ///< Blocks in this life.
    std::optional<SourceProposal> waiting;  ///< For so many.
    telemetry::Counter& discarded_ranges;
    telemetry::Counter& discarded_events;
  };
  ProposedRanges ranges_;
  std::vector<std::unique_ptr<Group>> groups_;  ///< By source, of the configured ones.

  ReplayInput* tail_ = nullptr;
  Care care_;
  std::chrono::steady_clock::time_point progress_said_at_;
  std::function<bool(Result<>)> on_ready_;
  std::atomic<bool> give_up_replay_{false};
  std::atomic<bool> replayed_all_{true};
  std::atomic<int> percent_replayed_{0};
  bool taken_up_ = true;       ///< What there was has been taken up, and the engine goes on.
  std::size_t next_lane_ = 0;  ///< Of replayed batches.

  std::uint64_t refused_max_ = 0;  ///< 0: never given up.
  std::uint64_t refused_ = 0;      ///< Events, before the first that was taken.
  std::function<void()> tell_hopeless_;
  bool hopeless_ = false;
  std::uint64_t hopeless_at_ = 0;  ///< The position of the last batch that counts.

  std::atomic<bool> checkpoint_under_way_{false};
  std::chrono::steady_clock::time_point checkpoint_asked_at_;
  std::uint64_t checkpoint_position_ = 0;  ///< Of the last one asked for.
  std::uint64_t bytes_at_checkpoint_ = 0;

  std::vector<WindowState> windows_;
  std::vector<std::uint64_t> batches_;  ///< By stream, sequenced so far.
  std::unique_ptr<StreamTime[]> times_;
  std::atomic<std::uint64_t> position_{0};
  Duration tick_every_;
  asio::steady_timer timer_;
  bool tick_due_ = false;
  bool ticking_ = true;
  telemetry::Counter& sequenced_batches_;
  telemetry::Counter& repeated_requests_;
};

}  // namespace streamobs::app

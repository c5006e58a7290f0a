#include "app/sequencing.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "app/ingest.h"
#include "app/stream_timing.h"
#include "base/log.h"
#include "base/version.h"

namespace streamobs::app {

namespace {

constexpr std::size_t kBatchesPerRing = 1024;
constexpr Duration kTickEvery = 250 * kMillisecond;
constexpr Duration kTickAtLeast = 5 * kMillisecond;
/// Joined rows on their way to the windows, beyond which joining waits.
constexpr std::uint64_t kJoinedBytesMax = std::uint64_t{32} << 20;

}  // namespace

Sequencing::Sequencing(const Plan& plan, const asio::any_io_executor& executor, const Clock& clock,
                       Journal& journal, flow::BlockingPool& pool, std::size_t lanes,
                       InFlight& in_flight, LaneMetrics& lane_metrics, telemetry::Registry& metrics,
                       bool bounded, bool durable)
    : plan_(plan),
      executor_(executor),
      clock_(clock),
      journal_(journal),
      pool_(pool),
      lanes_(lanes),
      durable_(durable),
      in_flight_(in_flight),
      lane_metrics_(lane_metrics),
      input_(2 * lanes + plan.config.sources.size() + 1, kBatchesPerRing),
      sequencer_(timings(plan, bounded, in_flight)),
      lookups_(plan, metrics),
      joins_(plan, lane_metrics, metrics, lanes),
      ranges_(plan),
      batches_(plan.streams.size()),
      times_(std::make_unique<StreamTime[]>(plan.streams.size())),
      tick_every_(kTickEvery),
      timer_(executor),
      sequenced_batches_(metrics.counter("streamobs_sequenced_batches_total",
                                         "Batches that were given their place in history.")),
      repeated_requests_(
          metrics.counter("streamobs_http_repeated_requests_total",
                          "Requests whose Idempotency-Key came before: answered, not counted.")) {
  const Timestamp now = clock.now();
  if (plan.config.wal.durability == wal::Durability::interval) {
    // The journal looks at the time when a step comes by, a tick at the latest.
    tick_every_ = std::clamp(plan.config.wal.sync_every, kTickAtLeast, tick_every_);
  }
  for (std::uint32_t id = 0; id < plan.sources.size(); ++id) {
    const PlannedSource& source = plan.sources[id];
    sequencer_.add_source(id, source.name_in_log, source.stream_id, source.awaited);
  }
  make_groups(metrics);
  for (std::uint32_t id = 0; id < plan.streams.size(); ++id) {
    const decode::StreamPlan& stream = *plan.streams[id].decode;
    deduplicators_.push_back(nullptr);
    if (stream.id_column) {
      const decode::StreamOptions& options = plan.config.streams[id];
      window::DeduplicationOptions ids;
      ids.field = *stream.id_column;
      ids.horizon = options.id_horizon;
      ids.max_ids = options.ids_max;
      deduplicators_.back() = std::make_unique<window::Deduplicator>(stream.schema, ids);
    }
    templates_.push_back(nullptr);
    if (stream.template_column) {
      const decode::TemplateOptions& declared = plan.config.streams[id].templates;
      templates_.back() = std::make_unique<window::TemplateColumn>(
          stream.schema,
          window::TemplateOptions{*stream.template_column, declared.templates_max, declared.learn});
    }
    for (std::size_t i = 0; i < plan.streams[id].window_ids.size(); ++i) {
      const Duration every = plan.windows[plan.streams[id].window_ids[i]].options.emit_every;
      if (every == 0) continue;
      windows_.push_back({id, i, every, now, kNeverShown});
      tick_every_ = std::clamp(every, kTickAtLeast, tick_every_);
    }
  }
  tell_joins();  // Sources that are awaited hold them back from the start.
  checkpoint_asked_at_ = std::chrono::steady_clock::now();
}

asio::awaitable<void> Sequencing::run() {
  if (tail_ != nullptr) {
    co_await replay_tail();
  } else if (on_ready_) {
    taken_up_ = on_ready_({});
  }
  if (taken_up_ && replayed_all_ && journal_.has_log()) {
    co_await note_session();
  }
  if (taken_up_) co_await take_offered(clock_.now());
  std::vector<SequencerInput> inputs;
  while (true) {
    inputs.clear();
    const auto tick_due = [this] { return tick_due_; };
    const std::size_t count = co_await input_.pop_batch_or(inputs, 64, tick_due);
    if (count == 0 && !tick_due_) break;  // Closed and drained.
    const Timestamp now = clock_.now();
    co_await take_held(now);
    for (SequencerInput& input : inputs) {
      if (auto* decoded = std::get_if<Decoded>(&input)) {
        co_await take(std::move(*decoded), now);
      } else if (auto* version = std::get_if<LookupVersion>(&input)) {
        co_await take(std::move(*version), now);
      } else {
        co_await take_notice(input, now);
      }
    }
    if (tick_due_) {
      tick_due_ = false;
      co_await tick(now);
    }
    publish_times();
  }
  co_await end();
}

void Sequencing::give_up_after_refused(std::uint64_t refused_max, std::function<void()> tell) {
  refused_max_ = refused_max;
  tell_hopeless_ = std::move(tell);
}

/// A block has left the way between its source and here.
void Sequencing::settle_block(const BlockOrigin& origin) {
  in_flight_.of(origin.source_id, origin.partition).blocks.fetch_sub(1, std::memory_order_relaxed);
}

std::map<std::uint32_t, ResumeState> Sequencing::resume_of(std::uint32_t source_id) const {
  std::map<std::uint32_t, ResumeState> states;
  for (const std::uint32_t partition : sequencer_.partitions_of(source_id)) {
    states[partition] = sequencer_.resume_of(source_id, partition);
  }
  return states;
}

asio::awaitable<void> Sequencing::take(Decoded decoded, Timestamp now) {
  const std::uint64_t bytes = decoded.batch->encoded.bytes.size();
  while (!journal_.has_room(bytes)) {
    if (journal_.disk_full()) {
      if (decoded.acknowledgement == nullptr) {
        held_.push_back(std::move(decoded));
        co_return;
      }
      settle_block(decoded.batch->origin);
      in_flight_.forget(*decoded.batch);
      decoded.acknowledgement->complete(Acknowledgement::Fate::no_space);
      co_return;
    }
    if (journal_.failed()) break;
    co_await journal_.wait_for_room(bytes);
  }
  if (!decoded.agreed && proposes(*decoded.batch)) {
    co_await propose(std::move(decoded.batch));
    co_return;
  }
  settle_block(decoded.batch->origin);
  if (hopeless_) {
    in_flight_.forget(*decoded.batch);
    co_return;
  }
  Step repeat;
  if (answer_by_key(decoded, repeat)) {
    repeated_requests_.add();
    in_flight_.forget(*decoded.batch);
    co_await journal_.push(std::move(repeat));
    co_return;
  }
  sequencer_.admit(std::move(decoded.batch), now, sequenced_);
  co_await pass_on(std::move(decoded.acknowledgement), false);
}

/// Whether the request came before: then `step` answers it, once what it waits for is durable.
bool Sequencing::answer_by_key(Decoded& decoded, Step& step) const {
  const EventBatch& batch = *decoded.batch;
  if (batch.origin.request_key.empty()) return false;
  const wal::RequestKeys::Known* known =
      request_keys_.find(batch.schema->stream, batch.origin.request_key);
  if (known == nullptr) return false;
  const bool same = known->digest == batch.origin.request_digest;
  using Fate = Acknowledgement::Fate;
  step.what = Answer{same ? Fate::repeated : Fate::key_reused};
  step.acknowledgement = std::move(decoded.acknowledgement);
  if (same && step.acknowledgement != nullptr) step.acknowledgement->answer = known->answer;
  return true;
}

asio::awaitable<void> Sequencing::take_held(Timestamp now) {
  while (!held_.empty() && !journal_.disk_full()) {
    Decoded decoded = std::move(held_.front());
    held_.pop_front();
    co_await take(std::move(decoded), now);
  }
}

/// What follows from a batch's place, for new and replayed ones alike.
void Sequencing::settle(EventBatch& batch) {
  const std::uint32_t stream_id = batch.schema->stream_id;
  ++batches_[stream_id];
  if (refused_max_ != 0) look_for_hope(batch);
  if (!batch.counted_before) lane_metrics_.count_taken(batch);
  ranges_.forget({batch.origin.source_id, batch.origin.partition}, batch.origin.number);
  if (!batch.origin.request_key.empty()) request_keys_.remember(batch, encode_answer(batch));
  if (batch.rows == 0) return;
  batch.lookups = lookups_.now();
  if (deduplicators_[stream_id] != nullptr) deduplicate(batch);
  if (templates_[stream_id] != nullptr) mine_templates(batch);
}

void Sequencing::mine_templates(EventBatch& batch) {
  const std::uint32_t stream_id = batch.schema->stream_id;
  const window::TemplateCounts counts = templates_[stream_id]->process(batch);
  if (batch.counted_before) return;
  lane_metrics_.streams[stream_id].templates_new->add(counts.called_new);
  lane_metrics_.streams[stream_id].templates_forgotten->add(counts.forgotten);
}

void Sequencing::deduplicate(EventBatch& batch) {
  const std::uint32_t stream_id = batch.schema->stream_id;
  DeadLetters too_old;
  const window::DeduplicationCounts counts = deduplicators_[stream_id]->process(batch, too_old);
  if (!batch.counted_before) {
    lane_metrics_.streams[stream_id].duplicates->add(counts.duplicates);
    lane_metrics_.streams[stream_id].too_old->add(counts.too_old);
    lane_metrics_.dead_letters_dropped.add(counts.too_old_unsent);
  }
  for (DeadLetter& letter : too_old) batch.dead_letters.push_back(std::move(letter));
}

/// In the order of history, so that the outcome does not depend on which lane was faster.
void Sequencing::look_for_hope(EventBatch& batch) {
  if (batch.rows != 0) refused_max_ = 0;
  if (refused_max_ == 0) return;
  const std::uint64_t before = refused_;
  refused_ += batch.refused;
  if (refused_ < refused_max_) return;
  // One block may hold many more: they are counted.
  std::vector<DeadLetter>& letters = batch.dead_letters;
  const std::size_t kept = std::min<std::size_t>(letters.size(), refused_max_ - before);
  for (std::size_t i = kept; i < letters.size(); ++i) ++batch.refused_unkept[letters[i].reason];
  letters.resize(kept);
  hopeless_ = true;
  hopeless_at_ = batch.stamp.sequence;
}

asio::awaitable<void> Sequencing::pass_on(AcknowledgementPtr acknowledgement, bool replayed) {
  std::vector<Step> steps;  // Of one position.
  for (std::size_t i = 0; i < sequenced_.size(); ++i) {
    wal::Sequenced& item = sequenced_[i];
    const std::uint64_t position = item.position;
    if (hopeless_ && position != hopeless_at_) {
      const auto* over = std::get_if<wal::EventBatchPtr>(&item.what);
      if (over != nullptr) in_flight_.forget(**over);
      continue;
    }
    if (const auto* time = std::get_if<wal::StreamTime>(&item.what)) {
      joins_.tell(*time);
    } else {
      Step& step = steps.emplace_back();
      if (auto* batch = std::get_if<wal::EventBatchPtr>(&item.what)) {
        joins_.at((*batch)->origin.received_at);
        settle(**batch);
        if (!joins_.empty()) co_await join(**batch, replayed);
        sequenced_batches_.add();
        step.acknowledgement = std::move(acknowledgement);
      } else if (const auto* range = std::get_if<wal::RangeDiscarded>(&item.what)) {
        ranges_.forget(range->partition, range->number);
      } else if (const auto* advanced = std::get_if<wal::Advanced>(&item.what)) {
        joins_.at(advanced->at);
      } else if (const auto* ended = std::get_if<wal::SourceEnded>(&item.what)) {
        joins_.at(ended->at);
      }
      step.what = std::move(item);
    }
    const bool last = i + 1 == sequenced_.size() || sequenced_[i + 1].position != position;
    if (!last) continue;
    co_await finish_position(position, steps, replayed);
    steps.clear();
  }
  sequenced_.clear();
  if (hopeless_ && tell_hopeless_) std::exchange(tell_hopeless_, nullptr)();
}

/// What a batch is joined to. Where it is much, it goes on its way at once, before the batch does:
/// nothing is cut off before the position is complete (app/dispatcher).
asio::awaitable<void> Sequencing::join(const EventBatch& batch, bool replayed) {
  Joins::Progress progress;
  while (!joins_.process(batch, progress)) {
    std::vector<Step> made;
    joins_.take(joined_at(batch.stamp.sequence, replayed), in_flight_, made);
    co_await push(made, replayed);
    const auto too_much = [this, replayed] {
      return in_flight_.joined_bytes.load(std::memory_order_relaxed) > kJoinedBytesMax &&
             !journal_.failed() && !(replayed && gave_up());
    };
    if (too_much()) {  // What waits behind an unsynced log would wait for a tick of ours.
      Step sync;
      sync.what = Answer{Acknowledgement::Fate::taken, true};
      co_await journal_.push(std::move(sync));
    }
    asio::steady_timer pause(executor_);
    while (too_much()) {
      pause.expires_after(std::chrono::milliseconds(1));
      co_await pause.async_wait(asio::use_awaitable);
    }
  }
}

Joins::Made Sequencing::joined_at(std::uint64_t position, bool replayed) const {
  return {position, replayed && durable_, lookups_.now()};
}

/// All steps of a position are there but for what follows from it in joined streams.
asio::awaitable<void> Sequencing::finish_position(std::uint64_t position, std::vector<Step>& steps,
                                                  bool replayed) {
  if (!joins_.empty()) joins_.finish(joined_at(position, replayed), in_flight_, steps);
  if (!steps.empty()) steps.back().completes = position;
  co_await push(steps, replayed);
}

asio::awaitable<void> Sequencing::push(std::vector<Step>& steps, bool replayed) {
  for (Step& step : steps) {
    step.replayed = replayed;
    const auto* made = std::get_if<Made>(&step.what);
    if (made != nullptr) ++batches_[made->batch->schema->stream_id];
    co_await journal_.push(std::move(step));
  }
}

/// How far the streams have come that are joined, at the present position.
void Sequencing::tell_joins() {
  std::vector<wal::Sequenced> times;
  sequencer_.tell_all(times);
  for (const wal::Sequenced& time : times) joins_.tell(std::get<wal::StreamTime>(time.what));
}

/// Of any stream, those that joins make included.
Timestamp Sequencing::watermark(std::uint32_t stream_id) const {
  const window::StreamJoin* const join = joins_.of_stream(stream_id);
  return join == nullptr ? sequencer_.watermark(stream_id) : join->watermark();
}

std::vector<Timestamp> Sequencing::watermarks() const {
  std::vector<Timestamp> all;
  for (std::uint32_t id = 0; id < plan_.streams.size(); ++id) all.push_back(watermark(id));
  return all;
}

asio::awaitable<void> Sequencing::note(wal::ControlRecord record) {
  const std::uint64_t position = sequencer_.take_position();
  if (const auto* session = std::get_if<wal::SessionStarted>(&record)) {
    joins_.at(session->at);
    tell_joins();  // Another config may wait for other sources than the one before.
  }
  std::vector<Step> steps(1);
  steps.back().what = Noted{position, std::move(record)};
  co_await finish_position(position, steps, false);
}

void Sequencing::offer(LookupVersion version) {
  if (journal_.has_log()) {
    std::erase_if(offered_, [&](const LookupVersion& o) { return o.index == version.index; });
    offered_.push_back(std::move(version));
  } else {
    lookups_.take(std::move(version), clock_.now());
  }
}

asio::awaitable<void> Sequencing::take_offered(Timestamp now) {
  for (LookupVersion& version : std::exchange(offered_, {})) {
    co_await take(std::move(version), now);
  }
}

/// What is in force already needs no record. While the log's disk is full, as little is taken as of
/// new events.
asio::awaitable<void> Sequencing::take(LookupVersion version, Timestamp now) {
  if (!lookups_.differs(version)) co_return;
  if (journal_.has_log()) {
    co_await journal_.wait_for_room(version.text.size());
    if (!journal_.has_room(version.text.size())) {
      offer(std::move(version));
      co_return;
    }
    wal::LookupLoaded loaded;
    loaded.at = now;
    loaded.lookup = plan_.lookups[version.index]->schema.name;
    loaded.text = version.text;
    wal::ControlRecord record = std::move(loaded);
    co_await note(std::move(record));
  }
  lookups_.take(std::move(version), now);
}

asio::awaitable<void> Sequencing::tick(Timestamp now) {
  // What is kept back for such records lets time go on for a while when the disk is full; when that
  // is used up, time stands still.
  co_await take_offered(now);
  if (journal_.has_room_for_control()) {
    const auto busy = [this](const wal::PartitionId& id) { return in_flight_.busy(id); };
    sequencer_.tick(now, busy, sequenced_);
    co_await pass_on(nullptr, false);
    co_await show_open_windows(now);
  }
  if (checkpoint_due()) co_await ask_for_checkpoint();
  Step nudge;
  nudge.what = Nudge{};
  co_await journal_.push(std::move(nudge));
}

asio::awaitable<void> Sequencing::show_open_windows(Timestamp now) {
  for (WindowState& window : windows_) {
    const std::uint64_t batches = batches_[window.stream_id];
    // A wall clock set back must not silence the view until it has caught up.
    const bool waiting = now < window.next_emit && window.next_emit - now <= window.emit_every;
    if (waiting || batches == window.batches_shown) continue;
    window.next_emit = now + window.emit_every;
    window.batches_shown = batches;
    Step step;
    step.what = ShowOpen{window.stream_id, window.index, sequencer_.position(),
                         watermark(window.stream_id)};
    co_await journal_.push(std::move(step));
  }
}

asio::awaitable<void> Sequencing::end() {
  if (durable_) {
    if (taken_up_ && sequencer_.position() != checkpoint_position_) co_await ask_for_checkpoint();
  } else {
    for (std::uint32_t id = 0; id < plan_.streams.size(); ++id) {
      if (plan_.streams[id].windows == nullptr) continue;
      Step step;
      step.what = Finish{id, sequencer_.position(), watermark(id)};
      co_await journal_.push(std::move(step));
    }
  }
  journal_.close();
}

void Sequencing::publish_times() {
  position_.store(sequencer_.position(), std::memory_order_relaxed);
  for (std::uint32_t id = 0; id < plan_.streams.size(); ++id) {
    const window::StreamJoin* const join = joins_.of_stream(id);
    const Timestamp newest = join == nullptr ? sequencer_.newest(id) : join->newest();
    const bool idle = join == nullptr ? sequencer_.idle(id) : !join->active();
    times_[id].watermark.store(watermark(id), std::memory_order_relaxed);
    times_[id].newest.store(newest, std::memory_order_relaxed);
    times_[id].idle.store(idle, std::memory_order_relaxed);
  }
  publish_leads();
}

/// Sources that keep their partitions together by it hear how far each is ahead.
void Sequencing::publish_leads() {
  const auto has_more = [this](const wal::PartitionId& id) { return in_flight_.has_more(id); };
  for (std::uint32_t id = 0; id < plan_.config.sources.size(); ++id) {
    if (plan_.config.sources[id].max_skew == 0) continue;
    for (const auto& [partition, ahead] : sequencer_.leads_of(id, has_more)) {
      in_flight_.of(id, partition).ahead.store(ahead, std::memory_order_relaxed);
    }
  }
}

asio::awaitable<void> Sequencing::run_ticks() {
  while (ticking_) {
    timer_.expires_after(std::chrono::microseconds(tick_every_));
    const auto token = asio::as_tuple(asio::use_awaitable);
    co_await timer_.async_wait(token);
    if (!ticking_) break;
    tick_due_ = true;
    input_.notify_consumer();
  }
}

void Sequencing::stop_ticking() {
  ticking_ = false;
  timer_.cancel();
}

}  // namespace streamobs::app

#include "app/sequencing.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "app/ingest.h"
#include "base/log.h"
#include "base/version.h"
#include "window/closing.h"

namespace streamobs::app {

namespace {

constexpr std::size_t kBatchesPerRing = 1024;
constexpr Duration kTickEvery = 250 * kMillisecond;
constexpr Duration kTickAtLeast = 5 * kMillisecond;

std::vector<wal::StreamTiming> timings(const Plan& plan, bool bounded) {
  std::vector<wal::StreamTiming> all;
  for (std::size_t id = 0; id < plan.streams.size(); ++id) {
    const PlannedStream& stream = plan.streams[id];
    wal::StreamTiming timing;
    timing.name = plan.config.streams[id].name.text;
    timing.idle_timeout = plan.config.streams[id].idle_timeout;
    timing.may_go_on = !bounded;
    timing.closing_watermark = [windows = stream.windows](Timestamp t) {
      return windows == nullptr ? t : window::closing_watermark(*windows, t);
    };
    if (stream.windows != nullptr) {
      for (const window::ClosingGrid& grid : window::closing_grids(*stream.windows)) {
        timing.grids.push_back({grid.step, grid.lateness});
      }
    }
    all.push_back(std::move(timing));
  }
  return all;
}

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
      sequencer_(timings(plan, bounded)),
      lookups_(plan, metrics),
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
  checkpoint_asked_at_ = std::chrono::steady_clock::now();
}

Result<> Sequencing::restore(const CheckpointParts& checkpoint) {
  if (const std::string* bytes = find_part(checkpoint, part::sequencer)) {
    const Result<std::vector<std::string>> lost = sequencer_.restore(*bytes);
    if (lost.has_error()) return lost.error();
    for (const std::string& source : *lost) {
      log::warn(
          "a source is gone, or has another name or stream: the places in its files are "
          "forgotten, and they are read from the start if it comes back",
          {{"source", source}});
    }
  }
  if (const std::string* bytes = find_part(checkpoint, part::request_keys)) {
    if (Result<> restored = request_keys_.restore(*bytes); restored.has_error()) return restored;
  }
  if (const std::string* bytes = find_part(checkpoint, part::proposed)) {
    if (Result<> restored = ranges_.restore(*bytes); restored.has_error()) return restored;
  }
  for (std::size_t id = 0; id < deduplicators_.size(); ++id) {
    const std::string& stream = plan_.config.streams[id].name.text;
    const std::string* bytes = find_part(checkpoint, part::deduplication(stream));
    if (bytes == nullptr || deduplicators_[id] == nullptr) continue;
    const Result<window::RestoredIds> restored = deduplicators_[id]->restore(*bytes);
    if (restored.has_error()) return restored.error();
    if (!restored->altered.empty()) {
      log::warn(
          "the stream's id is another field now: ids seen before are forgotten, and an event "
          "sent again may count twice",
          {{"stream", stream}, {"was", restored->altered}});
    }
  }
  if (Result<> restored = restore_templates(checkpoint); restored.has_error()) return restored;
  if (const std::string* bytes = find_part(checkpoint, part::lookups)) {
    if (Result<> restored = lookups_.restore(*bytes); restored.has_error()) return restored;
  }
  checkpoint_position_ = checkpoint.position;
  publish_times();
  return {};
}

Result<> Sequencing::restore_templates(const CheckpointParts& checkpoint) {
  for (std::size_t id = 0; id < templates_.size(); ++id) {
    const std::string& stream = plan_.config.streams[id].name.text;
    const std::string* bytes = find_part(checkpoint, part::templates(stream));
    if (bytes == nullptr || templates_[id] == nullptr) continue;
    const Result<std::string> was = templates_[id]->restore(*bytes);
    if (was.has_error()) return was.error();
    if (!was->empty()) {
      log::warn("the stream's templates come from another field now: those known are forgotten",
                {{"stream", stream}, {"was", *was}});
    }
  }
  return {};
}

asio::awaitable<void> Sequencing::run() {
  if (tail_ != nullptr) {
    co_await replay_tail();
  } else if (on_ready_) {
    on_ready_({});
  }
  if (replayed_all_ && journal_.has_log()) co_await note_session();
  co_await take_offered(clock_.now());
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
}

asio::awaitable<void> Sequencing::pass_on(AcknowledgementPtr acknowledgement, bool replayed) {
  for (std::size_t i = 0; i < sequenced_.size(); ++i) {
    wal::Sequenced& item = sequenced_[i];
    if (hopeless_) {
      const auto* over = std::get_if<wal::EventBatchPtr>(&item.what);
      if (over != nullptr) in_flight_.forget(**over);
      continue;
    }
    Step step;
    step.replayed = replayed;
    const bool last = i + 1 == sequenced_.size() || sequenced_[i + 1].position != item.position;
    if (last) step.completes = item.position;
    if (auto* batch = std::get_if<wal::EventBatchPtr>(&item.what)) {
      settle(**batch);
      sequenced_batches_.add();
      step.acknowledgement = std::move(acknowledgement);
    } else if (const auto* range = std::get_if<wal::RangeDiscarded>(&item.what)) {
      ranges_.forget(range->partition, range->number);
    }
    step.what = std::move(item);
    co_await journal_.push(std::move(step));
  }
  sequenced_.clear();
  if (hopeless_ && tell_hopeless_) std::exchange(tell_hopeless_, nullptr)();
}

/// At the start, and again with each checkpoint: a log that has lost its beginning, or has been
/// kept for longer than anybody remembers, still says what its batches mean.
asio::awaitable<void> Sequencing::note_session() {
  wal::SessionStarted session;
  session.at = clock_.now();
  session.program = kVersion;
  session.config_text = plan_.config.text;
  for (const decode::StreamOptions& stream : plan_.config.streams) {
    session.streams.push_back(stream.name.text);
  }
  for (const PlannedSource& source : plan_.sources) {
    session.sources.push_back({source.name_in_log, source.stream_id});
  }
  wal::ControlRecord record = std::move(session);
  co_await note(std::move(record));
}

asio::awaitable<void> Sequencing::note(wal::ControlRecord record) {
  Noted noted;
  noted.position = sequencer_.take_position();
  noted.record = std::move(record);
  Step step;
  step.completes = noted.position;
  step.what = std::move(noted);
  co_await journal_.push(std::move(step));
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
                         sequencer_.watermark(window.stream_id)};
    co_await journal_.push(std::move(step));
  }
}

bool Sequencing::checkpoint_due() const {
  if (!journal_.has_log() || checkpoint_under_way_.load(std::memory_order_acquire)) return false;
  if (sequencer_.position() == checkpoint_position_) return false;
  const wal::WalOptions& options = plan_.config.wal;
  if (journal_.bytes_written() - bytes_at_checkpoint_ >= options.checkpoint_bytes) return true;
  const auto waited = std::chrono::steady_clock::now() - checkpoint_asked_at_;
  return waited >= std::chrono::microseconds(options.checkpoint_every);
}

asio::awaitable<void> Sequencing::ask_for_checkpoint() {
  const bool noted = journal_.has_log() && journal_.has_room(plan_.config.text.size());
  if (noted) co_await note_session();
  auto checkpoint = std::make_shared<CheckpointParts>();
  checkpoint->position = sequencer_.position();
  checkpoint->parts[part::config] = plan_.config.text;
  sequencer_.snapshot(checkpoint->parts[part::sequencer]);
  request_keys_.snapshot(checkpoint->parts[part::request_keys]);
  if (ranges_.size() != 0) ranges_.snapshot(checkpoint->parts[part::proposed]);
  for (std::size_t id = 0; id < deduplicators_.size(); ++id) {
    if (deduplicators_[id] == nullptr) continue;
    const std::string& stream = plan_.config.streams[id].name.text;
    deduplicators_[id]->snapshot(checkpoint->parts[part::deduplication(stream)]);
  }
  for (std::size_t id = 0; id < templates_.size(); ++id) {
    if (templates_[id] == nullptr) continue;
    const std::string& stream = plan_.config.streams[id].name.text;
    templates_[id]->snapshot(checkpoint->parts[part::templates(stream)]);
  }
  if (!plan_.lookups.empty()) lookups_.snapshot(checkpoint->parts[part::lookups]);
  checkpoint_under_way_.store(true, std::memory_order_release);
  checkpoint_asked_at_ = std::chrono::steady_clock::now();
  checkpoint_position_ = checkpoint->position;
  bytes_at_checkpoint_ = journal_.bytes_written();
  Step step;
  step.what = Barrier{std::move(checkpoint)};
  co_await journal_.push(std::move(step));
}

asio::awaitable<void> Sequencing::end() {
  if (durable_) {
    if (!replay_failed_ && sequencer_.position() != checkpoint_position_)
      co_await ask_for_checkpoint();
  } else {
    for (std::uint32_t id = 0; id < plan_.streams.size(); ++id) {
      if (plan_.streams[id].windows == nullptr) continue;
      Step step;
      step.what = Finish{id, sequencer_.position(), sequencer_.watermark(id)};
      co_await journal_.push(std::move(step));
    }
  }
  journal_.close();
}

void Sequencing::publish_times() {
  position_.store(sequencer_.position(), std::memory_order_relaxed);
  for (std::uint32_t id = 0; id < plan_.streams.size(); ++id) {
    times_[id].watermark.store(sequencer_.watermark(id), std::memory_order_relaxed);
    times_[id].newest.store(sequencer_.newest(id), std::memory_order_relaxed);
    times_[id].idle.store(sequencer_.idle(id), std::memory_order_relaxed);
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

#include "app/lane.h"

#include <utility>

#include "base/bytes.h"
#include "base/failpoint.h"
#include "base/hash.h"

namespace streamobs::app {

namespace {

// A source keeps few blocks in a lane: each may be a megabyte.
constexpr std::size_t kBlocksPerSource = 4;
constexpr std::size_t kWorkItems = 256;

bool is_joined(const EventBatch& batch) {
  return !batch.watermarks.empty();
}

/// About what a batch holds in memory; the same from remember() to forget().
std::size_t bytes_of(const EventBatch& batch) {
  if (batch.block) return batch.block->size();
  std::size_t bytes = batch.rows * 64;  // Replayed: columns alone …
  for (const std::string_view text : batch.raw) bytes += sizeof text + text.size();
  if (!is_joined(batch)) return bytes;
  for (const Column& column : batch.columns) {  // Joined rows are copies.
    for (const std::string_view text : column.strings) bytes += text.size();
  }
  return bytes;
}

/// Stands for the log position where there is no log of ours, so that what is replayed twice is
/// kept once: the same line of the same file, or the same event of the same request. Above all
/// positions.
std::uint64_t sequence_without_log(const DeadLetter& letter, bool from_file) {
  std::string text;
  put_text(text, letter.stream);
  put_text(text, letter.reason);
  put_text(text, letter.origin);
  put_u64(text, letter.position);
  put_text(text, letter.payload);
  // A file is read at another time each time.
  if (!from_file) put_signed(text, letter.received_at);
  return hash_bytes(text) >> 2 | std::uint64_t{1} << 62;
}

/// What dead letters need besides to be replayed: how their payloads are to be read.
void note_format(const Block& block, const decode::StreamPlan& plan, EventBatch& batch) {
  std::shared_ptr<const std::string> header = block.header;
  if (header == nullptr && block.format == Format::pattern) header = plan.pattern_text;
  if (header != nullptr && header->size() > DeadLetter::kMaxPayload) return;
  for (DeadLetter& letter : batch.dead_letters) {
    letter.format = block.format;
    if (header != nullptr) letter.header = header;  // Else decode may have left something.
  }
}

/// Set where these are events that a dead letter was of.
ReplayedLetterPtr replay_of(const EventBatch& batch) {
  const std::optional<LetterId> letter = replayed_letter(batch.origin.request_key);
  if (!letter) return nullptr;
  return std::make_shared<const ReplayedLetter>(
      ReplayedLetter{batch.stamp.sequence, *letter, batch.origin.received_at});
}

}  // namespace

void InFlight::await_revision(std::uint32_t stream_id, Timestamp watermark) {
  std::atomic<Timestamp>& last = revised_at[stream_id];
  Timestamp known = last.load(std::memory_order_relaxed);
  while (known < watermark &&
         !last.compare_exchange_weak(known, watermark, std::memory_order_relaxed)) {
  }
}

void InFlight::remember(const EventBatch& batch) {
  const std::size_t size = bytes_of(batch);
  bytes.fetch_add(size, std::memory_order_relaxed);
  if (is_joined(batch)) joined_bytes.fetch_add(size, std::memory_order_relaxed);
}

void InFlight::forget(const EventBatch& batch) {
  const std::size_t size = bytes_of(batch);
  bytes.fetch_sub(size, std::memory_order_relaxed);
  if (is_joined(batch)) joined_bytes.fetch_sub(size, std::memory_order_relaxed);
}

void InFlight::add_source(std::size_t partitions) {
  sources.push_back({partitions, std::make_unique<OfPartition[]>(partitions)});
}

bool InFlight::busy(const wal::PartitionId& id) {
  if (id.partition >= sources[id.source_id].partitions) return false;
  OfPartition& partition = of(id.source_id, id.partition);
  const bool turned_away = partition.turned_away.exchange(false, std::memory_order_relaxed);
  return turned_away || has_more(id);
}

bool InFlight::has_more(const wal::PartitionId& id) const {
  // The log may know of more partitions than its source has nowadays.
  if (id.partition >= sources[id.source_id].partitions) return false;
  const OfPartition& partition = sources[id.source_id].of_partition[id.partition];
  return partition.behind.load(std::memory_order_relaxed) ||
         partition.blocks.load(std::memory_order_relaxed) > 0;
}

LaneMetrics::LaneMetrics(telemetry::Registry& r, const Plan& plan)
    : registry(r),
      decoded_batches(r.counter("streamobs_decoded_batches_total", "Blocks decoded into batches.")),
      windowed_batches(
          r.counter("streamobs_windowed_batches_total", "Batches counted into windows.")),
      dead_letters_dropped(
          r.counter("streamobs_dead_letters_dropped_total",
                    "Refused or late events of one batch beyond those that are kept.")),
      windowed_events(
          r.counter("streamobs_windowed_events_total", "Events counted into windows.")) {
  for (const PlannedSource& source : plan.sources) {
    received.push_back(&r.counter(
        "streamobs_events_received_total", "Events read from sources, refused ones included.",
        {{"source", source.name}, {"stream", plan.config.streams[source.stream_id].name.text}}));
  }
  rejected.resize(plan.streams.size());
  for (std::size_t id = 0; id < plan.streams.size(); ++id) {
    const std::string& name = plan.config.streams[id].name.text;
    stream_ids[name] = id;
    OfStream stream{
        &r.counter("streamobs_events_accepted_total", "Events taken into the pipeline.",
                   {{"stream", name}}),
        &r.counter("streamobs_events_filtered_total", "Events left out by the stream's filter.",
                   {{"stream", name}}),
        &r.counter("streamobs_overflow_events_total",
                   "Events counted in an __overflow__ group, their window being full of keys.",
                   {{"stream", name}}),
        &r.counter("streamobs_events_duplicate_total",
                   "Events not counted, because one with the same id came before.",
                   {{"stream", name}}),
        &r.counter("streamobs_events_too_old_total",
                   "Events not counted, because they are older than ids are remembered.",
                   {{"stream", name}}),
        &r.counter("streamobs_templates_new_total",
                   "Messages that were the first of their template.", {{"stream", name}}),
        &r.counter("streamobs_templates_forgotten_total", "Templates that had to go for new ones.",
                   {{"stream", name}}),
        {},
        {},
        {}};
    for (const std::size_t window : plan.streams[id].window_ids) {
      stream.late.push_back(&r.counter(
          "streamobs_late_events_total", "Events that came after their window had closed.",
          {{"window", plan.windows[window].schema->window}, {"outcome", "dead_letter"}}));
      stream.partly_late.push_back(
          plan.windows[window].schema->hop == 0
              ? nullptr
              : &r.counter(
                    "streamobs_partly_late_events_total",
                    "Events that came after some of the hopping windows they would be in had "
                    "closed, and were counted in the others.",
                    {{"window", plan.windows[window].schema->window}}));
      stream.correcting.push_back(
          plan.windows[window].options.correct_for == 0
              ? nullptr
              : &r.counter(
                    "streamobs_late_events_total",
                    "Events that came after their window had closed.",
                    {{"window", plan.windows[window].schema->window}, {"outcome", "update"}}));
    }
    streams.push_back(std::move(stream));
    // There from the start: a counter that comes into being with its first event has no increase.
    for (const std::string_view reason : reason::kAll) {
      // These have been taken: they are counted by window and by join.
      if (reason == reason::late || reason == reason::unmatched) continue;
      count_rejected(name, std::string(reason), 0);
    }
    for (const auto& check : plan.config.streams[id].checks)
      count_rejected(name, check.name.text, 0);
  }
}

void LaneMetrics::count_rejected(const std::string& stream, const std::string& reason,
                                 std::uint64_t count) {
  const std::lock_guard lock(rejected_mutex);
  telemetry::Counter*& counter = rejected[stream_ids.at(stream)][reason];
  if (counter == nullptr) {
    counter = &registry.counter("streamobs_events_rejected_total", "Events refused, by reason.",
                                {{"stream", stream}, {"reason", reason}});
  }
  counter->add(count);
}

void LaneMetrics::count_taken(const EventBatch& batch) {
  received[batch.origin.source_id]->add(batch.events);
  streams[batch.schema->stream_id].accepted->add(batch.rows);
  const std::string& stream = batch.schema->stream;
  for (const DeadLetter& letter : batch.dead_letters) count_rejected(stream, letter.reason, 1);
  for (const auto& [reason, count] : batch.refused_unkept) {
    count_rejected(stream, reason, count);
    dead_letters_dropped.add(count);
  }
}

void LaneMetrics::count_windowed(std::uint32_t stream_id, const window::ProcessCounts& counts) {
  const OfStream& stream = streams[stream_id];
  if (counts.filtered != 0) stream.filtered->add(counts.filtered);
  if (counts.late_unsent != 0) dead_letters_dropped.add(counts.late_unsent);
  if (counts.overflow_rows != 0) stream.overflow_rows->add(counts.overflow_rows);
  for (std::size_t i = 0; i < counts.late.size(); ++i) {
    if (counts.late[i] != 0) stream.late[i]->add(counts.late[i]);
    if (counts.partly_late[i] != 0) stream.partly_late[i]->add(counts.partly_late[i]);
    if (counts.correcting[i] != 0) stream.correcting[i]->add(counts.correcting[i]);
  }
}

std::map<std::string, std::uint64_t> LaneMetrics::rejected_by_reason(std::size_t stream_id) const {
  std::map<std::string, std::uint64_t> counts;
  const std::lock_guard lock(rejected_mutex);
  for (const auto& [reason, counter] : rejected[stream_id]) {
    if (counter->value() != 0) counts[reason] = counter->value();
  }
  return counts;
}

Lane::Lane(std::size_t index, const Plan& plan, asio::io_context& io,
           std::vector<std::unique_ptr<window::Admission>>& admissions, LaneMetrics& metrics,
           InFlight& in_flight, std::size_t sources, bool durable)
    : index_(index),
      plan_(plan),
      executor_(asio::make_strand(io)),
      metrics_(metrics),
      in_flight_(in_flight),
      durable_(durable),
      blocks_(sources, kBlocksPerSource),
      work_(kWorkItems) {
  for (std::size_t id = 0; id < plan.streams.size(); ++id) {
    decoders_.push_back(
        std::make_unique<decode::Decoder>(plan.streams[id].decode, plan.source_names));
    windows_.push_back(plan.streams[id].windows == nullptr
                           ? nullptr
                           : std::make_unique<window::StreamWindows>(plan.streams[id].windows,
                                                                     index, *admissions[id]));
    outbound_.push_back(std::make_unique<Outbound>(plan.streams[id], in_flight.bytes, durable));
    if (durable) tallies_.emplace_back(plan.streams[id].decode->schema, index * 1'000 + id);
  }
}

EventBatchPtr Lane::take_batch() {
  if (pool_.empty()) return std::make_unique<EventBatch>();
  EventBatchPtr batch = std::move(pool_.back());
  pool_.pop_back();
  return batch;
}

void Lane::recycle(EventBatchPtr batch) {
  batch->clear();
  if (pool_.size() < kPooledBatches) pool_.push_back(std::move(batch));
}

Result<window::RestoredWindows> Lane::restore(std::uint32_t stream_id,
                                              std::optional<std::string_view> snapshot,
                                              Timestamp watermark) {
  Result<window::RestoredWindows> restored = windows_[stream_id]->restore(snapshot, watermark);
  if (restored.has_value()) in_flight_.await_revision(stream_id, restored->revised_at);
  return restored;
}

void Lane::keep_closed(std::uint32_t stream_id, const std::vector<window::ClosedBefore>& closed) {
  windows_[stream_id]->keep_closed(closed);
}

EventBatchPtr Lane::decode(const Block& block) {
  EventBatchPtr batch = take_batch();
  decoders_[block.stream_id]->decode(block, *batch);
  note_format(block, *plan_.streams[block.stream_id].decode, *batch);
  batch->lane = static_cast<std::uint32_t>(index_);
  metrics_.decoded_batches.add();
  in_flight_.remember(*batch);
  if (durable_) encoder_.encode(*batch, batch->encoded);
  if (durable_) tallies_[block.stream_id].add(*batch);
  return batch;
}

std::vector<health::TallyPart> Lane::take_tallies() {
  std::vector<health::TallyPart> parts;
  for (health::StreamTally& tally : tallies_) parts.push_back(tally.take());
  return parts;
}

asio::awaitable<void> Lane::run_decode(flow::Channel<SequencerInput>& out) {
  std::vector<Block> batch;
  while (true) {
    batch.clear();
    const std::size_t count = co_await blocks_.pop_batch(batch, 1);
    if (count == 0) break;
    for (Block& block : batch) {
      SequencerInput decoded = Decoded{decode(block), nullptr, false};
      // The buffer goes back to its source's pool as soon as the batch lets go of it.
      block.bytes.reset();
      const bool taken = co_await out.push(std::move(decoded));
      if (!taken) co_return;
    }
    // Neither pop nor push suspends while there is work and room: without this a long file would
    // keep the strand to itself, and the lane's windows and connections would wait.
    co_await asio::post(executor_, asio::use_awaitable);
  }
  out.close();
}

DeadLettersPtr Lane::count(EventBatchPtr batch) {
  const std::uint32_t stream_id = batch->schema->stream_id;
  DeadLetters letters = std::move(batch->dead_letters);
  batch->dead_letters.clear();
  if (windows_[stream_id] != nullptr && batch->rows != 0) {
    failpoint("windows.batch", batch->stamp.sequence);
    const window::ProcessCounts counts = windows_[stream_id]->process(*batch, letters);
    if (!batch->counted_before) metrics_.count_windowed(stream_id, counts);
    in_flight_.await_revision(stream_id, counts.revised_at);
  }
  const bool from_file = plan_.sources[batch->origin.source_id].type == "file";
  for (DeadLetter& letter : letters) {
    if (letter.source.empty()) letter.source = plan_.source_names[batch->origin.source_id];
    if (letter.stream.empty()) letter.stream = batch->schema->stream;
    letter.sequence = durable_ ? batch->stamp.sequence : sequence_without_log(letter, from_file);
  }
  metrics_.windowed_batches.add();
  metrics_.windowed_events.add(batch->rows);
  in_flight_.forget(*batch);
  in_flight_.windowed_rows[stream_id].fetch_add(batch->rows, std::memory_order_release);
  recycle(std::move(batch));
  return letters.empty() ? nullptr : std::make_shared<const DeadLetters>(std::move(letters));
}

/// With release, and before anything is awaited: who sees the work counted sees the tables as it
/// left them.
void Lane::work_done(std::uint32_t stream_id) {
  in_flight_.work_done[stream_id].fetch_add(1, std::memory_order_release);
}

void Lane::observe_state() {
  std::size_t keys = 0;
  std::size_t open = 0;
  for (const auto& windows : windows_) {
    if (windows == nullptr) continue;
    keys += windows->keys();
    open += windows->open_instances();
  }
  keys_.store(keys, std::memory_order_relaxed);
  open_instances_.store(open, std::memory_order_relaxed);
}

void Lane::handle_batch(EventBatchPtr batch, Records& out) {
  const std::uint32_t stream_id = batch->schema->stream_id;
  if (ReplayedLetterPtr replayed = replay_of(*batch)) out.emplace_back(std::move(replayed));
  outbound_[stream_id]->process(*batch, out);
  if (DeadLettersPtr letters = count(std::move(batch))) out.emplace_back(std::move(letters));
  work_done(stream_id);
}

/// Of all but batches.
LaneOutput Lane::handle(LaneWork& work) {
  if (auto* cut = std::get_if<CutWork>(&work)) {
    LaneCut reached{cut->position, std::move(cut->checkpoint), {}};
    if (reached.checkpoint == nullptr) return reached;
    for (const auto& windows : windows_) {
      reached.copies.push_back(windows == nullptr ? nullptr : windows->copy_all());
    }
    return reached;
  }
  LanePartial partial;
  if (const auto* mark = std::get_if<wal::Mark>(&work)) {
    partial = {window::RoundKind::closed, mark->stream_id, mark->position, mark->watermark,
               windows_[mark->stream_id]->take_closed(mark->watermark)};
  } else if (const auto* show = std::get_if<ShowOpen>(&work)) {
    partial = {window::RoundKind::open, show->stream_id, show->position, show->watermark,
               windows_[show->stream_id]->copy_open(show->window)};
  } else {
    const Finish& finish = std::get<Finish>(work);
    partial = {window::RoundKind::cut_short, finish.stream_id, finish.position, finish.watermark,
               windows_[finish.stream_id]->take_all()};
  }
  work_done(partial.stream_id);
  return partial;
}

asio::awaitable<void> Lane::run_windows(flow::Channel<LaneOutput>& out) {
  std::vector<LaneWork> batch;
  Records records;
  while (true) {
    batch.clear();
    const std::size_t count_popped = co_await work_.pop_batch(batch, 16);
    if (count_popped == 0) break;
    for (LaneWork& work : batch) {
      if (auto* events = std::get_if<EventBatchPtr>(&work)) {
        records.clear();
        handle_batch(std::move(*events), records);
        for (Record& record : records) {
          LaneOutput output = std::move(record);
          const bool taken = co_await out.push(std::move(output));
          if (!taken) co_return;
        }
        continue;
      }
      LaneOutput output = handle(work);
      const bool taken = co_await out.push(std::move(output));
      if (!taken) co_return;
    }
    observe_state();
    co_await asio::post(executor_, asio::use_awaitable);
  }
  out.close();
}

}  // namespace streamobs::app

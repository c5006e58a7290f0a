#include "app/past_events.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "event/row_json.h"

namespace streamobs::app {

PastEvents::PastEvents(std::unique_ptr<PastLog> log, const Plan& plan, std::string stream,
                       TimeRange range,
                       std::function<void(std::uint64_t, std::uint64_t)> on_progress)
    : log_(std::move(log)),
      stream_(std::move(stream)),
      range_(range),
      on_progress_(std::move(on_progress)) {
  auto with_sources = std::make_shared<Plan>(plan);
  with_sources->sources.clear();
  with_sources->source_names.clear();
  // Of a log that lacks its beginning nobody knows which sources were still being waited for.
  const bool whole = log_->first() == 1;
  for (const PastSession& session : log_->sessions()) {
    for (std::size_t i = 0; i < session.record.sources.size(); ++i) {
      const SourceKey key = key_of(session.record, i);
      const std::optional<std::uint32_t> stream_id = plan.stream_id(key.second);
      if (!stream_id || sources_.contains(key)) continue;
      sources_[key] = static_cast<std::uint32_t>(with_sources->sources.size());
      PlannedSource source;
      source.name = key.first;
      source.type = "log";
      source.stream_id = *stream_id;
      source.name_in_log = key.first;
      source.awaited = whole && !key.first.starts_with('(');
      with_sources->sources.push_back(source);
      with_sources->source_names.push_back(key.first);
    }
  }
  plan_ = with_sources;
  for (const PlannedStream& planned : plan_->streams) {
    decoders_.push_back(std::make_unique<decode::Decoder>(planned.decode, plan_->source_names));
  }
}

PastEvents::SourceKey PastEvents::key_of(const wal::SessionStarted& session, std::size_t source) {
  const wal::SessionStarted::Source& named = session.sources[source];
  const bool known = named.stream_id < session.streams.size();
  return {named.name, known ? session.streams[named.stream_id] : ""};
}

std::vector<std::string> PastEvents::unknown_fields() {
  std::vector<std::string> unknown;
  for (const PlannedStream& stream : plan_->streams) {
    const StreamSchema& schema = stream.decode->schema;
    for (const Field& field : schema.fields) {
      bool known = false;
      for (std::size_t i = 0; i < log_->sessions().size(); ++i) {
        const Result<std::shared_ptr<const Plan>> then_plan = log_->plan(i);
        const auto id =
            then_plan.has_error() ? std::nullopt : (*then_plan)->stream_id(schema.stream);
        if (!id) continue;
        const decode::StreamPlan& then = *(*then_plan)->streams[*id].decode;
        known = known || then.options.keep_raw || then.schema.index_of(field.name).has_value();
      }
      if (!known) unknown.push_back(schema.stream + "." + field.name);
    }
  }
  return unknown;
}

Result<bool> PastEvents::read(std::vector<Replayed>& out, std::size_t bytes_max) {
  std::size_t bytes = 0;
  wal::LogEntry entry;
  while (bytes < bytes_max) {
    const Result<bool> more = log_->next(entry);
    if (more.has_error()) return more.error();
    if (!*more) break;
    bytes += entry.payload.size() + 64;
    Result<Replayed> record = translate(entry);
    if (record.has_error()) return record.error();
    out.push_back(std::move(*record));
  }
  if (on_progress_) on_progress_(log_->bytes_read(), log_->bytes_total());
  return bytes != 0;
}

const PastEvents::Meaning& PastEvents::meaning() {
  const PastSession& session = log_->session();
  const auto [found, fresh] = meanings_.try_emplace(session.position);
  Meaning& meaning = found->second;
  if (!fresh) return meaning;
  for (const std::string& name : session.record.streams) {
    const bool wanted = stream_.empty() || stream_ == name;
    meaning.streams.push_back(wanted ? plan_->stream_id(name) : std::nullopt);
  }
  for (std::size_t i = 0; i < session.record.sources.size(); ++i) {
    const auto source = sources_.find(key_of(session.record, i));
    meaning.sources.push_back(source == sources_.end() ? std::nullopt
                                                       : std::optional(source->second));
  }
  return meaning;
}

Result<Replayed> PastEvents::translate(const wal::LogEntry& entry) {
  Replayed replayed;
  replayed.position = entry.sequence;
  const auto type = static_cast<wal::RecordType>(entry.type);
  if (type == wal::RecordType::batch) {
    Result<wal::EventBatchPtr> batch = translate_batch(entry);
    if (batch.has_error()) return batch.error();
    if (*batch != nullptr) {
      replayed.record = std::move(*batch);
    } else {
      replayed.record = wal::SetAside{0, entry.sequence, 0};
    }
    return replayed;
  }
  Result<wal::ControlRecord> record = wal::decode_control(type, entry.payload);
  if (record.has_error()) return record.error();
  replayed.record = translate_control(std::move(*record));
  return replayed;
}

/// What it says of streams and sources that the plan does not have says nothing.
wal::ControlRecord PastEvents::translate_control(wal::ControlRecord record) {
  const Meaning& meaning = this->meaning();
  const wal::SetAside nothing;
  if (auto* advanced = std::get_if<wal::Advanced>(&record)) {
    if (advanced->stream_id >= meaning.streams.size()) return nothing;
    const std::optional<std::uint32_t> stream_id = meaning.streams[advanced->stream_id];
    if (!stream_id) return nothing;
    advanced->stream_id = *stream_id;
    std::vector<std::uint32_t> idle;
    for (const std::uint32_t source : advanced->idle_sources) {
      if (source < meaning.sources.size() && meaning.sources[source]) {
        idle.push_back(*meaning.sources[source]);
      }
    }
    std::sort(idle.begin(), idle.end());
    advanced->idle_sources = std::move(idle);
  } else if (auto* ended = std::get_if<wal::SourceEnded>(&record)) {
    if (ended->source_id >= meaning.sources.size()) return nothing;
    const std::optional<std::uint32_t> source = meaning.sources[ended->source_id];
    if (!source) return nothing;
    ended->source_id = *source;
  }
  return record;
}

Result<wal::EventBatchPtr> PastEvents::translate_batch(const wal::LogEntry& entry) {
  const Result<wal::BatchHead> head = wal::read_batch_head(entry.payload);
  if (head.has_error()) return head.error();
  const Meaning& meaning = this->meaning();
  if (head->stream_id >= meaning.streams.size()) {
    return fail(ErrorCode::corrupt,
                fmt::format("record {} of the log is of a stream that its session does not have",
                            entry.sequence));
  }
  const std::optional<std::uint32_t> stream_id = meaning.streams[head->stream_id];
  if (!stream_id || log_->is_set_aside(entry.sequence)) return wal::EventBatchPtr();
  const Result<std::shared_ptr<const Plan>> session_plan = log_->plan(log_->session_index());
  if (session_plan.has_error()) return session_plan.error();
  const decode::StreamPlan& then = *(*session_plan)->streams[head->stream_id].decode;
  const decode::StreamPlan& now = *plan_->streams[*stream_id].decode;

  Result<wal::EventBatchPtr> batch = std::make_unique<EventBatch>();
  if (as_it_is(then, now)) {
    if (Result<> read = log_->decode(entry, now.schema, **batch); read.has_error()) {
      return read.error();
    }
  } else {
    batch = decode_anew(entry, then, *stream_id);
    if (batch.has_error()) return batch.error();
  }
  std::uint32_t& source = (*batch)->origin.source_id;
  if (source >= meaning.sources.size() || !meaning.sources[source]) return wal::EventBatchPtr();
  source = *meaning.sources[source];
  leave_out_of_range(**batch);
  return batch;
}

/// The same fields, and no checks that they have not passed.
bool PastEvents::as_it_is(const decode::StreamPlan& then, const decode::StreamPlan& now) const {
  const auto same_check = [](const decode::NamedExpression& a, const decode::NamedExpression& b) {
    return a.name.text == b.name.text && a.expression.text == b.expression.text;
  };
  return wal::schema_fingerprint(then.schema) == wal::schema_fingerprint(now.schema) &&
         std::equal(then.options.checks.begin(), then.options.checks.end(),
                    now.options.checks.begin(), now.options.checks.end(), same_check);
}

Result<wal::EventBatchPtr> PastEvents::decode_anew(const wal::LogEntry& entry,
                                                   const decode::StreamPlan& then,
                                                   std::uint32_t stream_id) {
  if (Result<> read = log_->decode(entry, then.schema, then_); read.has_error()) {
    return read.error();
  }
  Block block;
  block.stream_id = stream_id;
  block.format = Format::json;
  block.bytes = std::make_shared<BlockBuffer>();
  block.origin = then_.origin;
  std::string text = "[";
  for (std::size_t row = 0; row < then_.rows; ++row) {
    if (row != 0) text += ',';
    // A line of another format would need more than itself to be understood.
    const bool kept = !then_.raw.empty() && then_.raw[row].starts_with('{');
    if (kept) {
      text += then_.raw[row];
    } else {
      text += row_to_json(then_, row);
    }
  }
  text += ']';
  block.bytes->append(text);

  auto batch = std::make_unique<EventBatch>();
  decoders_[stream_id]->decode(block, *batch);
  // Where each event stood is as it was.
  const auto index_then = [this](std::uint32_t& index) {
    if (index < then_.event_index.size()) index = then_.event_index[index];
  };
  for (std::uint32_t& index : batch->event_index) index_then(index);
  for (DeadLetter& letter : batch->dead_letters) {
    index_then(letter.event_index);
    letter.position = then_.origin.first_line + letter.event_index;
  }
  batch->events = then_.events;
  batch->refused += then_.refused;
  for (DeadLetter& letter : then_.dead_letters) batch->dead_letters.push_back(std::move(letter));
  for (const auto& [reason, count] : then_.refused_unkept) batch->refused_unkept[reason] += count;
  return batch;
}

void PastEvents::leave_out_of_range(EventBatch& batch) const {
  for (std::size_t row = 0; row < batch.rows; ++row) {
    if (range_.contains(batch.time[row])) continue;
    if (batch.excluded.empty()) batch.excluded.resize(batch.rows, 0);
    batch.excluded[row] = 1;
  }
}

}  // namespace streamobs::app

#include "app/past_events.h"

#include <algorithm>
#include <string_view>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "event/row_json.h"

namespace streamobs::app {

namespace {

bool within(const std::string& path, const std::string& outer) {
  return path.starts_with(outer) && (path.size() == outer.size() || path[outer.size()] == '.');
}

/// Whether one of two places in an event is the other or lies in it.
bool overlap(const std::string& a, const std::string& b) {
  return within(a, b) || within(b, a);
}

/// Whether a field of the plan gets something from a batch with the fields of then: by its name, or
/// as one that now goes by another name and stood where this one is looked for.
bool had(const StreamSchema& then, const StreamSchema& now, const Field& field) {
  if (then.index_of(field.name)) return true;
  return std::any_of(then.fields.begin(), then.fields.end(), [&](const Field& old) {
    if (now.index_of(old.name)) return false;
    const auto stood_at = [&old](const std::string& path) { return overlap(old.path, path); };
    return stood_at(field.path) ||
           std::any_of(field.aliases.begin(), field.aliases.end(), stood_at);
  });
}

bool same_field(const Field& a, const Field& b) {
  return a.name == b.name && a.path == b.path && a.type == b.type && a.required == b.required &&
         a.aliases == b.aliases;
}

bool same_expression(const decode::NamedExpression& a, const decode::NamedExpression& b) {
  return a.name.text == b.name.text && a.expression.text == b.expression.text;
}

bool same_expressions(const std::vector<decode::NamedExpression>& a,
                      const std::vector<decode::NamedExpression>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), same_expression);
}

}  // namespace

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
      // A join sends nothing, and to one nothing is sent.
      if (plan.config.streams[*stream_id].joined || key.first == kJoinSource) continue;
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
  for (PlannedJoin& join : with_sources->joins) {
    join.source_id = static_cast<std::uint32_t>(with_sources->sources.size());
    PlannedSource source;
    source.name = source.type = "join";
    source.stream_id = join.stream_id;
    source.name_in_log = kJoinSource;
    with_sources->sources.push_back(source);
    with_sources->source_names.push_back(source.name);
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

/// What a session's stream is in the plan. A join of then is one of now, or says nothing.
std::optional<std::uint32_t> PastEvents::stream_now(const wal::SessionStarted& session,
                                                    std::size_t stream) const {
  const std::string& name = session.streams[stream];
  const std::optional<std::uint32_t> id = plan_->stream_id(name);
  if (!id || !wanted(name)) return std::nullopt;
  return was_join(session, stream) == plan_->config.streams[*id].joined ? id : std::nullopt;
}

Result<std::vector<std::string>> PastEvents::unknown_fields() {
  std::vector<std::string> unknown;
  for (const PlannedStream& stream : plan_->streams) {
    const StreamSchema& now = stream.decode->schema;
    // A join's fields are those of what it joins.
    if (!wanted(now.stream) || plan_->config.streams[now.stream_id].joined) continue;
    std::vector<const decode::StreamPlan*> all_then;
    for (std::size_t i = 0; i < log_->sessions().size(); ++i) {
      const std::vector<std::string>& names = log_->sessions()[i].record.streams;
      if (std::find(names.begin(), names.end(), now.stream) == names.end()) continue;
      const Result<std::shared_ptr<const Plan>> then = log_->plan(i);
      if (then.has_error()) return then.error();
      const std::optional<std::uint32_t> id = (*then)->stream_id(now.stream);
      if (id) all_then.push_back((*then)->streams[*id].decode.get());
    }
    for (const Field& field : now.fields) {
      const bool known =
          std::any_of(all_then.begin(), all_then.end(), [&](const decode::StreamPlan* then) {
            return then->options.keep_raw || had(then->schema, now, field);
          });
      if (!known) unknown.push_back(now.stream + "." + field.name);
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

PastEvents::Meaning& PastEvents::meaning() {
  const PastSession& session = log_->session();
  const auto [found, fresh] = meanings_.try_emplace(session.position);
  Meaning& meaning = found->second;
  if (!fresh) return meaning;
  for (std::size_t i = 0; i < session.record.streams.size(); ++i) {
    meaning.streams.push_back(stream_now(session.record, i));
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
    any_ = true;
    Result<wal::EventBatchPtr> batch = translate_batch(entry);
    if (batch.has_error()) return batch.error();
    if (*batch != nullptr) {
      replayed.record = std::move(*batch);
    } else {
      replayed.record = wal::SetAside{0, entry.sequence, 0};
    }
    return replayed;
  }
  if (type == wal::RecordType::range_proposed) {  // What became of it is a batch of its own.
    replayed.record = wal::SetAside{0, entry.sequence, 0};
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
    std::vector<wal::PartitionId> idle;
    for (const wal::PartitionId& id : advanced->idle) {
      if (id.source_id < meaning.sources.size() && meaning.sources[id.source_id]) {
        idle.push_back({*meaning.sources[id.source_id], id.partition});
      }
    }
    std::sort(idle.begin(), idle.end());
    advanced->idle = std::move(idle);
  } else if (auto* ended = std::get_if<wal::SourceEnded>(&record)) {
    if (ended->source_id >= meaning.sources.size()) return nothing;
    const std::optional<std::uint32_t> source = meaning.sources[ended->source_id];
    if (!source) return nothing;
    ended->source_id = *source;
  } else if (auto* joined = std::get_if<wal::PartitionsJoined>(&record)) {
    if (joined->source_id >= meaning.sources.size()) return nothing;
    const std::optional<std::uint32_t> source = meaning.sources[joined->source_id];
    if (!source) return nothing;
    joined->source_id = *source;
  } else if (std::holds_alternative<wal::RangeDiscarded>(record)) {
    return nothing;
  }
  return record;
}

Result<wal::EventBatchPtr> PastEvents::translate_batch(const wal::LogEntry& entry) {
  const Result<wal::BatchHead> head = wal::read_batch_head(entry.payload);
  if (head.has_error()) return head.error();
  Meaning& meaning = this->meaning();
  const std::uint32_t id_then = head->stream_id;
  if (id_then < meaning.streams.size() && !meaning.streams[id_then]) return wal::EventBatchPtr();
  const Result<const decode::StreamPlan*> found = log_->stream_of(entry);
  if (found.has_error()) return found.error();
  if (*found == nullptr) return wal::EventBatchPtr();
  const decode::StreamPlan& then = **found;
  const std::uint32_t stream_id = *meaning.streams[id_then];
  const decode::StreamPlan& now = *plan_->streams[stream_id].decode;
  const auto [known, fresh] = meaning.translations.try_emplace(id_then);
  if (fresh) known->second = translation(then, now);

  Result<wal::EventBatchPtr> batch = std::make_unique<EventBatch>();
  if (known->second.as_it_is) {
    if (Result<> read = log_->decode(entry, now.schema, **batch); read.has_error()) {
      return read.error();
    }
  } else {
    batch = decode_anew(entry, then, known->second, stream_id);
    if (batch.has_error()) return batch.error();
  }
  std::uint32_t& source = (*batch)->origin.source_id;
  if (source >= meaning.sources.size() || !meaning.sources[source]) return wal::EventBatchPtr();
  source = *meaning.sources[source];
  leave_out_of_range(**batch);
  return batch;
}

/// The same fields, read alike, and no checks that they have not passed.
bool PastEvents::as_it_is(const decode::StreamPlan& then, const decode::StreamPlan& now) {
  const decode::StreamOptions& was = then.options;
  const decode::StreamOptions& is = now.options;
  return then.schema.time_field == now.schema.time_field && was.timezone == is.timezone &&
         std::equal(then.schema.fields.begin(), then.schema.fields.end(), now.schema.fields.begin(),
                    now.schema.fields.end(), same_field) &&
         same_expressions(was.checks, is.checks) &&
         // Checks may speak of derived fields.
         (is.checks.empty() || same_expressions(was.derive, is.derive));
}

/// A field that goes by the same name goes to its place of now. Others stay where they were: one
/// that has another name now is found there. Where two would come to the same place, or one within
/// the other, the first kind goes first, and of each the outer one, which has what is in it.
PastEvents::Translation PastEvents::translation(const decode::StreamPlan& then,
                                                const decode::StreamPlan& now) {
  Translation result;
  result.as_it_is = as_it_is(then, now);
  result.places = then.schema;
  std::vector<Field>& fields = result.places.fields;
  std::vector<std::tuple<bool, std::size_t, std::size_t>> order;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const std::optional<std::size_t> index = now.schema.index_of(fields[i].name);
    if (index) fields[i].path = now.schema.fields[*index].path;
    order.emplace_back(!index, fields[i].path.size(), i);
  }
  std::sort(order.begin(), order.end());
  std::vector<std::size_t> placed;
  for (const auto& [other_name, size, i] : order) {
    const bool taken = std::any_of(placed.begin(), placed.end(), [&fields, at = i](std::size_t j) {
      return overlap(fields[j].path, fields[at].path);
    });
    (taken ? result.hidden : placed).push_back(i);
  }
  return result;
}

Result<wal::EventBatchPtr> PastEvents::decode_anew(const wal::LogEntry& entry,
                                                   const decode::StreamPlan& then,
                                                   const Translation& translation,
                                                   std::uint32_t stream_id) {
  if (Result<> read = log_->decode(entry, then.schema, then_); read.has_error()) {
    return read.error();
  }
  then_.schema = &translation.places;
  for (const std::size_t column : translation.hidden) then_.columns[column].type = {};
  Block block;
  block.stream_id = stream_id;
  block.format = Format::json;
  block.bytes = std::make_shared<BlockBuffer>();
  block.origin = then_.origin;
  std::string text = "[";
  for (std::size_t row = 0; row < then_.rows; ++row) {
    if (row != 0) text += ',';
    const std::string_view kept = kept_json(then_, row);
    if (kept.empty()) {
      text += row_to_json(then_, row);
    } else {
      text += kept;
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
    letter.position = position_of(then_.origin, letter.event_index, letter.event_index);
  }
  batch->events = then_.events;
  batch->refused += then_.refused;
  for (DeadLetter& letter : then_.dead_letters) batch->dead_letters.push_back(std::move(letter));
  for (const auto& [reason, count] : then_.refused_unkept) batch->refused_unkept[reason] += count;
  return batch;
}

void PastEvents::leave_out_of_range(EventBatch& batch) {
  for (std::size_t row = 0; row < batch.rows; ++row) {
    const Timestamp time = batch.time[row];
    if (!seen_) seen_ = TimeRange{time, time};
    seen_->from = std::min(seen_->from, time);
    seen_->to = std::max(seen_->to, time);
    if (range_.contains(time)) continue;
    if (batch.excluded.empty()) batch.excluded.resize(batch.rows, 0);
    batch.excluded[row] = 1;
    ++rows_outside_;
  }
}

}  // namespace streamobs::app

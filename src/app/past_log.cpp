#include "app/past_log.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "decode/time_text.h"

namespace streamobs::app {

namespace {

/// Whether records of both mean the same.
bool same_meaning(const wal::SessionStarted& a, const wal::SessionStarted& b) {
  return a.config_text == b.config_text && a.streams == b.streams && a.sources == b.sources;
}

Result<Timestamp> parse_time(const char* option, const std::string& text, Timestamp otherwise) {
  if (text.empty()) return otherwise;
  const std::optional<Timestamp> time = decode::TimeParser(nullptr).parse(text);
  if (time) return *time;
  return fail(ErrorCode::invalid,
              fmt::format("{}: '{}' is not a time such as 2026-01-09T12:00:00Z", option, text));
}

}  // namespace

bool was_join(const wal::SessionStarted& session, std::size_t stream) {
  return std::any_of(session.sources.begin(), session.sources.end(), [stream](const auto& source) {
    return source.stream_id == stream && source.name == kJoinSource;
  });
}

Result<std::unique_ptr<PastLog>> PastLog::open(FileSystem& files, const std::string& directory) {
  const Result<bool> within = files.exists(directory + "/wal");
  if (within.has_error()) return within.error();
  std::unique_ptr<PastLog> log(new PastLog(files, *within ? directory + "/wal" : directory));
  if (Result<> found = log->find_sessions(); found.has_error()) return found.error();
  Result<std::unique_ptr<wal::LogReader>> reader = log->reader();
  if (reader.has_error()) return reader.error();
  log->reader_ = std::move(*reader);
  // Of this reader: since the first one the engine may have trimmed its log.
  log->first_ = log->reader_->first_sequence();
  if (log->first_ <= log->last_) return log;
  return fail(
      ErrorCode::unavailable,
      fmt::format("the log in {} was trimmed faster than it was read: try again, or have it "
                  "keep more with [wal] keep",
                  log->directory_));
}

Result<std::unique_ptr<wal::LogReader>> PastLog::reader() const {
  wal::LogReaderOptions options;
  options.live = true;
  if (last_ != 0) options.to_sequence = last_;
  return wal::LogReader::open(files_, directory_, options);
}

Result<> PastLog::find_sessions() {
  Result<std::unique_ptr<wal::LogReader>> reader = this->reader();
  if (reader.has_error()) return reader.error();
  wal::LogEntry entry;
  while (true) {
    const Result<bool> more = (*reader)->next(entry);
    if (more.has_error()) return more.error();
    if (!*more) break;
    last_ = entry.sequence;
    const auto type = static_cast<wal::RecordType>(entry.type);
    if (type != wal::RecordType::session_started && type != wal::RecordType::set_aside) continue;
    Result<wal::ControlRecord> record = wal::decode_control(type, entry.payload);
    if (record.has_error()) return record.error();
    if (const auto* decision = std::get_if<wal::SetAside>(&*record)) {
      set_aside_.insert(decision->sequence);
      continue;
    }
    auto& session = std::get<wal::SessionStarted>(*record);
    if (!sessions_.empty() && same_meaning(sessions_.back().record, session)) continue;
    sessions_.push_back({entry.sequence, std::move(session), nullptr});
  }
  if (!sessions_.empty()) return {};
  return fail(ErrorCode::not_found,
              last_ == 0 ? fmt::format("the log in {} is empty", directory_)
                         : fmt::format("no record of the log in {} says under which config it was "
                                       "written; a running engine writes one with its next "
                                       "checkpoint, try again after that",
                                       directory_));
}

std::string PastLog::lacks() const {
  if (first_ == 1) return {};
  return fmt::format(
      "the log begins with record {}: what came before is no longer in it ([wal] keep holds more)",
      first_);
}

Result<bool> PastLog::next(wal::LogEntry& entry) {
  const Result<bool> more = reader_->next(entry);
  if (more.has_error() || !*more) return more;
  while (session_ + 1 < sessions_.size() && sessions_[session_ + 1].position <= entry.sequence) {
    ++session_;
  }
  return true;
}

Result<std::shared_ptr<const Plan>> PastLog::plan(std::size_t index) {
  PastSession& session = sessions_[index];
  if (session.plan != nullptr) return session.plan;
  Diagnostics diagnostics;
  std::optional<config::Config> config =
      config::parse_past(session.record.config_text, "the config in the log", diagnostics);
  if (config) session.plan = make_plan(std::move(*config), diagnostics);
  if (session.plan != nullptr) return session.plan;
  return fail(
      ErrorCode::invalid,
      fmt::format("from record {} on the log was written under a config that this "
                  "streamobs does not take any more; read it with the one that wrote it "
                  "({}). {}",
                  session.position, session.record.program, config::to_text(diagnostics, false)));
}

Result<const decode::StreamPlan*> PastLog::stream_of(const wal::LogEntry& batch) {
  const decode::StreamPlan* const none = nullptr;
  if (set_aside_.contains(batch.sequence)) return none;
  const Result<wal::BatchHead> head = wal::read_batch_head(batch.payload);
  if (head.has_error()) return head.error();
  const bool before_first = batch.sequence < sessions_.front().position;
  const std::vector<std::string>& names = session().record.streams;
  if (head->stream_id < names.size()) {
    const Result<std::shared_ptr<const Plan>> plan = this->plan(session_);
    if (plan.has_error()) return plan.error();
    const std::optional<std::uint32_t> id = (*plan)->stream_id(names[head->stream_id]);
    if (id == head->stream_id) {
      const decode::StreamPlan* const stream = (*plan)->streams[*id].decode.get();
      if (!before_first) return stream;
      const Result<bool> fits = fits_session(batch, *head, *stream);
      if (fits.has_error()) return fits.error();
      if (*fits) return stream;
    }
  }
  if (!before_first) {
    return fail(ErrorCode::corrupt,
                fmt::format("record {} of the log is of a stream that its session does not have",
                            batch.sequence));
  }
  if (unfit_++ == 0) first_unfit_ = batch.sequence;
  last_unfit_ = batch.sequence;
  return none;
}

/// Whether a batch can have been written under the config of the session. Its values are then read
/// right; that its names meant the same is likely, and more is not to be known.
Result<bool> PastLog::fits_session(const wal::LogEntry& batch, const wal::BatchHead& head,
                                   const decode::StreamPlan& stream) const {
  if (head.fingerprint != wal::schema_fingerprint(stream.schema)) return false;
  const Result<BlockOrigin> origin = wal::read_batch_origin(batch.payload);
  if (origin.has_error()) return origin.error();
  const std::vector<wal::SessionStarted::Source>& sources = session().record.sources;
  return origin->source_id < sources.size() &&
         sources[origin->source_id].stream_id == head.stream_id;
}

std::string PastLog::passed_over() const {
  if (unfit_ == 0) return {};
  return fmt::format(
      "records {} to {} of the log: {} of their batches are passed over. They were written under "
      "another config than the oldest that the log still has (record {}), and its own is no longer "
      "in it ([wal] keep holds more)",
      first_unfit_, last_unfit_, unfit_, sessions_.front().position);
}

Result<> PastLog::decode(const wal::LogEntry& entry, const StreamSchema& schema, EventBatch& out) {
  const Result<> decoded = decoder_.decode(entry.payload, schema, out);
  if (decoded.has_value()) return decoded;
  return fail(decoded.error().code,
              fmt::format("record {} of the log, a batch of stream {}: {}", entry.sequence,
                          schema.stream, decoded.error().message));
}

std::string_view kept_json(const EventBatch& batch, std::size_t row) {
  if (batch.raw.empty()) return {};
  const std::string_view text = batch.raw[row];
  const std::size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  const std::size_t end = text.find_last_not_of(" \t\r\n");
  const std::string_view trimmed = text.substr(begin, end - begin + 1);
  return trimmed.starts_with('{') && trimmed.ends_with('}') ? trimmed : std::string_view();
}

Result<TimeRange> parse_time_range(const std::string& from, const std::string& to) {
  TimeRange range;
  const Result<Timestamp> begin = parse_time("--from", from, range.from);
  if (begin.has_error()) return begin.error();
  const Result<Timestamp> end = parse_time("--to", to, range.to);
  if (end.has_error()) return end.error();
  if (*end <= *begin) {
    return fail(ErrorCode::invalid, fmt::format("--to {} is not after --from {}", to, from));
  }
  return TimeRange{*begin, *end};
}

}  // namespace streamobs::app

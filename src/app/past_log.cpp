#include "app/past_log.h"

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

Result<std::unique_ptr<PastLog>> PastLog::open(FileSystem& files, const std::string& directory) {
  const Result<bool> within = files.exists(directory + "/wal");
  if (within.has_error()) return within.error();
  std::unique_ptr<PastLog> log(new PastLog(files, *within ? directory + "/wal" : directory));
  if (Result<> found = log->find_sessions(); found.has_error()) return found.error();
  Result<std::unique_ptr<wal::LogReader>> reader = log->reader();
  if (reader.has_error()) return reader.error();
  log->reader_ = std::move(*reader);
  return log;
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
  first_ = (*reader)->first_sequence();
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

Result<> PastLog::decode(const wal::LogEntry& entry, const StreamSchema& schema, EventBatch& out) {
  const Result<> decoded = decoder_.decode(entry.payload, schema, out);
  if (decoded.has_value()) return decoded;
  return fail(decoded.error().code,
              fmt::format("record {} of the log, a batch of stream {}: {}", entry.sequence,
                          schema.stream, decoded.error().message));
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

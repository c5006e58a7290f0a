#include "app/recovery.h"

#include <random>
#include <utility>

#include <fmt/format.h>

#include "base/failpoint.h"
#include "base/log.h"

namespace streamobs::app {

namespace {

std::uint64_t draw_log_id() {
  std::random_device device;
  std::uint64_t id = 0;
  while (id == 0) id = (std::uint64_t{device()} << 32) | device();
  return id;
}

}  // namespace

std::string part::deduplication(const std::string& stream) {
  return "deduplication/" + stream;
}

std::string part::windows(const std::string& stream) {
  return "windows/" + stream;
}

const std::string* find_part(const CheckpointParts& checkpoint, const std::string& name) {
  const auto found = checkpoint.parts.find(name);
  return found == checkpoint.parts.end() ? nullptr : &found->second;
}

Tail::Tail(std::unique_ptr<wal::LogReader> reader, std::shared_ptr<const Plan> plan,
           std::uint64_t from, std::uint64_t to)
    : reader_(std::move(reader)), plan_(std::move(plan)), from_(from), to_(to) {}

Result<std::unique_ptr<Tail>> Tail::open(FileSystem& files, const std::string& directory,
                                         std::shared_ptr<const Plan> plan, std::uint64_t from,
                                         std::uint64_t to) {
  wal::LogReaderOptions options;
  options.from_sequence = from;
  options.to_sequence = to;
  options.live = true;
  Result<std::unique_ptr<wal::LogReader>> reader = wal::LogReader::open(files, directory, options);
  if (reader.has_error()) return reader.error();
  return std::unique_ptr<Tail>(new Tail(std::move(*reader), std::move(plan), from, to));
}

Result<bool> Tail::read(std::vector<Replayed>& out, std::size_t bytes_max) {
  if (ended_) return false;
  std::size_t bytes = 0;
  wal::LogEntry entry;
  while (bytes < bytes_max) {
    const Result<bool> more = reader_->next(entry);
    if (more.has_error()) return more.error();
    if (!*more) {
      ended_ = true;
      break;
    }
    bytes += entry.payload.size() + 64;
    Result<Replayed> record = decode(entry);
    if (record.has_error()) return record.error();
    out.push_back(std::move(*record));
  }
  return bytes != 0;
}

Result<Replayed> Tail::decode(const wal::LogEntry& entry) {
  Replayed replayed;
  replayed.position = entry.sequence;
  const auto type = static_cast<wal::RecordType>(entry.type);
  if (type != wal::RecordType::batch) {
    Result<wal::ControlRecord> record = wal::decode_control(type, entry.payload);
    if (record.has_error()) return record.error();
    replayed.record = std::move(*record);
    return replayed;
  }
  const Result<wal::BatchHead> head = wal::read_batch_head(entry.payload);
  if (head.has_error()) return head.error();
  if (head->stream_id >= plan_->streams.size()) {
    return fail(ErrorCode::corrupt,
                fmt::format("record {} of the log is of a stream that its config does not have",
                            entry.sequence));
  }
  auto batch = std::make_unique<EventBatch>();
  const StreamSchema& schema = plan_->streams[head->stream_id].decode->schema;
  if (Result<> decoded = decoder_.decode(entry.payload, schema, *batch); decoded.has_error()) {
    return fail(decoded.error().code,
                fmt::format("record {} of the log, a batch of stream {}: {}", entry.sequence,
                            schema.stream, decoded.error().message));
  }
  replayed.record = std::move(batch);
  return replayed;
}

Result<std::unique_ptr<History>> History::open(FileSystem& files, const Clock& clock,
                                               const std::string& data_dir,
                                               const wal::WalOptions& options) {
  std::unique_ptr<History> history(new History(files, data_dir + "/wal"));
  Result<wal::CheckpointStore> checkpoints =
      wal::CheckpointStore::open(files, data_dir + "/checkpoint");
  if (checkpoints.has_error()) return checkpoints.error();
  history->checkpoints_.emplace(std::move(*checkpoints));
  wal::LogOpenOptions open_options;
  open_options.new_log_id = draw_log_id();
  open_options.known_durable = history->checkpoints_->newest_position();
  Result<std::unique_ptr<wal::Log>> log =
      wal::Log::open(files, clock, history->wal_, options, open_options);
  if (log.has_error()) return log.error();
  history->log_ = std::move(*log);
  const std::optional<wal::TornTail>& torn = history->log_->state().torn;
  if (torn) {
    log::warn(
        "the log ended in the middle of a record that was never acknowledged; it is set aside",
        {{"segment", torn->segment},
         {"offset", torn->offset},
         {"bytes", torn->bytes},
         {"saved_as", torn->saved_as}});
  }
  if (Result<> loaded = history->load_checkpoint(); loaded.has_error()) return loaded.error();
  if (Result<> scanned = history->scan(); scanned.has_error()) return scanned.error();
  return history;
}

Result<> History::load_checkpoint() {
  Result<std::optional<wal::LoadedCheckpoint>> loaded =
      checkpoints_->load_newest(log_->state().first_sequence);
  if (loaded.has_error()) return loaded.error();
  checkpoint_.reset();
  if (!loaded->has_value()) return {};
  wal::LoadedCheckpoint& newest = **loaded;
  if (newest.log_id != log_id()) {
    return fail(ErrorCode::invalid,
                fmt::format("the checkpoint belongs to log {:016x} and the log in {} is {:016x}: "
                            "they are not of one engine. Put the directories back that belong "
                            "together, or start with another data_dir",
                            newest.log_id, wal_, log_id()));
  }
  for (const std::string& reason : newest.passed_over) {
    log::warn("a newer checkpoint cannot be used; the one before it is, and more of the log",
              {{"reason", reason}});
  }
  checkpoint_ = std::move(newest.state);
  return {};
}

Result<> History::scan() {
  stretches_.clear();
  std::string config;
  std::uint64_t position = 0;
  if (checkpoint_) {
    position = checkpoint_->position;
    if (const std::string* text = find_part(*checkpoint_, part::config)) config = *text;
  }
  if (position >= log_->next_sequence() - 1) return {};
  wal::LogReaderOptions options;
  options.from_sequence = position + 1;
  options.to_sequence = log_->next_sequence() - 1;
  options.known_durable = options.to_sequence;  // Opening the log has made it so.
  options.live = true;
  Result<std::unique_ptr<wal::LogReader>> reader = wal::LogReader::open(files_, wal_, options);
  if (reader.has_error()) return reader.error();
  wal::LogEntry entry;
  while (true) {
    const Result<bool> more = (*reader)->next(entry);
    if (more.has_error()) return more.error();
    if (!*more) return {};
    const auto type = static_cast<wal::RecordType>(entry.type);
    if (type == wal::RecordType::session_started) {
      Result<wal::ControlRecord> record = wal::decode_control(type, entry.payload);
      if (record.has_error()) return record.error();
      config = std::move(std::get<wal::SessionStarted>(*record).config_text);
    }
    if (stretches_.empty() || stretches_.back().config_text != config) {
      stretches_.push_back({entry.sequence, entry.sequence, config});
    }
    stretches_.back().to = entry.sequence;
  }
}

Result<bool> History::go_back_to_the_beginning() {
  if (log_->state().first_sequence != 1) return false;
  checkpoint_.reset();
  if (Result<> scanned = scan(); scanned.has_error()) return scanned.error();
  return true;
}

Result<> History::reload() {
  if (Result<> loaded = load_checkpoint(); loaded.has_error()) return loaded;
  return scan();
}

Result<std::unique_ptr<Tail>> History::tail(std::shared_ptr<const Plan> plan,
                                            const Stretch& stretch) {
  return Tail::open(files_, wal_, std::move(plan), stretch.from, stretch.to);
}

Result<std::uint64_t> History::save(const CheckpointParts& parts) {
  failpoint("checkpoint.before_save");
  if (Result<> saved = checkpoints_->save(parts, log_id()); saved.has_error()) {
    return saved.error();
  }
  failpoint("checkpoint.after_save");
  return checkpoints_->oldest_position();
}

}  // namespace streamobs::app

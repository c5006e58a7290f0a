#include "app/recovery.h"

#include <algorithm>
#include <limits>
#include <random>
#include <utility>

#include <fmt/format.h>

#include "base/crc32c.h"
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

/// The batch in the place of one that is set aside: every event it took is refused.
void refuse_all(std::uint64_t position, const wal::BatchHead& head, const BlockOrigin& origin,
                const StreamSchema& schema, EventBatch& batch) {
  batch.schema = &schema;
  batch.origin = origin;
  batch.events = head.events;
  batch.columns.resize(schema.fields.size());
  for (std::size_t i = 0; i < schema.fields.size(); ++i) {
    batch.columns[i].type = schema.fields[i].type;
  }
  const std::uint64_t kept = std::min<std::uint64_t>(head.rows, EventBatch::kMaxDeadLetters);
  for (std::uint64_t i = 0; i < kept; ++i) {
    DeadLetter letter;
    letter.stream = schema.stream;
    letter.reason = reason::set_aside;
    letter.detail = fmt::format(
        "record {} of the log brought the process down each time it was replayed; it is kept in "
        "set-aside/record-{}.batch of the data directory",
        position, position);
    letter.event_index = static_cast<std::uint32_t>(i);
    letter.position = position_of(origin, letter.event_index, i);
    letter.received_at = origin.received_at;
    batch.dead_letters.push_back(std::move(letter));
  }
  if (head.rows > kept) batch.refused_unkept[std::string(reason::set_aside)] = head.rows - kept;
  batch.refused = head.rows;
}

}  // namespace

std::string part::deduplication(const std::string& stream) {
  return "deduplication/" + stream;
}

std::string part::templates(const std::string& stream) {
  return "templates/" + stream;
}
std::string part::join(const std::string& join) {
  return "join/" + join;
}

std::string part::windows(const std::string& stream) {
  return "windows/" + stream;
}

const std::string* find_part(const CheckpointParts& checkpoint, const std::string& name) {
  const auto found = checkpoint.parts.find(name);
  return found == checkpoint.parts.end() ? nullptr : &found->second;
}

std::optional<std::string_view> find_text(const CheckpointParts& checkpoint,
                                          const std::string& name) {
  const std::string* const part = find_part(checkpoint, name);
  return part == nullptr ? std::nullopt : std::optional<std::string_view>(*part);
}

Tail::Tail(std::unique_ptr<wal::LogReader> reader, std::shared_ptr<const Plan> plan,
           std::uint64_t from, std::uint64_t to, std::set<std::uint64_t> set_aside)
    : reader_(std::move(reader)),
      plan_(std::move(plan)),
      from_(from),
      to_(to),
      set_aside_(std::move(set_aside)) {}

Result<std::unique_ptr<Tail>> Tail::open(FileSystem& files, const std::string& directory,
                                         std::shared_ptr<const Plan> plan, std::uint64_t from,
                                         std::uint64_t to, std::set<std::uint64_t> set_aside) {
  wal::LogReaderOptions options;
  options.from_sequence = from;
  options.to_sequence = to;
  options.live = true;
  Result<std::unique_ptr<wal::LogReader>> reader = wal::LogReader::open(files, directory, options);
  if (reader.has_error()) return reader.error();
  return std::unique_ptr<Tail>(
      new Tail(std::move(*reader), std::move(plan), from, to, std::move(set_aside)));
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
  if (type == wal::RecordType::range_proposed) {
    replayed.record = ProposedPayload{std::string(entry.payload)};
    return replayed;
  }
  if (type != wal::RecordType::batch) {
    Result<wal::ControlRecord> record = wal::decode_control(type, entry.payload);
    if (record.has_error()) return record.error();
    replayed.record = std::move(*record);
    return replayed;
  }
  Result<wal::EventBatchPtr> batch = decode_batch(entry);
  if (batch.has_error()) return batch.error();
  replayed.record = std::move(*batch);
  return replayed;
}

Result<wal::EventBatchPtr> Tail::decode_batch(const wal::LogEntry& entry) {
  const Result<wal::BatchHead> head = wal::read_batch_head(entry.payload);
  if (head.has_error()) return head.error();
  if (head->stream_id >= plan_->streams.size()) {
    return fail(ErrorCode::corrupt,
                fmt::format("record {} of the log is of a stream that its config does not have",
                            entry.sequence));
  }
  auto batch = std::make_unique<EventBatch>();
  const StreamSchema& schema = plan_->streams[head->stream_id].decode->schema;
  if (set_aside_.contains(entry.sequence)) {
    const Result<BlockOrigin> origin = wal::read_batch_origin(entry.payload);
    if (origin.has_error()) return origin.error();
    refuse_all(entry.sequence, *head, *origin, schema, *batch);
    return batch;
  }
  failpoint("recovery.decode", entry.sequence);
  if (Result<> decoded = decoder_.decode(entry.payload, schema, *batch); decoded.has_error()) {
    return fail(decoded.error().code,
                fmt::format("record {} of the log, a batch of stream {}: {}", entry.sequence,
                            schema.stream, decoded.error().message));
  }
  return batch;
}

Result<std::unique_ptr<History>> History::open(FileSystem& files, const Clock& clock,
                                               const std::string& data_dir,
                                               const wal::WalOptions& options) {
  std::unique_ptr<History> history(new History(files, data_dir));
  Result<wal::CheckpointStore> checkpoints =
      wal::CheckpointStore::open(files, data_dir + "/checkpoint");
  if (checkpoints.has_error()) return checkpoints.error();
  history->checkpoints_.emplace(std::move(*checkpoints));
  wal::LogOpenOptions open_options;
  open_options.new_log_id = draw_log_id();
  open_options.known_durable = history->checkpoints_->newest_position();
  // With a checkpoint the log itself refuses to be begun.
  if (open_options.known_durable == 0) {
    if (Result<> may = may_begin_log(files, data_dir); may.has_error()) return may.error();
  }
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
  return history;
}

Result<GoingOn> History::go_on_for(const store::LogPosition& database, const Clock& clock) {
  if (Result<> loaded = load_checkpoint(database.applied); loaded.has_error()) {
    return loaded.error();
  }
  wal::LogState log = log_->state();
  log.next_sequence = log_->next_sequence();  // A batch may have been set aside since.
  const std::uint64_t reached = checkpoint_ ? checkpoint_->position : 0;
  const Result<GoingOn> going_on = judge_coherence(database, data_dir_, log, reached);
  if (going_on.has_error()) return going_on;
  if (*going_on == GoingOn::from_the_beginning) checkpoint_.reset();
  if (*going_on == GoingOn::from_the_checkpoint && checkpoints_->newest_position() > reached &&
      database.applied < checkpoints_->newest_position()) {
    log::warn(
        "the database is older than the newest checkpoint: an earlier one is taken, and more "
        "of the log is replayed",
        {{"has_up_to", database.applied},
         {"newest", checkpoints_->newest_position()},
         {"taken", reached}});
  }
  if (Result<> scanned = scan(); scanned.has_error()) return scanned.error();
  if (Result<> dealt = set_suspect_aside(clock); dealt.has_error()) return dealt.error();
  return going_on;
}

/// A batch that has brought the process down often enough is not replayed any more: a record says
/// so, for this start and all others.
Result<> History::set_suspect_aside(const Clock& clock) {
  const std::optional<ReplayWatch::Doubt> doubt = watch_.doubt();
  if (!doubt || doubt->from != doubt->to || doubt->tries < ReplayWatch::kTries) return {};
  const std::uint64_t position = doubt->from;
  const bool behind = checkpoint_ && position <= checkpoint_->position;
  if (behind || position >= log_->next_sequence()) return {};  // Of another time.
  wal::LogReaderOptions options;
  options.from_sequence = position;
  options.to_sequence = position;
  options.live = true;
  Result<std::unique_ptr<wal::LogReader>> reader = wal::LogReader::open(files_, wal_, options);
  if (reader.has_error()) return reader.error();
  wal::LogEntry entry;
  const Result<bool> there = (*reader)->next(entry);
  if (there.has_error()) return there.error();
  const auto type = static_cast<wal::RecordType>(entry.type);
  if (!*there || type != wal::RecordType::batch || set_aside_.contains(position)) {
    log::error(
        "a record brings the process down each time it is replayed, and is no batch that could be "
        "set aside. Nothing is lost: it is all in the log. Please report it, with a backup of the "
        "data directory; another version may get past it",
        {{"record", position}, {"type", wal::to_text(type)}, {"tries", doubt->tries}});
    return {};
  }
  watch_.forget_doubt();
  const Result<std::string> kept = keep_aside(entry);
  if (kept.has_error()) return kept.error();

  std::string payload;
  const wal::ControlRecord decision = wal::SetAside{clock.now(), position, doubt->tries};
  wal::encode(decision, payload);
  const std::string_view piece = payload;
  wal::LogRecord record;
  record.type = static_cast<std::uint8_t>(wal::type_of(decision));
  record.sequence = log_->next_sequence();
  record.payload_crc = crc32c(payload);
  record.payload = {&piece, 1};
  if (Result<> room = log_->reserve(wal::bytes_in_log(payload.size())); room.has_error()) {
    return room;
  }
  if (Result<> appended = log_->append({&record, 1}); appended.has_error()) return appended;
  if (Result<> synced = log_->sync(); synced.has_error()) return synced;
  log::error(
      "a batch has brought the process down each time it was replayed, and is set aside: its "
      "events are not counted, they stand among the dead letters as set_aside. Please report it, "
      "with the file",
      {{"record", position}, {"tries", doubt->tries}, {"file", *kept}});
  return scan();
}

/// The log will not hold it for ever.
Result<std::string> History::keep_aside(const wal::LogEntry& entry) {
  const std::string directory = data_dir_ + "/set-aside";
  const std::string path = fmt::format("{}/record-{}.batch", directory, entry.sequence);
  const std::string growing = path + ".tmp";
  if (Result<> made = files_.make_directory(directory); made.has_error()) return made.error();
  Result<std::unique_ptr<File>> file = files_.create(growing);
  if (file.has_error()) return file.error();
  if (Result<> written = (*file)->write_at(0, entry.payload); written.has_error()) {
    return written.error();
  }
  if (Result<> synced = (*file)->sync_data(); synced.has_error()) return synced.error();
  if (Result<> named = files_.rename(growing, path); named.has_error()) return named.error();
  if (Result<> synced = files_.sync_directory(directory); synced.has_error()) {
    return synced.error();
  }
  return path;
}

Result<> History::load_checkpoint(std::uint64_t applied) {
  Result<std::optional<wal::LoadedCheckpoint>> found =
      find_checkpoint(*checkpoints_, applied, log_->state(), wal_);
  if (found.has_error()) return found.error();
  for (const std::string& reason : checkpoints_->passed_over()) {
    log::warn(found->has_value()
                  ? "a checkpoint cannot be used; another one is, and the log behind it"
                  : "no checkpoint can be used; all of the log is replayed",
              {{"reason", reason}});
  }
  checkpoint_.reset();
  if (found->has_value()) checkpoint_ = std::move((*found)->state);
  return {};
}

Result<> History::scan() {
  stretches_.clear();
  set_aside_.clear();
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
    if (type == wal::RecordType::set_aside) {
      const Result<wal::ControlRecord> record = wal::decode_control(type, entry.payload);
      if (record.has_error()) return record.error();
      set_aside_.insert(std::get<wal::SetAside>(*record).sequence);
    }
    if (stretches_.empty() || stretches_.back().config_text != config) {
      stretches_.push_back({entry.sequence, entry.sequence, config});
    }
    stretches_.back().to = entry.sequence;
  }
}

Result<> History::reload() {
  constexpr std::uint64_t newest = std::numeric_limits<std::uint64_t>::max();
  if (Result<> loaded = load_checkpoint(newest); loaded.has_error()) return loaded;
  return scan();
}

Result<std::unique_ptr<Tail>> History::tail(std::shared_ptr<const Plan> plan,
                                            const Stretch& stretch) {
  return Tail::open(files_, wal_, std::move(plan), stretch.from, stretch.to, set_aside_);
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

#include "wal/log.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <numeric>

#include <fmt/format.h>

#include "wal/log_recovery.h"
#include "wal/pace.h"
#include "wal/segment_sealer.h"

namespace streamobs::wal {

namespace {

constexpr std::string_view kSpareName = "next.tmp";
/// How much of a prepared segment is written and synced at once: a commit may have to wait for it.
constexpr std::uint64_t kPrepareBytes = std::uint64_t{256} << 10;
constexpr std::array<char, kFrameAlignment> kZeros{};

std::uint64_t payload_bytes(const LogRecord& record) {
  return std::accumulate(
      record.payload.begin(), record.payload.end(), std::uint64_t{0},
      [](std::uint64_t sum, std::string_view piece) { return sum + piece.size(); });
}

std::uint64_t ns_since(std::chrono::steady_clock::time_point begin) {
  return static_cast<std::uint64_t>(
      std::chrono::nanoseconds(std::chrono::steady_clock::now() - begin).count());
}

/// A new log beside what belongs to another would hide that the other is missing.
Result<> may_begin(const std::string& directory, const LogOpenOptions& open_options) {
  if (open_options.expected_log_id == 0 && open_options.known_durable == 0) return {};
  const std::string of = open_options.expected_log_id == 0
                             ? std::string()
                             : fmt::format(" of log {:016x}", open_options.expected_log_id);
  return fail(ErrorCode::corrupt,
              fmt::format("{} holds no log, but checkpoint or database have got to record {}{}: "
                          "put the log back, or start with an empty data directory",
                          directory, open_options.known_durable, of));
}

void note_ends(const std::vector<SegmentFile>& segments, const RecoveredTail& tail,
               LogState& state) {
  state.log_id = segments.back().header.log_id;
  state.first_sequence = segments.front().header.first_sequence;
  state.next_sequence = tail.next_sequence;
  state.rewritten_bytes = tail.rewritten_bytes;
  state.torn = tail.torn;
}

}  // namespace

Log::Log(FileSystem& files, const Clock& clock, std::string directory, const WalOptions& options)
    : files_(files), clock_(clock), directory_(std::move(directory)), options_(options) {}

Log::~Log() {
  drop(spare_);
  drop(prepared_);
}

/// Gives space back; if that fails, the next start does it.
void Log::drop(Spare& spare) {
  if (spare.file == nullptr) return;
  spare.file.reset();
  (void)files_.remove(spare.path);
  spare = {};
}

// --- Opening

Result<std::unique_ptr<Log>> Log::open(FileSystem& files, const Clock& clock, std::string directory,
                                       const WalOptions& options,
                                       const LogOpenOptions& open_options) {
  std::unique_ptr<Log> log(new Log(files, clock, std::move(directory), options));
  // Before anything is made: what is refused leaves no trace.
  const auto there = list_segments(files, log->directory_);
  if (!there) return there.error();
  if (there->empty()) {
    if (auto allowed = may_begin(log->directory_, open_options); !allowed) return allowed.error();
  }
  if (auto made = files.make_directory(log->directory_); !made) return made.error();
  if (auto removed = remove_unfinished(files, log->directory_); !removed) return removed.error();
  auto segments = read_segments(files, log->directory_, open_options.expected_log_id);
  if (!segments) return segments.error();
  const auto ready = segments->empty() ? log->create(open_options)
                                       : log->recover(*std::move(segments), open_options);
  if (!ready) return ready.error();
  return log;
}

Result<LogState> Log::look(FileSystem& files, const std::string& directory,
                           const LogOpenOptions& open_options) {
  const auto segments = read_segments(files, directory, open_options.expected_log_id);
  if (!segments) return segments.error();
  LogState state;
  if (segments->empty()) {
    if (auto allowed = may_begin(directory, open_options); !allowed) return allowed.error();
    state.created = true;
    return state;
  }
  auto tail = look_at_tail(files, directory, segments->back(), open_options.known_durable);
  if (!tail) return tail.error();
  note_ends(*segments, *tail, state);
  return state;
}

Result<> Log::create(const LogOpenOptions& open_options) {
  state_.log_id = open_options.new_log_id;
  state_.created = true;
  // At once, so that a log id which others have noted is also to be found in the log.
  if (auto reserved = reserve(0); !reserved) return reserved;
  return roll();
}

Result<> Log::recover(std::vector<SegmentFile> segments, const LogOpenOptions& open_options) {
  const auto tail = recover_tail(files_, directory_, segments.back(), open_options.known_durable);
  if (!tail) return tail.error();
  if (auto removed = remove_empty(files_, directory_, segments); !removed) return removed;
  for (const SegmentFile& file : segments) {
    const auto bytes = files_.file_size(directory_ + "/" + name_of(file));
    if (!bytes) return bytes.error();
    segments_.push_back({file, *bytes, false});
  }
  note_ends(segments, *tail, state_);
  next_sequence_ = tail->next_sequence;
  durable_sequence_ = tail->next_sequence - 1;
  return {};
}

// --- Writing

Result<> Log::reserve(std::uint64_t bytes) {
  if (auto why = poisoned()) return *why;
  const std::uint64_t needed = kSegmentHeaderBytes + bytes;
  take_prepared(needed);
  if (active_.file != nullptr && writer_.offset() + bytes <= active_.capacity) return {};
  // Whatever does not find room in the active segment does in the next one.
  if (spare_.file != nullptr && spare_.capacity >= needed) return {};
  return allocate_spare(std::max(options_.segment_bytes, needed));
}

Result<> Log::allocate_spare(std::uint64_t capacity) {
  const auto allocate = [&]() -> Result<> {
    if (spare_.file == nullptr) {
      spare_.path = fmt::format("{}/{}", directory_, kSpareName);
      auto file = files_.create(spare_.path);
      if (!file) return file.error();
      spare_.file = *std::move(file);
    }
    return spare_.file->allocate(capacity);
  };
  const auto allocated = allocate();
  if (allocated) {
    spare_.capacity = capacity;
    return {};
  }
  drop(spare_);
  if (allocated.error().code != ErrorCode::no_space) return poison(allocated.error());
  return allocated;
}

/// What maintenance has prepared becomes the spare space, if it has `capacity`.
void Log::take_prepared(std::uint64_t capacity) {
  if (spare_.file != nullptr && spare_.written) return;
  Spare prepared;
  {
    const std::lock_guard lock(mutex_);
    if (prepared_.file == nullptr || prepared_.capacity < capacity) return;
    prepared = std::exchange(prepared_, {});
  }
  drop(spare_);
  spare_ = std::move(prepared);
}

Result<> Log::append(std::span<const LogRecord> records) {
  if (auto why = poisoned()) return *why;
  if (records.empty()) return {};
  std::uint64_t expected = next_sequence();
  std::uint64_t total = 0;
  for (const LogRecord& record : records) {
    const std::uint64_t bytes = payload_bytes(record);
    if (record.sequence != expected || record.type == 0) {
      return fail(ErrorCode::internal, fmt::format("record {} of type {} given to the log where {} "
                                                   "has to be",
                                                   record.sequence, record.type, expected));
    }
    if (bytes > kPayloadBytesMax) {
      return fail(ErrorCode::too_large,
                  fmt::format("a log record of {} bytes; the most is {}", bytes, kPayloadBytesMax));
    }
    ++expected;
    total += frame_bytes(bytes);
  }
  if (auto reserved = reserve(total); !reserved) return reserved;
  // Better space is there now than what the segment was begun in.
  if (spare_.written && active_.file != nullptr && !active_.written) {
    if (auto rolled = roll(); !rolled) return rolled;
  }
  while (!records.empty()) {
    std::uint64_t end = writer_.offset();
    std::size_t count = 0;
    for (; count < records.size(); ++count) {
      const std::uint64_t bytes = frame_bytes(payload_bytes(records[count]));
      if (end + bytes > active_.capacity) break;
      end += bytes;
    }
    if (count > 0) {
      if (auto written = write_frames(records.first(count)); !written) return written;
      records = records.subspan(count);
    } else if (auto rolled = roll(); !rolled) {
      return rolled;
    }
  }
  return {};
}

Result<> Log::write_frames(std::span<const LogRecord> records) {
  headers_.resize(records.size() * kFrameHeaderBytes);
  pieces_.clear();
  const std::uint64_t durable = durable_sequence();
  const std::uint64_t begin = writer_.offset();
  std::uint64_t payload_total = 0;
  for (std::size_t i = 0; i < records.size(); ++i) {
    const LogRecord& record = records[i];
    const std::uint64_t bytes = payload_bytes(record);
    char* header = headers_.data() + i * kFrameHeaderBytes;
    encode(FrameHeader{record.type, static_cast<std::uint32_t>(bytes), record.payload_crc,
                       record.sequence, durable},
           active_.origin, header);
    pieces_.emplace_back(header, kFrameHeaderBytes);
    pieces_.insert(pieces_.end(), record.payload.begin(), record.payload.end());
    const std::uint64_t padding = frame_bytes(bytes) - kFrameHeaderBytes - bytes;
    if (padding > 0) pieces_.emplace_back(kZeros.data(), padding);
    payload_total += bytes;
  }
  if (auto written = writer_.append(*active_.file, pieces_, active_.capacity); !written) {
    return poison(written.error());
  }
  const std::lock_guard lock(mutex_);
  stats_.records += records.size();
  stats_.payload_bytes += payload_total;
  stats_.bytes += writer_.offset() - begin;
  next_sequence_ = records.back().sequence + 1;
  const bool half_full = writer_.offset() > active_.capacity / 2;
  prepare_due_ = !spare_.written && (!active_.written || half_full);
  return {};
}

Result<> Log::sync() {
  if (auto why = poisoned()) return *why;
  const std::uint64_t appended = next_sequence() - 1;
  if (durable_sequence() == appended) return {};
  const auto begin = std::chrono::steady_clock::now();
  if (auto synced = active_.file->sync_data(); !synced) return poison(synced.error());
  const std::uint64_t ns = ns_since(begin);
  const std::lock_guard lock(mutex_);
  durable_sequence_ = appended;
  ++stats_.syncs;
  stats_.sync_ns_total += ns;
  stats_.sync_ns_max = std::max(stats_.sync_ns_max, ns);
  const auto& bounds = LogStats::kSyncBoundsNs;
  const auto bucket = std::upper_bound(bounds.begin(), bounds.end(), ns) - bounds.begin();
  ++stats_.sync_buckets[static_cast<std::size_t>(bucket)];
  return {};
}

/// Ends the active segment and begins one in the spare space, which reserve() has prepared.
Result<> Log::roll() {
  // A segment that exists says that all records before its first one are durable.
  if (auto synced = sync(); !synced) return synced;
  const std::uint64_t full_bytes = writer_.offset();
  auto begun = begin_segment();
  if (!begun) return poison(begun.error());
  const Active full = std::exchange(active_, Active{std::move(spare_.file), begun->header.origin,
                                                    spare_.capacity, spare_.written});
  spare_ = {};
  // Giving back space that was never used may fail: it comes back when the segment goes.
  if (full.file != nullptr) (void)full.file->truncate(full_bytes);

  std::optional<SegmentFile> empty;
  {
    const std::lock_guard lock(mutex_);
    ++stats_.segments_rolled;
    if (!segments_.empty()) {
      Segment& before = segments_.back();
      if (full.file != nullptr) before.bytes = full_bytes;
      if (before.file.header.first_sequence == next_sequence_) {
        empty = before.file;
        segments_.pop_back();
      }
    }
    segments_.push_back({*std::move(begun), active_.capacity, false});
  }
  if (!empty) return {};
  if (auto removed = remove_segment(files_, directory_, *empty); !removed) {
    return poison(removed.error());
  }
  return {};
}

/// Writes the header of the next segment to the spare space and gives it its name, durably.
Result<SegmentFile> Log::begin_segment() {
  SegmentFile segment;
  SegmentHeader& header = segment.header;
  {
    const std::lock_guard lock(mutex_);
    header.number = segments_.empty() ? 1 : segments_.back().file.number + 1;
    header.first_sequence = next_sequence_;
  }
  header.log_id = state_.log_id;
  header.created_at = clock_.now();
  header.origin = origin_of(header.log_id, header.number);
  segment.number = header.number;
  segment.raw = true;

  std::array<char, kSegmentHeaderBytes> bytes{};
  encode(header, bytes.data());
  auto written = spare_.file->write_at(0, std::string_view(bytes.data(), bytes.size()));
  if (!written) return written.error();
  writer_.begin(std::string_view(bytes.data(), bytes.size()));
  if (auto synced = spare_.file->sync_data(); !synced) return synced.error();
  auto renamed = files_.rename(spare_.path, directory_ + "/" + raw_name(header.number));
  if (!renamed) return renamed.error();
  if (auto synced = files_.sync_directory(directory_); !synced) return synced.error();
  return segment;
}

Error Log::poison(const Error& error) {
  const std::lock_guard lock(mutex_);
  if (!poison_) {
    // A disk that is full in spite of what was reserved is as bad as any other failed write.
    poison_ = fail(ErrorCode::io,
                   error.message + "; the log takes no more records, restart to recover from it");
  }
  return *poison_;
}

// --- Maintaining

Result<bool> Log::prepare_next() {
  const std::lock_guard maintaining(maintaining_);
  {
    const std::lock_guard lock(mutex_);
    if (!prepare_due_ || prepared_.file != nullptr || poison_) return false;
  }
  Spare prepared;
  // A name of its own: the one before may be waiting to be used.
  prepared.path = fmt::format("{}/prepared-{}.tmp", directory_, ++prepared_count_);
  prepared.capacity = options_.segment_bytes;
  prepared.written = true;
  const auto prepare = [&]() -> Result<> {
    auto file = files_.create(prepared.path);
    if (!file) return file.error();
    prepared.file = *std::move(file);
    // First of all, so that a full disk is noticed before it is filled to the last byte.
    if (auto allocated = prepared.file->allocate(prepared.capacity); !allocated) return allocated;
    Pace pace(maintenance_ended_);
    for (std::uint64_t at = 0; at < prepared.capacity && pace.go_on(); at += kPrepareBytes) {
      const auto length = std::min(kPrepareBytes, prepared.capacity - at);
      if (auto written = prepared.file->write_zeros(at, length); !written) return written;
      if (auto synced = prepared.file->sync_data(); !synced) return synced;
    }
    return {};
  };
  const auto done = prepare();
  if (!done || maintenance_ended_) {
    drop(prepared);
    if (!done) return done.error();
    return false;
  }
  const std::lock_guard lock(mutex_);
  prepared_ = std::move(prepared);
  prepare_due_ = false;
  return true;
}

Result<bool> Log::seal_next() {
  const std::lock_guard maintaining(maintaining_);
  std::uint64_t number = 0;
  std::uint64_t end_sequence = 0;
  {
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i + 1 < segments_.size() && number == 0; ++i) {
      if (!segments_[i].file.raw || segments_[i].seal_failed) continue;
      number = segments_[i].file.number;
      end_sequence = segments_[i + 1].file.header.first_sequence;
    }
  }
  if (number == 0) return false;
  Pace pace(maintenance_ended_);
  const auto sealed = seal_segment(files_, directory_, number, end_sequence, pace);
  if (!sealed && sealed.error().code == ErrorCode::unavailable) return false;

  const std::lock_guard lock(mutex_);
  // Only this thread removes segments that are not empty: it is still there.
  const auto segment = std::find_if(segments_.begin(), segments_.end(),
                                    [number](const Segment& s) { return s.file.number == number; });
  if (!sealed) {
    if (sealed.error().code == ErrorCode::no_space) return sealed.error();
    segment->seal_failed = true;
    ++stats_.seal_failures;
    return sealed.error();
  }
  segment->file.raw = false;
  segment->file.sealed = true;
  segment->bytes = sealed->sealed_bytes;
  ++stats_.segments_sealed;
  stats_.sealed_bytes_raw += sealed->raw_bytes;
  stats_.sealed_bytes += sealed->sealed_bytes;
  return true;
}

/// With mutex_ held.
bool Log::may_remove_first(std::uint64_t up_to_sequence) const {
  if (segments_.size() < 2) return false;
  const SegmentHeader& next = segments_[1].file.header;
  if (next.first_sequence > up_to_sequence + 1) return false;
  if (options_.keep_age == 0 && options_.keep_bytes == 0) return true;
  if (options_.keep_age != 0 && clock_.now() - next.created_at >= options_.keep_age) return true;
  if (options_.keep_bytes == 0) return false;
  std::uint64_t kept = 0;
  for (std::size_t i = 0; i + 1 < segments_.size(); ++i) {
    if (segments_[i + 1].file.header.first_sequence <= up_to_sequence + 1) {
      kept += segments_[i].bytes;
    }
  }
  return kept > options_.keep_bytes;
}

Result<std::uint64_t> Log::trim(std::uint64_t up_to_sequence) {
  const std::lock_guard maintaining(maintaining_);
  std::uint64_t removed = 0;
  for (;; ++removed) {
    SegmentFile first;
    {
      const std::lock_guard lock(mutex_);
      if (!may_remove_first(up_to_sequence)) return removed;
      first = segments_.front().file;
    }
    // One by one, each durably: a gap in the middle would be damage.
    if (auto gone = remove_segment(files_, directory_, first); !gone) return gone.error();
    const std::lock_guard lock(mutex_);
    segments_.erase(segments_.begin());
    ++stats_.segments_trimmed;
  }
}

// --- Asking

std::uint64_t Log::next_sequence() const {
  const std::lock_guard lock(mutex_);
  return next_sequence_;
}

std::uint64_t Log::durable_sequence() const {
  const std::lock_guard lock(mutex_);
  return durable_sequence_;
}

std::uint64_t Log::first_sequence() const {
  const std::lock_guard lock(mutex_);
  return segments_.empty() ? next_sequence_ : segments_.front().file.header.first_sequence;
}

std::optional<Error> Log::poisoned() const {
  const std::lock_guard lock(mutex_);
  return poison_;
}

LogStats Log::stats() const {
  const std::lock_guard lock(mutex_);
  LogStats stats = stats_;
  stats.segments = segments_.size();
  for (const Segment& segment : segments_) stats.disk_bytes += segment.bytes;
  stats.first_sequence =
      segments_.empty() ? next_sequence_ : segments_.front().file.header.first_sequence;
  stats.appended_sequence = next_sequence_ - 1;
  stats.durable_sequence = durable_sequence_;
  return stats;
}

}  // namespace streamobs::wal

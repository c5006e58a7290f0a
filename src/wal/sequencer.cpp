#include "wal/sequencer.h"

#include <algorithm>
#include <cassert>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "base/bytes.h"

namespace streamobs::wal {

namespace {

constexpr std::uint8_t kSnapshotVersion = 1;

void put_place(std::string& out, const ResumePoint& place) {
  put_text(out, place.file);
  put_varint(out, place.device);
  put_varint(out, place.inode);
  put_varint(out, place.offset);
  put_varint(out, place.lines);
  put_u64(out, place.head_digest);
}

ResumePoint read_place(ByteReader& in) {
  ResumePoint place;
  place.file = in.text();
  place.device = in.varint();
  place.inode = in.varint();
  place.offset = in.varint();
  place.lines = in.varint();
  place.head_digest = in.u64();
  return place;
}

/// Which step of the grid a watermark stands in; windows close where this changes.
std::int64_t step_of(const CloseGrid& grid, Timestamp watermark) {
  // Far below every real time the subtraction would overflow; all of that is one step.
  if (watermark < kMinTimestamp + grid.lateness) return std::numeric_limits<std::int64_t>::min();
  const Timestamp t = watermark - grid.lateness;
  return t / grid.step - (t % grid.step < 0 ? 1 : 0);
}

}  // namespace

Sequencer::Sequencer(std::vector<StreamTiming> streams) {
  for (StreamTiming& timing : streams) {
    Stream stream;
    stream.timing = std::move(timing);
    streams_.push_back(std::move(stream));
  }
}

void Sequencer::add_source(std::uint32_t source_id, std::string name, std::uint32_t stream_id,
                           bool expected) {
  if (partitions_.size() <= source_id) partitions_.resize(source_id + 1);
  Partition& partition = partitions_[source_id];
  partition.name = std::move(name);
  partition.stream_id = stream_id;
  partition.expected = expected;
  partition.activity = expected ? Activity::active : Activity::unseen;
  streams_[stream_id].sources.push_back(source_id);
}

void Sequencer::admit(EventBatchPtr batch, Timestamp now, std::vector<Sequenced>& out) {
  const std::uint32_t source_id = batch->origin.source_id;
  Partition& partition = partitions_[source_id];
  const std::uint64_t number = batch->origin.number;
  if (number == 0) {  // Order of arrival decides: HTTP.
    sequence(partition, std::move(batch), out);
    return;
  }
  if (number != partition.resume.next_block) {
    assert(number > partition.resume.next_block);
    partition.waiting.emplace(number, std::move(batch));
    return;
  }
  sequence(partition, std::move(batch), out);
  while (!partition.waiting.empty() &&
         partition.waiting.begin()->first == partition.resume.next_block) {
    EventBatchPtr next = std::move(partition.waiting.begin()->second);
    partition.waiting.erase(partition.waiting.begin());
    sequence(partition, std::move(next), out);
  }
  finish(source_id, now, out);
}

void Sequencer::sequence(Partition& partition, EventBatchPtr batch, std::vector<Sequenced>& out) {
  const std::uint32_t stream_id = partition.stream_id;
  Stream& stream = streams_[stream_id];
  // What had to be refused altogether says nothing about time.
  if (batch->rows != 0) partition.activity = Activity::active;
  partition.silent_for = 0;

  const Timestamp others = least_active(stream, &partition);
  batch->stamp.sequence = ++position_;
  batch->stamp.partition_time = partition.newest;
  batch->stamp.others_time = others;
  batch->stamp.floor_time = stream.watermark;

  partition.newest = std::max(partition.newest, batch->time_max);
  stream.newest = std::max(stream.newest, batch->time_max);
  if (batch->origin.number != 0) partition.resume.next_block = batch->origin.number + 1;
  if (!batch->origin.resume.file.empty()) partition.resume.remember(batch->origin.resume);
  out.push_back({position_, std::move(batch)});
  if (partition.activity == Activity::active) {
    raise(stream_id, std::min(others, partition.newest), out);
  }
}

void Sequencer::end_source(std::uint32_t source_id, std::uint64_t blocks, Timestamp now,
                           std::vector<Sequenced>& out) {
  Partition& partition = partitions_[source_id];
  partition.end_announced = true;
  partition.blocks_total = blocks;
  finish(source_id, now, out);
}

void Sequencer::finish(std::uint32_t source_id, Timestamp now, std::vector<Sequenced>& out) {
  const Partition& partition = partitions_[source_id];
  if (!partition.end_announced || partition.activity == Activity::ended) return;
  if (partition.resume.next_block != partition.blocks_total + 1) return;
  SourceEnded ended;
  ended.source_id = source_id;
  ended.blocks = partition.blocks_total;
  ended.at = now;
  out.push_back({++position_, ended});
  apply(ended, out);
}

void Sequencer::apply(const SourceEnded& ended, std::vector<Sequenced>& out) {
  Partition& partition = partitions_[ended.source_id];
  partition.activity = Activity::ended;
  const Stream& stream = streams_[partition.stream_id];
  if (any_active(stream)) {
    raise(partition.stream_id, least_active(stream, nullptr), out);
  } else if (stream.newest != kMinTimestamp) {
    // Bounded input has been read to its end: nothing more can come for what is open, but the
    // stream may go on with later events, so time moves just as far as closing needs, and not
    // beyond the wall clock where others may still send: the rest is left to silence.
    const Timestamp closing = stream.timing.closing_watermark(stream.newest);
    raise(partition.stream_id, stream.timing.may_go_on ? std::min(closing, ended.at) : closing,
          out);
  }
}

void Sequencer::tick(Timestamp now, const std::function<bool(std::uint32_t)>& busy,
                     std::vector<Sequenced>& out) {
  const Duration elapsed =
      ticked_at_ == kMinTimestamp ? 0 : std::clamp<Duration>(now - ticked_at_, 0, kLongestTick);
  ticked_at_ = now;
  for (std::uint32_t stream_id = 0; stream_id < streams_.size(); ++stream_id) {
    const Stream& stream = streams_[stream_id];
    Advanced advanced;
    advanced.stream_id = stream_id;
    advanced.at = now;
    bool all_idle = true;
    bool any_seen = false;
    Timestamp least = kMaxTimestamp;
    for (const std::uint32_t source_id : stream.sources) {
      Partition& partition = partitions_[source_id];
      if (partition.activity == Activity::unseen) continue;
      any_seen = true;
      const bool is_busy = busy(source_id) || !partition.waiting.empty();
      partition.silent_for = is_busy ? 0 : partition.silent_for + elapsed;
      if (partition.activity != Activity::active) continue;
      if (partition.silent_for >= stream.timing.idle_timeout) {
        advanced.idle_sources.push_back(source_id);
      } else {
        all_idle = false;
        least = std::min(least, partition.newest);
      }
    }
    if (any_seen && stream.newest != kMinTimestamp) {
      // With all of them silent only the wall clock is left to say that time has passed; it never
      // closes a window that could still be in its own time. It need not go on for ever, either:
      // once everything that has events is closed, nothing is left to decide.
      const Timestamp target =
          all_idle ? std::min(now, stream.timing.closing_watermark(stream.newest)) : least;
      if (target > stream.watermark && target != kMaxTimestamp) advanced.watermark = target;
    }
    // What does not matter to anyone is not a record: the wall clock would write one each tick.
    if (advanced.idle_sources.empty() && !crosses(stream, advanced.watermark)) continue;
    out.push_back({++position_, advanced});
    apply(advanced, out);
  }
}

void Sequencer::apply(const Advanced& advanced, std::vector<Sequenced>& out) {
  for (const std::uint32_t source_id : advanced.idle_sources) {
    partitions_[source_id].activity = Activity::idle;
  }
  raise(advanced.stream_id, advanced.watermark, out);
}

Result<> Sequencer::check_next(std::uint64_t position) const {
  if (position == position_ + 1) return {};
  return fail(ErrorCode::corrupt,
              fmt::format("the log has record {} where {} was expected", position, position_ + 1));
}

Result<> Sequencer::check_names(const ControlRecord& record) const {
  const auto no_source = [this](std::uint32_t id) { return id >= partitions_.size(); };
  bool good = true;
  if (const auto* ended = std::get_if<SourceEnded>(&record)) {
    good = !no_source(ended->source_id);
  } else if (const auto* advanced = std::get_if<Advanced>(&record)) {
    good = advanced->stream_id < streams_.size() &&
           std::none_of(advanced->idle_sources.begin(), advanced->idle_sources.end(), no_source);
  }
  if (good) return {};
  return fail(ErrorCode::corrupt,
              fmt::format("record {} of the log names a stream or source that its config does not "
                          "have",
                          position_ + 1));
}

Result<> Sequencer::replay(std::uint64_t position, EventBatchPtr batch,
                           std::vector<Sequenced>& out) {
  if (Result<> next = check_next(position); next.has_error()) return next;
  const std::uint32_t source_id = batch->origin.source_id;
  const bool known = source_id < partitions_.size() &&
                     partitions_[source_id].stream_id == batch->schema->stream_id;
  if (!known) {
    return fail(
        ErrorCode::corrupt,
        fmt::format("batch {} of the log is of a source that its config does not have", position));
  }
  sequence(partitions_[source_id], std::move(batch), out);
  return {};
}

Result<> Sequencer::replay(std::uint64_t position, const ControlRecord& record,
                           std::vector<Sequenced>& out) {
  if (Result<> next = check_next(position); next.has_error()) return next;
  if (Result<> names = check_names(record); names.has_error()) return names;
  ++position_;
  if (const auto* ended = std::get_if<SourceEnded>(&record)) {
    out.push_back({position_, *ended});
    apply(*ended, out);
  } else if (const auto* advanced = std::get_if<Advanced>(&record)) {
    out.push_back({position_, *advanced});
    apply(*advanced, out);
  } else if (const auto* session = std::get_if<SessionStarted>(&record)) {
    apply(*session);
  }
  return {};
}

/// Sources that a config did not have hold nothing back while it was in force; those that it
/// brought are waited for from here on. Nothing changes where there is one config only.
void Sequencer::apply(const SessionStarted& session) {
  for (Partition& partition : partitions_) {
    const std::string& stream = streams_[partition.stream_id].timing.name;
    const bool there = std::any_of(
        session.sources.begin(), session.sources.end(), [&](const SessionStarted::Source& source) {
          return source.name == partition.name && source.stream_id < session.streams.size() &&
                 session.streams[source.stream_id] == stream;
        });
    if (!there) {
      partition.activity = Activity::unseen;
    } else if (partition.expected && partition.activity == Activity::unseen) {
      partition.activity = Activity::active;
    }
  }
}

bool Sequencer::crosses(const Stream& stream, Timestamp watermark) {
  if (watermark == kMaxTimestamp || watermark <= stream.watermark) return false;
  return std::any_of(stream.timing.grids.begin(), stream.timing.grids.end(),
                     [&](const CloseGrid& grid) {
                       return step_of(grid, stream.watermark) != step_of(grid, watermark);
                     });
}

void Sequencer::raise(std::uint32_t stream_id, Timestamp watermark, std::vector<Sequenced>& out) {
  Stream& stream = streams_[stream_id];
  if (watermark == kMaxTimestamp || watermark <= stream.watermark) return;
  const bool closes = crosses(stream, watermark);
  stream.watermark = watermark;
  if (closes) out.push_back({position_, Mark{stream_id, position_, watermark}});
}

void Sequencer::snapshot(std::string& out) const {
  put_u8(out, kSnapshotVersion);
  put_u64(out, position_);
  put_varint(out, streams_.size());
  for (const Stream& stream : streams_) {
    put_text(out, stream.timing.name);
    put_signed(out, stream.watermark);
    put_signed(out, stream.newest);
  }
  put_varint(out, partitions_.size());
  for (const Partition& partition : partitions_) {
    put_text(out, partition.name);
    put_text(out, streams_[partition.stream_id].timing.name);
    put_u8(out, static_cast<std::uint8_t>(partition.activity));
    put_signed(out, partition.newest);
    put_varint(out, partition.resume.next_block);
    put_varint(out, partition.resume.forgotten);
    put_varint(out, partition.resume.places.size());
    for (const ResumePoint& place : partition.resume.places) put_place(out, place);
  }
}

Result<std::vector<std::string>> Sequencer::restore(std::string_view bytes) {
  const auto damaged = [] {
    return fail(ErrorCode::corrupt, "the sequencer's part of the checkpoint is damaged");
  };
  std::vector<std::string> lost;
  ByteReader in(bytes);
  if (in.u8() != kSnapshotVersion) return damaged();
  const std::uint64_t position = in.u64();
  for (std::size_t n = in.count(); n != 0 && in.ok(); --n) {
    const std::string_view name = in.text();
    const Timestamp watermark = in.signed_varint();
    const Timestamp newest = in.signed_varint();
    for (Stream& stream : streams_) {
      if (stream.timing.name != name) continue;
      stream.watermark = watermark;
      stream.newest = newest;
    }
  }
  for (std::size_t n = in.count(); n != 0 && in.ok(); --n) {
    const std::string_view name = in.text();
    const std::string_view stream = in.text();
    Partition read;
    const std::uint8_t activity = in.u8();
    if (activity > static_cast<std::uint8_t>(Activity::ended)) return damaged();
    read.activity = static_cast<Activity>(activity);
    read.newest = in.signed_varint();
    read.resume.next_block = in.varint();
    read.resume.forgotten = in.varint();
    for (std::size_t places = in.count(); places != 0 && in.ok(); --places) {
      read.resume.places.push_back(read_place(in));
    }
    bool taken = false;
    for (Partition& partition : partitions_) {
      if (partition.name != name || streams_[partition.stream_id].timing.name != stream) continue;
      partition.activity = read.activity;
      partition.newest = read.newest;
      taken = true;
      partition.resume = std::move(read.resume);
      break;
    }
    if (!taken && !read.resume.places.empty()) lost.emplace_back(name);
  }
  if (!in.ok() || !in.at_end()) return damaged();
  position_ = position;
  return lost;
}

Timestamp Sequencer::least_active(const Stream& stream, const Partition* except) const {
  Timestamp least = kMaxTimestamp;
  for (const std::uint32_t source_id : stream.sources) {
    const Partition& partition = partitions_[source_id];
    if (&partition == except || partition.activity != Activity::active) continue;
    least = std::min(least, partition.newest);
  }
  return least;
}

bool Sequencer::any_active(const Stream& stream) const {
  return std::any_of(stream.sources.begin(), stream.sources.end(), [this](std::uint32_t id) {
    return partitions_[id].activity == Activity::active;
  });
}

bool Sequencer::idle(std::uint32_t stream_id) const {
  return !any_active(streams_[stream_id]);
}

std::size_t Sequencer::waiting() const {
  std::size_t count = 0;
  for (const Partition& partition : partitions_) count += partition.waiting.size();
  return count;
}

}  // namespace streamobs::wal

#include "wal/sequencer.h"

#include <algorithm>
#include <cassert>
#include <limits>
#include <utility>

#include <fmt/format.h>

namespace streamobs::wal {

namespace {

/// Which step of the grid a watermark stands in; windows close where this changes.
std::int64_t step_of(const CloseGrid& grid, Timestamp watermark) {
  // Far below every real time the subtraction would overflow; all of that is one step.
  if (watermark < kMinTimestamp + grid.lateness) return std::numeric_limits<std::int64_t>::min();
  const Timestamp t = watermark - grid.lateness;
  return t / grid.step - (t % grid.step < 0 ? 1 : 0);
}

}  // namespace

bool crosses(const std::vector<CloseGrid>& grids, Timestamp from, Timestamp to) {
  if (to == kMaxTimestamp || to <= from) return false;
  return std::any_of(grids.begin(), grids.end(), [&](const CloseGrid& grid) {
    return step_of(grid, from) != step_of(grid, to);
  });
}

Sequencer::Sequencer(std::vector<StreamTiming> streams) {
  for (StreamTiming& timing : streams) {
    Stream stream;
    stream.timing = std::move(timing);
    streams_.push_back(std::move(stream));
  }
}

void Sequencer::add_source(std::uint32_t source_id, std::string name, std::uint32_t stream_id,
                           bool expected) {
  if (sources_.size() <= source_id) sources_.resize(source_id + 1);
  Source& source = sources_[source_id];
  source.name = std::move(name);
  source.stream_id = stream_id;
  source.expected = expected;
  source.partitions[0].activity = expected ? Activity::active : Activity::unseen;
  streams_[stream_id].sources.push_back(source_id);
}

void Sequencer::join(PartitionsJoined joined, std::vector<Sequenced>& out) {
  const std::uint32_t stream_id = sources_[joined.source_id].stream_id;
  apply(joined);
  out.push_back({++position_, std::move(joined)});
  tell(stream_id, out);
}

void Sequencer::apply(const PartitionsJoined& joined) {
  for (const auto& [number, place] : joined.partitions) {
    Partition& partition = sources_[joined.source_id].partitions[number];
    partition.activity = Activity::active;
    partition.silent_for = 0;
    partition.resume.remember(place);
  }
}

void Sequencer::leave(std::uint32_t source_id, const std::vector<std::uint32_t>& partitions,
                      Timestamp now, std::vector<Sequenced>& out) {
  Source& source = sources_[source_id];
  const Stream& stream = streams_[source.stream_id];
  Advanced left;
  left.at = now;
  left.stream_id = source.stream_id;
  for (const std::uint32_t number : partitions) {
    const auto known = source.partitions.find(number);
    if (known == source.partitions.end() || known->second.activity != Activity::active) continue;
    left.idle.push_back({source_id, number});
  }
  if (left.idle.empty()) return;
  std::sort(left.idle.begin(), left.idle.end());
  bool others = false;
  Timestamp least = kMaxTimestamp;
  for (const std::uint32_t other : stream.sources) {
    for (const auto& [number, partition] : sources_[other].partitions) {
      const PartitionId id{other, number};
      if (partition.activity != Activity::active ||
          std::binary_search(left.idle.begin(), left.idle.end(), id)) {
        continue;
      }
      others = true;
      least = std::min(least, partition.newest);
    }
  }
  if (!others) return;
  if (least > stream.watermark) left.watermark = least;
  out.push_back({++position_, left});
  apply(left, out);
}

void Sequencer::discard(RangeDiscarded range, std::vector<Sequenced>& out) {
  apply(range);
  out.push_back({++position_, range});
}

void Sequencer::apply(const RangeDiscarded& range) {
  Partition& partition = sources_[range.partition.source_id].partitions[range.partition.partition];
  partition.resume.next_block = std::max(partition.resume.next_block, range.number + 1);
}

void Sequencer::admit(EventBatchPtr batch, Timestamp now, std::vector<Sequenced>& out) {
  const std::uint32_t source_id = batch->origin.source_id;
  Source& source = sources_[source_id];
  assert(batch->origin.partition < BlockOrigin::kPartitionsMax);
  Partition& partition = source.partitions[batch->origin.partition];
  const std::uint64_t number = batch->origin.number;
  if (number == 0) {  // Order of arrival decides: HTTP.
    sequence(source.stream_id, partition, std::move(batch), out);
    return;
  }
  if (number != partition.resume.next_block) {
    assert(number > partition.resume.next_block);
    partition.waiting.emplace(number, std::move(batch));
    return;
  }
  sequence(source.stream_id, partition, std::move(batch), out);
  while (!partition.waiting.empty() &&
         partition.waiting.begin()->first == partition.resume.next_block) {
    EventBatchPtr next = std::move(partition.waiting.begin()->second);
    partition.waiting.erase(partition.waiting.begin());
    sequence(source.stream_id, partition, std::move(next), out);
  }
  finish(source_id, now, out);
}

void Sequencer::sequence(std::uint32_t stream_id, Partition& partition, EventBatchPtr batch,
                         std::vector<Sequenced>& out) {
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
  tell(stream_id, out);
}

void Sequencer::end_source(std::uint32_t source_id, std::uint64_t blocks, Timestamp now,
                           std::vector<Sequenced>& out) {
  Source& source = sources_[source_id];
  source.end_announced = true;
  source.blocks_total = blocks;
  finish(source_id, now, out);
}

void Sequencer::finish(std::uint32_t source_id, Timestamp now, std::vector<Sequenced>& out) {
  Source& source = sources_[source_id];
  if (!source.end_announced) return;
  std::uint64_t blocks = 0;
  for (const auto& [number, partition] : source.partitions) {
    blocks += partition.resume.next_block - 1;
  }
  if (blocks != source.blocks_total) return;
  source.end_announced = false;
  SourceEnded ended;
  ended.source_id = source_id;
  ended.blocks = blocks;
  ended.at = now;
  out.push_back({++position_, ended});
  apply(ended, out);
}

void Sequencer::apply(const SourceEnded& ended, std::vector<Sequenced>& out) {
  Source& source = sources_[ended.source_id];
  for (auto& [number, partition] : source.partitions) partition.activity = Activity::ended;
  const Stream& stream = streams_[source.stream_id];
  if (any_active(stream)) {
    raise(source.stream_id, least_active(stream, nullptr), out);
  } else if (stream.newest != kMinTimestamp) {
    // Bounded input has been read to its end: nothing more can come for what is open, but the
    // stream may go on with later events, so time moves just as far as closing needs, and not
    // beyond the wall clock where others may still send: the rest is left to silence.
    const StreamTiming& timing = stream.timing;
    const bool elsewhere = timing.ending_watermark != nullptr;
    const Timestamp closing =
        (elsewhere ? timing.ending_watermark : timing.closing_watermark)(stream.newest);
    raise(source.stream_id, timing.may_go_on ? std::min(closing, ended.at) : closing, out);
  }
  tell(source.stream_id, out);
}

void Sequencer::tick(Timestamp now, const std::function<bool(PartitionId)>& busy,
                     std::vector<Sequenced>& out) {
  const Duration elapsed =
      ticked_at_ == kMinTimestamp ? 0 : std::clamp<Duration>(now - ticked_at_, 0, kLongestTick);
  ticked_at_ = now;
  ticked_for_ += elapsed;
  for (std::uint32_t stream_id = 0; stream_id < streams_.size(); ++stream_id) {
    const Stream& stream = streams_[stream_id];
    if (!stream.timing.joins.empty()) {
      tick_join(stream_id, now, out);
      continue;
    }
    Advanced advanced;
    advanced.stream_id = stream_id;
    advanced.at = now;
    bool all_idle = true;
    bool any_seen = false;
    Timestamp least = kMaxTimestamp;
    for (const std::uint32_t source_id : stream.sources) {
      for (auto& [number, partition] : sources_[source_id].partitions) {
        if (partition.activity == Activity::unseen) continue;
        any_seen = true;
        const PartitionId id{source_id, number};
        const bool is_busy = busy(id) || !partition.waiting.empty();
        partition.silent_for = is_busy ? 0 : partition.silent_for + elapsed;
        if (partition.activity != Activity::active) continue;
        if (partition.silent_for >= stream.timing.idle_timeout) {
          advanced.idle.push_back(id);
        } else {
          all_idle = false;
          least = std::min(least, partition.newest);
        }
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
    if (advanced.idle.empty() &&
        !crosses(stream.timing.grids, stream.watermark, advanced.watermark)) {
      continue;
    }
    out.push_back({++position_, advanced});
    apply(advanced, out);
  }
}

/// A side that has nothing to say holds the others up for its idle timeout, from each event of
/// theirs on; then time goes on as if it had come as far.
void Sequencer::tick_join(std::uint32_t stream_id, Timestamp now, std::vector<Sequenced>& out) {
  Stream& join = streams_[stream_id];
  constexpr Duration kSamples = 1024;
  Timestamp newest = kMinTimestamp;
  bool any_silent = false;
  for (const std::uint32_t side : join.timing.joins) {
    newest = std::max(newest, streams_[side].newest);
    any_silent = any_silent || !any_active(streams_[side]);
  }
  if (newest == kMinTimestamp) return;
  auto& samples = join.newest_at;
  const Duration timeout = join.timing.idle_timeout;
  const bool moved = samples.empty() || samples.back().second != newest;
  if (moved && (samples.empty() || ticked_for_ - samples.back().first >= timeout / kSamples)) {
    samples.emplace_back(ticked_for_, newest);
  }
  while (samples.size() > 1 && samples[1].first <= ticked_for_ - timeout) samples.pop_front();
  if (!any_silent || samples.front().first > ticked_for_ - timeout) return;
  Advanced advanced;
  advanced.stream_id = stream_id;
  advanced.at = now;
  advanced.watermark = std::min(now, join.timing.ending_watermark(samples.front().second));
  // What is told more finely changes little: each is a record.
  if (!crosses({{kSecond, 0}}, join.watermark, advanced.watermark)) return;
  out.push_back({++position_, advanced});
  apply(advanced, out);
}

void Sequencer::apply(const Advanced& advanced, std::vector<Sequenced>& out) {
  for (const auto& [source_id, number] : advanced.idle) {
    sources_[source_id].partitions[number].activity = Activity::idle;
  }
  raise(advanced.stream_id, advanced.watermark, out);
  tell(advanced.stream_id, out);
}

Result<> Sequencer::check_next(std::uint64_t position) const {
  if (position == position_ + 1) return {};
  return fail(ErrorCode::corrupt,
              fmt::format("the log has record {} where {} was expected", position, position_ + 1));
}

Result<> Sequencer::check_names(const ControlRecord& record) const {
  const auto known = [this](const PartitionId& id) {
    return id.source_id < sources_.size() && id.partition < BlockOrigin::kPartitionsMax;
  };
  bool good = true;
  if (const auto* ended = std::get_if<SourceEnded>(&record)) {
    good = known({ended->source_id, 0});
  } else if (const auto* advanced = std::get_if<Advanced>(&record)) {
    good = advanced->stream_id < streams_.size() &&
           std::all_of(advanced->idle.begin(), advanced->idle.end(), known);
  } else if (const auto* joined = std::get_if<PartitionsJoined>(&record)) {
    good = std::all_of(joined->partitions.begin(), joined->partitions.end(),
                       [&](const auto& p) { return known({joined->source_id, p.partition}); });
    good = good && known({joined->source_id, 0});
  } else if (const auto* range = std::get_if<RangeDiscarded>(&record)) {
    good = known(range->partition);
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
  const bool known = source_id < sources_.size() &&
                     sources_[source_id].stream_id == batch->schema->stream_id &&
                     batch->origin.partition < BlockOrigin::kPartitionsMax;
  if (!known) {
    return fail(
        ErrorCode::corrupt,
        fmt::format("batch {} of the log is of a source that its config does not have", position));
  }
  Source& source = sources_[source_id];
  Partition& partition = source.partitions[batch->origin.partition];
  sequence(source.stream_id, partition, std::move(batch), out);
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
  } else if (const auto* joined = std::get_if<PartitionsJoined>(&record)) {
    out.push_back({position_, *joined});
    apply(*joined);
    tell(sources_[joined->source_id].stream_id, out);
  } else if (const auto* range = std::get_if<RangeDiscarded>(&record)) {
    out.push_back({position_, *range});
    apply(*range);
  } else if (const auto* session = std::get_if<SessionStarted>(&record)) {
    apply(*session);
    tell_all(out);
  }
  return {};
}

/// Sources that a config did not have hold nothing back while it was in force; those that it
/// brought are waited for from here on. Nothing changes where there is one config only.
void Sequencer::apply(const SessionStarted& session) {
  for (Source& source : sources_) {
    const std::string& stream = streams_[source.stream_id].timing.name;
    const bool there = std::any_of(
        session.sources.begin(), session.sources.end(), [&](const SessionStarted::Source& noted) {
          return noted.name == source.name && noted.stream_id < session.streams.size() &&
                 session.streams[noted.stream_id] == stream;
        });
    for (auto& [number, partition] : source.partitions) {
      if (!there) {
        partition.activity = Activity::unseen;
      } else if (source.expected && partition.activity == Activity::unseen) {
        partition.activity = Activity::active;
      }
    }
  }
}

StreamTime Sequencer::time_of(std::uint32_t stream_id) const {
  const Stream& stream = streams_[stream_id];
  StreamTime time{stream_id, stream.watermark, StreamTime::State::silent};
  if (any_active(stream)) {
    time.state = StreamTime::State::active;
  } else if (!stream.timing.may_go_on) {
    // Nobody else will ever send anything, so one without a source has nothing to come, either.
    const bool over = std::none_of(stream.sources.begin(), stream.sources.end(), [&](auto id) {
      return sources_[id].partitions.at(0).activity == Activity::idle;
    });
    if (over) time.state = StreamTime::State::over;
  }
  return time;
}

void Sequencer::tell_all(std::vector<Sequenced>& out) const {
  for (std::uint32_t id = 0; id < streams_.size(); ++id) tell(id, out);
}

void Sequencer::tell(std::uint32_t stream_id, std::vector<Sequenced>& out) const {
  if (!streams_[stream_id].timing.told) return;
  out.push_back({position_, time_of(stream_id)});
}

void Sequencer::raise(std::uint32_t stream_id, Timestamp watermark, std::vector<Sequenced>& out) {
  Stream& stream = streams_[stream_id];
  if (watermark == kMaxTimestamp || watermark <= stream.watermark) return;
  const bool closes = crosses(stream.timing.grids, stream.watermark, watermark);
  stream.watermark = watermark;
  if (closes) out.push_back({position_, Mark{stream_id, position_, watermark}});
}

Timestamp Sequencer::least_active(const Stream& stream, const Partition* except) const {
  Timestamp least = kMaxTimestamp;
  for (const std::uint32_t source_id : stream.sources) {
    for (const auto& [number, partition] : sources_[source_id].partitions) {
      if (&partition == except || partition.activity != Activity::active) continue;
      least = std::min(least, partition.newest);
    }
  }
  return least;
}

std::vector<Sequencer::Lead> Sequencer::leads_of(
    std::uint32_t source_id, const std::function<bool(PartitionId)>& has_more) const {
  Timestamp slowest = kMaxTimestamp;
  for (const std::uint32_t other : streams_[sources_[source_id].stream_id].sources) {
    for (const auto& [number, partition] : sources_[other].partitions) {
      if (partition.activity != Activity::active) continue;
      if (partition.newest == kMinTimestamp && !has_more({other, number})) continue;
      slowest = std::min(slowest, partition.newest);
    }
  }
  std::vector<Lead> leads;
  for (const auto& [number, partition] : sources_[source_id].partitions) {
    Lead lead{number, 0};
    if (partition.newest > slowest) {
      lead.ahead = slowest == kMinTimestamp ? kMaxTimestamp : partition.newest - slowest;
    }
    leads.push_back(lead);
  }
  return leads;
}

bool Sequencer::any_active(const Stream& stream) const {
  const auto is_active = [](const auto& entry) {
    return entry.second.activity == Activity::active;
  };
  return std::any_of(stream.sources.begin(), stream.sources.end(), [&](std::uint32_t id) {
    const auto& partitions = sources_[id].partitions;
    return std::any_of(partitions.begin(), partitions.end(), is_active);
  });
}

std::vector<std::uint32_t> Sequencer::partitions_of(std::uint32_t source_id) const {
  std::vector<std::uint32_t> numbers;
  for (const auto& [number, partition] : sources_[source_id].partitions) numbers.push_back(number);
  return numbers;
}

bool Sequencer::idle(std::uint32_t stream_id) const {
  return !any_active(streams_[stream_id]);
}

std::size_t Sequencer::waiting() const {
  std::size_t count = 0;
  for (const Source& source : sources_) {
    for (const auto& [number, partition] : source.partitions) count += partition.waiting.size();
  }
  return count;
}

}  // namespace streamobs::wal

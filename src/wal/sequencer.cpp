#include "wal/sequencer.h"

#include <algorithm>
#include <cassert>
#include <utility>

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

Sequencer::Sequencer(std::vector<StreamTiming> streams) {
  for (StreamTiming& timing : streams) {
    Stream stream;
    stream.timing = std::move(timing);
    streams_.push_back(std::move(stream));
  }
}

void Sequencer::add_source(std::uint32_t source_id, std::uint32_t stream_id, bool expected) {
  if (partitions_.size() <= source_id) partitions_.resize(source_id + 1);
  Partition& partition = partitions_[source_id];
  partition.stream_id = stream_id;
  partition.activity = expected ? Activity::active : Activity::unseen;
  streams_[stream_id].sources.push_back(source_id);
}

void Sequencer::admit(EventBatchPtr batch, Timestamp now, std::vector<Sequenced>& out) {
  Partition& partition = partitions_[batch->origin.source_id];
  const std::uint64_t number = batch->origin.number;
  if (number == 0) {  // Order of arrival decides: HTTP.
    sequence(partition, std::move(batch), out);
    return;
  }
  if (number != partition.next_block) {
    assert(number > partition.next_block);
    partition.waiting.emplace(number, std::move(batch));
    return;
  }
  sequence(partition, std::move(batch), out);
  ++partition.next_block;
  while (!partition.waiting.empty() && partition.waiting.begin()->first == partition.next_block) {
    EventBatchPtr next = std::move(partition.waiting.begin()->second);
    partition.waiting.erase(partition.waiting.begin());
    sequence(partition, std::move(next), out);
    ++partition.next_block;
  }
  finish(partition, now, out);
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
  out.emplace_back(std::move(batch));
  if (partition.activity == Activity::active) {
    raise(stream_id, std::min(others, partition.newest), out);
  }
}

void Sequencer::end_source(std::uint32_t source_id, std::uint64_t blocks, Timestamp now,
                           std::vector<Sequenced>& out) {
  Partition& partition = partitions_[source_id];
  partition.end_announced = true;
  partition.blocks_total = blocks;
  finish(partition, now, out);
}

void Sequencer::finish(Partition& partition, Timestamp now, std::vector<Sequenced>& out) {
  if (!partition.end_announced || partition.activity == Activity::ended) return;
  if (partition.next_block != partition.blocks_total + 1) return;
  partition.activity = Activity::ended;
  const Stream& stream = streams_[partition.stream_id];
  ++position_;
  if (any_active(stream)) {
    raise(partition.stream_id, least_active(stream, nullptr), out);
  } else if (stream.newest != kMinTimestamp) {
    // Bounded input has been read to its end: nothing more can come for what is open, but the
    // stream may go on with later events, so time moves just as far as closing needs, and not
    // beyond the wall clock where others may still send: the rest is left to silence.
    const Timestamp closing = stream.timing.closing_watermark(stream.newest);
    raise(partition.stream_id, stream.timing.may_go_on ? std::min(closing, now) : closing, out);
  }
}

void Sequencer::tick(Timestamp now, const std::function<bool(std::uint32_t)>& busy,
                     std::vector<Sequenced>& out) {
  const Duration elapsed =
      ticked_at_ == kMinTimestamp ? 0 : std::clamp<Duration>(now - ticked_at_, 0, kLongestTick);
  ticked_at_ = now;
  for (std::uint32_t stream_id = 0; stream_id < streams_.size(); ++stream_id) {
    Stream& stream = streams_[stream_id];
    bool all_idle = true;
    bool any_seen = false;
    for (const std::uint32_t source_id : stream.sources) {
      Partition& partition = partitions_[source_id];
      if (partition.activity == Activity::unseen) continue;
      any_seen = true;
      const bool is_busy = busy(source_id) || !partition.waiting.empty();
      partition.silent_for = is_busy ? 0 : partition.silent_for + elapsed;
      if (partition.activity == Activity::active &&
          partition.silent_for >= stream.timing.idle_timeout) {
        partition.activity = Activity::idle;
      }
      if (partition.activity == Activity::active) all_idle = false;
    }
    if (!any_seen || stream.newest == kMinTimestamp) continue;
    // With all of them silent only the wall clock is left to say that time has passed; it never
    // closes a window that could still be in its own time. It need not go on for ever, either:
    // once everything that has events is closed, nothing is left to decide.
    const Timestamp target = all_idle
                                 ? std::min(now, stream.timing.closing_watermark(stream.newest))
                                 : least_active(stream, nullptr);
    if (target > stream.watermark && target != kMaxTimestamp) {
      ++position_;
      raise(stream_id, target, out);
    }
  }
}

void Sequencer::raise(std::uint32_t stream_id, Timestamp watermark, std::vector<Sequenced>& out) {
  Stream& stream = streams_[stream_id];
  if (watermark == kMaxTimestamp || watermark <= stream.watermark) return;
  const Timestamp before = stream.watermark;
  stream.watermark = watermark;
  for (const CloseGrid& grid : stream.timing.grids) {
    if (step_of(grid, before) != step_of(grid, watermark)) {
      out.emplace_back(Mark{stream_id, position_, watermark});
      return;
    }
  }
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

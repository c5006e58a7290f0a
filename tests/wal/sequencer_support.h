// What the sequencer's tests have in common: batches without columns, one-minute windows, a source
// of partitions, and the replay of what was said.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.h"
#include "wal/sequencer.h"

namespace streamobs::test {

constexpr Duration kIdleTimeout = 10 * kSecond;

inline const auto kNobodyBusy = [](const wal::PartitionId&) { return false; };

inline const StreamSchema kSchema;

/// A stream of one-minute windows.
inline wal::StreamTiming minutes(Duration lateness = 0, Duration idle_timeout = 30 * kSecond) {
  wal::StreamTiming timing;
  timing.idle_timeout = idle_timeout;
  timing.grids.push_back(wal::CloseGrid{kMinute, lateness});
  timing.closing_watermark = [lateness](Timestamp t) {
    return (t / kMinute + 1) * kMinute + lateness;
  };
  return timing;
}

inline wal::EventBatchPtr batch(std::uint32_t source, std::uint64_t number, Timestamp time_max) {
  auto b = std::make_unique<EventBatch>();
  b->origin.source_id = source;
  b->origin.number = number;
  b->rows = 1;
  b->time_max = time_max;
  return b;
}

inline std::string snapshot_of(const wal::Sequencer& sequencer) {
  std::string bytes;
  sequencer.snapshot(bytes);
  return bytes;
}

/// One stream, fed by a topic (source 0) and by HTTP (source 1). `expected`: as without a group,
/// where the topic is waited for from the start.
inline wal::Sequencer of_topic(bool expected) {
  wal::StreamTiming timing = minutes(0, kIdleTimeout);
  timing.name = "stream";
  timing.may_go_on = true;
  wal::Sequencer sequencer({timing});
  sequencer.add_source(0, "topic", 0, expected);
  sequencer.add_source(1, "(http)", 0, false);
  return sequencer;
}

/// A block of a partition of the topic; or, of source 1, a request.
inline wal::EventBatchPtr block(std::uint32_t partition, std::uint64_t number, Timestamp time_max,
                                std::uint32_t source = 0) {
  wal::EventBatchPtr b = batch(source, number, time_max);
  b->schema = &kSchema;
  b->origin.partition = partition;
  if (source == 0) {
    b->origin.resume.file = "t/" + std::to_string(partition);
    b->origin.resume.offset = number * 10;
  }
  return b;
}

inline wal::PartitionsJoined joined(const std::vector<std::uint32_t>& partitions) {
  wal::PartitionsJoined record;
  for (const std::uint32_t p : partitions) {
    record.partitions.push_back({p, {"t/" + std::to_string(p), 0, 0, 5, 0, 0}});
  }
  return record;
}

/// From each snapshot, taken after so many of the things said, what came behind it is replayed: it
/// is said again at the same positions, and comes to the same state.
inline void check_replays(bool expected, const std::vector<wal::Sequenced>& history,
                          const std::vector<std::pair<std::size_t, std::string>>& snapshots,
                          const std::string& end) {
  for (const auto& [from, bytes] : snapshots) {
    INFO("from " << from);
    wal::Sequencer again = of_topic(expected);
    REQUIRE(again.restore(bytes).has_value());
    CHECK((snapshot_of(again) == bytes));
    std::vector<wal::Sequenced> said;
    for (std::size_t i = from; i < history.size(); ++i) {
      const wal::Sequenced& item = history[i];
      Result<> replayed;
      if (const auto* b = std::get_if<wal::EventBatchPtr>(&item.what)) {
        const BlockOrigin& origin = (*b)->origin;
        replayed = again.replay(
            item.position, block(origin.partition, origin.number, (*b)->time_max, origin.source_id),
            said);
      } else if (const auto* advanced = std::get_if<wal::Advanced>(&item.what)) {
        replayed = again.replay(item.position, *advanced, said);
      } else if (const auto* join = std::get_if<wal::PartitionsJoined>(&item.what)) {
        replayed = again.replay(item.position, *join, said);
      } else if (const auto* range = std::get_if<wal::RangeDiscarded>(&item.what)) {
        replayed = again.replay(item.position, *range, said);
      }
      REQUIRE(replayed.has_value());
    }
    REQUIRE(said.size() == history.size() - from);
    for (std::size_t i = 0; i < said.size(); ++i) {
      REQUIRE(said[i].position == history[from + i].position);
      REQUIRE(said[i].what.index() == history[from + i].what.index());
    }
    CHECK((snapshot_of(again) == end));
  }
}

}  // namespace streamobs::test

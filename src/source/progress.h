// How far a source has come, and how it is: written by the source, on its strand, read by anybody
// on any thread. Lives in the source.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "telemetry/troubles.h"

namespace streamobs::source {

enum class State : std::uint8_t {
  starting,
  running,  ///< Reading, or waiting for the engine.
  waiting,  ///< Nothing to read at the moment.
  ended,    ///< Its input is over, or it was stopped.
  failed,   ///< run() has returned an error.
};
std::string_view to_text(State state);

/// A partition of a topic that is being read.
struct PartitionProgress {
  std::string topic;
  std::int32_t partition = 0;
  std::int64_t next = 0;            ///< Offset of the next message to be read.
  std::optional<std::int64_t> lag;  ///< Messages known and not yet read; none: nobody has said.
  bool held = false;                ///< Not read: it is too far ahead of the others.
  std::optional<Duration> ahead;    ///< Of the slowest; none: without max_skew.
};

/// The partitions as of the last look, of which there are four a second.
class PartitionTable {
 public:
  void set(std::vector<PartitionProgress> rows) {
    const std::lock_guard lock(mutex_);
    rows_ = std::move(rows);
  }
  std::vector<PartitionProgress> get() const {
    const std::lock_guard lock(mutex_);
    return rows_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<PartitionProgress> rows_;
};

/// What a source has done so far. Written by the source, read by anybody.
struct Progress {
  std::atomic<State> state{State::starting};
  std::atomic<std::uint64_t> blocks{0};
  std::atomic<std::uint64_t> bytes{0};        ///< Pushed, uncompressed.
  std::atomic<std::uint64_t> input_bytes{0};  ///< Read from the input, compressed where it is.
  std::atomic<std::uint64_t> input_bytes_total{0};  ///< 0: unknown.
  std::atomic<std::uint64_t> files{0};              ///< Read to their end, or being followed.
  std::atomic<std::uint64_t> partitions{0};         ///< Of topics that are being read.
  std::atomic<std::uint64_t> messages{0};           ///< Read from topics.
  std::atomic<std::uint64_t> messages_behind{0};    ///< In topics, known and not yet read.
  std::atomic<std::uint64_t> partitions_held{0};    ///< Too far ahead of the others; not read.
  static constexpr std::int32_t kNoGroup = -2;
  static constexpr std::int32_t kNoMember = -1;
  /// Of its membership of a consumer group; kNoMember: it waits to be given one.
  std::atomic<std::int32_t> group_generation{kNoGroup};
  std::atomic<std::int64_t> brokers_up{-1};   ///< Connected to; -1: not known yet.
  std::atomic<double> round_trip_seconds{0};  ///< Of the slowest broker, mean; 0: not known.
  PartitionTable partition_table;
  telemetry::Troubles troubles;
};

}  // namespace streamobs::source

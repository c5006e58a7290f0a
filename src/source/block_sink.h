// Where a source puts its blocks: the topology's way on to decode.
//
// Implemented by the topology, which owns it and keeps it until every source has ended. One source
// pushes from one strand.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "event/block.h"
#include "event/resume_state.h"
#include "flow/asio.h"

namespace streamobs::source {

class BlockSink {
 public:
  virtual ~BlockSink() = default;
  /// Waits while the engine is busy: that is the backpressure a source feels. False: the engine is
  /// shutting down, the block was not taken and the source shall end.
  virtual asio::awaitable<bool> push(Block block) = 0;
  /// Only of sources with several partitions: before their first blocks, so that those of one wait
  /// for those of another. Returns when that has its place in history. False: as above.
  virtual asio::awaitable<bool> join(std::vector<PartitionPlace> partitions) = 0;
  /// The reverse: others read these from now on. False: as above.
  virtual asio::awaitable<bool> leave(std::vector<std::uint32_t> partitions) = 0;

  // Only of sources in a consumer group, whose blocks have no place in history when they are
  // pushed, but when their group has agreed.

  /// Returns when all that has been pushed is durable, with the log position that stands for it;
  /// none: the engine is shutting down. Nothing is pushed until it is decided.
  virtual asio::awaitable<std::optional<std::uint64_t>> propose() = 0;
  /// For each partition of which something is undecided. Returns when it is decided. False: as
  /// above.
  virtual asio::awaitable<bool> decide(std::vector<RangeVerdict> verdicts) = 0;

  /// Whether a partition is known to have more than has been pushed: then its silence is not
  /// idleness. Any strand.
  virtual void set_behind(std::uint32_t partition, bool behind) = 0;
  /// By how much the newest event of a partition, of those that have their place in history, is
  /// ahead of the newest of the slowest partition that its stream waits for. Of sources with
  /// `max_skew`. Any strand.
  virtual Duration ahead(std::uint32_t partition) const = 0;
};

}  // namespace streamobs::source

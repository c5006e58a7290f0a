// Where a source goes on after a restart: for each of its partitions the number of its next block,
// and how far it has come in each of its files, or in the topic's partition.
//
// Kept by the sequencer from the batches it admits, part of every checkpoint, handed to the source
// when it starts. Plain data; a function of the batches alone, so that replay gives the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "event/block.h"

namespace streamobs {

/// Where a partition of a source begins to be read.
struct PartitionPlace {
  std::uint32_t partition = 0;
  ResumePoint place;
  friend bool operator==(const PartitionPlace&, const PartitionPlace&) = default;
};

/// What has been proposed to a consumer group of a partition's blocks, and nobody has decided on.
struct ProposedRange {
  std::uint64_t number = 0;    ///< Of the block.
  std::uint64_t position = 0;  ///< Of the log: where it is proposed.
  std::uint64_t end = 0;       ///< Offset behind its last message.
};
/// Of what was proposed of a partition up to `asked_up_to`: what stands at or before
/// `committed_up_to` has become ours, the rest not. Nothing is said of what was proposed behind it.
struct RangeVerdict {
  std::uint32_t partition = 0;
  std::uint64_t committed_up_to = 0;
  std::uint64_t asked_up_to = 0;
};

/// Of one partition of a source.
struct ResumeState {
  /// Files that are remembered for one source. Beyond that the one heard of least recently is
  /// forgotten, and `forgotten` counts it. A source refuses to read more than that at once and
  /// follows far fewer, so that what is forgotten was rotated away long ago.
  static constexpr std::size_t kPlacesMax = 16'384;

  std::uint64_t next_block = 1;
  std::vector<ResumePoint> places;  ///< One for each file, that of the latest block last.
  std::uint64_t forgotten = 0;

  /// A block of the source has its place in history: it went up to `point`. Without a file only
  /// next_block counts, which is the caller's.
  void remember(const ResumePoint& point);

  friend bool operator==(const ResumeState&, const ResumeState&) = default;
};

}  // namespace streamobs

// What a source in a consumer group has proposed to its group and nobody has decided on yet: blocks
// that are in the log (range_proposed) and have no place in history.
//
// A batch record with the same source, partition and number, or a range_discarded, decides one.
// Those that neither follows are what a crash left behind; the source asks its group when it starts
// (source/kafka_group). Part of every checkpoint, so that the log need not be kept for them.
// Bounded by what sources propose at a time. Synchronous; the sequencing's strand.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "app/plan.h"
#include "base/result.h"
#include "event/event_batch.h"
#include "event/resume_state.h"
#include "wal/batch_codec.h"
#include "wal/record.h"

namespace streamobs::app {

class ProposedRanges {
 public:
  explicit ProposedRanges(const Plan& plan) : plan_(plan) {}

  struct Range {
    std::uint64_t position = 0;                  ///< Of its range_proposed.
    std::uint64_t end = 0;                       ///< Offset behind its last message.
    std::shared_ptr<const std::string> payload;  ///< As it stands in that.
    /// Null: it comes from the log or a checkpoint, or has been taken.
    std::unique_ptr<EventBatch> batch;
    bool counted = false;  ///< Among its partition's blocks on their way (InFlight).
    bool agreed = false;   ///< By the group: its batch is on the way, and not yet in the log.
  };

  void hold(const wal::PartitionId& partition, std::uint64_t number, Range range);
  /// The same for one that is replayed; `corrupt`: the payload is none, or of nobody.
  Result<> hold(std::uint64_t position, std::string_view payload);
  /// It has been decided; nothing happens where it is not known.
  void forget(const wal::PartitionId& partition, std::uint64_t number);

  /// Those of a partition by number, in rising order.
  const std::map<std::uint64_t, Range>& of(const wal::PartitionId& partition) const;
  /// That one, which is known.
  Range& at(const wal::PartitionId& partition, std::uint64_t number) {
    return ranges_.at(partition).at(number);
  }
  /// What a verdict of its group is about: those of a partition that nobody has decided on and that
  /// were proposed up to that position. In rising order.
  std::vector<ProposedRange> asked_for(const wal::PartitionId& partition,
                                       std::uint64_t asked_up_to) const;
  /// What is held of a source, by partition, in rising order.
  std::map<std::uint32_t, std::vector<ProposedRange>> undecided(std::uint32_t source_id) const;
  std::size_t size() const;

  /// The batch of a range that was made from its payload alone, encoded as this plan has it.
  Result<std::unique_ptr<EventBatch>> decode(const wal::PartitionId& partition, const Range& range);

  void snapshot(std::string& out) const;
  /// Before anything else. `invalid`: the config has no such source any more, or its stream has
  /// other fields, so that what was proposed could not be taken.
  Result<> restore(std::string_view bytes);

 private:
  /// That a source is in; empty: none.
  std::string_view group_of(const PlannedSource& source) const;

  const Plan& plan_;
  std::map<wal::PartitionId, std::map<std::uint64_t, Range>> ranges_;
  wal::BatchDecoder decoder_;
  wal::BatchEncoder encoder_;
};

}  // namespace streamobs::app

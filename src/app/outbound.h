// A stream's events on their way to sinks outside: rendered where they are counted.
//
// An operator of a lane, for one stream that some sink is fed from: the events that the stream
// counts (not those its filter leaves out, nor repeats of an id) as JSON with their declared
// fields. On the lane's strand; lives as long as the lane.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <vector>

#include "app/plan.h"
#include "event/event_batch.h"
#include "event/record.h"
#include "expr/program.h"

namespace streamobs::app {

class Outbound {
 public:
  /// `bytes_under_way` is what ingest is turned away by; it counts what is rendered until the store
  /// has it. All references outlive this and every record of it.
  Outbound(const PlannedStream& stream, std::atomic<std::uint64_t>& bytes_under_way);

  /// One record for each sink, if the batch has any event for it.
  void process(const EventBatch& batch, Records& out);

 private:
  void select(const EventBatch& batch);

  const PlannedStream& stream_;
  std::atomic<std::uint64_t>& bytes_under_way_;
  std::optional<expr::Evaluator> filter_;
  std::vector<ColumnView> inputs_;
  std::vector<std::uint32_t> rows_;  ///< Of the batch at hand.
};

}  // namespace streamobs::app

// All joins of a plan, as a part of the sequencing: what they make follows from the order of the
// log, so they are fed where that is decided.
//
// Its strand only, but for state(). Lives as long as the topology.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "app/lane.h"
#include "app/plan.h"
#include "app/step.h"
#include "base/result.h"
#include "event/event_batch.h"
#include "event/record.h"
#include "telemetry/registry.h"
#include "wal/sequencer.h"
#include "window/stream_join.h"

namespace streamobs::app {

class Joins {
 public:
  Joins(const Plan& plan, LaneMetrics& lane_metrics, telemetry::Registry& metrics,
        std::size_t lanes);
  ~Joins();
  Joins(const Joins&) = delete;
  Joins& operator=(const Joins&) = delete;

  bool empty() const { return joins_.empty(); }

  /// What comes next in the log came at that time of the wall clock.
  void at(Timestamp time);
  /// How much of a batch has been joined.
  struct Progress {
    std::size_t side = 0;  ///< Among the joins it is a side of.
    std::size_t row = 0;
  };
  /// A batch has its place and is settled. False: so much has been made of it that this is to be
  /// taken before it goes on.
  bool process(const EventBatch& batch, Progress& progress);
  void tell(const wal::StreamTime& time);

  /// What batches of joined rows have in common with the position they follow from.
  struct Made {
    std::uint64_t position = 0;
    bool counted_before = false;  ///< As of batches.
    std::shared_ptr<const LookupTables> lookups;
  };
  /// Appends what has been made of a position so far.
  void take(const Made& common, InFlight& in_flight, std::vector<Step>& out);
  /// Everything of the position has been told: the rest, and marks where windows of joined rows may
  /// close.
  void finish(const Made& common, InFlight& in_flight, std::vector<Step>& out);

  /// The time of a joined stream; null: it is none.
  const window::StreamJoin* of_stream(std::uint32_t stream_id) const;

  void snapshot(CheckpointParts& checkpoint) const;
  Result<> restore(const CheckpointParts& checkpoint);

  /// What people see of a join; any thread.
  struct State {
    std::uint64_t rows = 0;
    std::uint64_t unmatched[2] = {0, 0};  ///< By side.
    std::uint64_t pushed_out = 0;
    std::size_t pending = 0;
    std::size_t pending_alone = 0;  ///< Of those, without a partner so far.
    std::size_t pending_bytes = 0;
  };
  State state(std::size_t index) const;

 private:
  struct Join {
    std::unique_ptr<window::StreamJoin> join;
    std::uint32_t stream_id = 0;
    std::uint32_t source_id = 0;
    std::vector<wal::CloseGrid> grids;
    Timestamp told = kMinTimestamp;  ///< The watermark that the lanes have been told of.
    telemetry::Counter* rows = nullptr;
    telemetry::Counter* unmatched[2] = {nullptr, nullptr};
    telemetry::Counter* pushed_out = nullptr;
    std::atomic<std::size_t> pending{0};
    std::atomic<std::size_t> pending_alone{0};
    std::atomic<std::size_t> pending_bytes{0};
  };
  void take(Join& join, const Made& common, InFlight& in_flight, std::vector<Step>& out);
  void count(Join& join, bool counted_before);

  telemetry::Registry& metrics_;
  LaneMetrics& lane_metrics_;
  const std::size_t lanes_;
  std::vector<std::unique_ptr<Join>> joins_;
  /// By stream: the joins it is a side of.
  struct SideOf {
    Join* join = nullptr;
    window::Side side = window::Side::left;
  };
  std::vector<std::vector<SideOf>> sides_;
  // What all joins make at a position is numbered through: each is known by its position and
  // number.
  std::uint64_t numbered_ = 0;  ///< The position.
  std::uint32_t next_index_ = LetterId::kOfJoin;
};

}  // namespace streamobs::app

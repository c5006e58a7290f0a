// A stream's events on their way out, to sinks and to live readers: rendered where they are
// counted.
//
// An operator of a lane, for one stream: the events that the stream counts (not those its filter
// leaves out, nor repeats of an id) as JSON with their declared fields. Where no sink is fed from
// the stream and nobody looks, it does nothing. On the lane's strand; lives as long as the lane.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <vector>

#include "app/plan.h"
#include "event/event_batch.h"
#include "event/record.h"
#include "expr/program.h"
#include "serve/stream_feed.h"

namespace streamobs::app {

class Outbound {
 public:
  /// `bytes_under_way` is what ingest is turned away by; it counts what is rendered until the store
  /// has it. Without `to_sinks` there is no store for what they would be sent. All references
  /// outlive this and every record of it.
  Outbound(const PlannedStream& stream, std::atomic<std::uint64_t>& bytes_under_way, bool to_sinks);

  /// Before anything runs: who looks at the events as they come. Outlives process().
  void show_to(serve::StreamFeed& feed) { feed_ = &feed; }
  /// One record for each sink, if the batch has any event for it; a sample to those who look.
  void process(const EventBatch& batch, Records& out);

 private:
  void select(const EventBatch& batch);
  void send(const EventBatch& batch, Records& out);
  void show(const EventBatch& batch);

  const PlannedStream& stream_;
  const bool to_sinks_;
  serve::StreamFeed* feed_ = nullptr;
  std::atomic<std::uint64_t>& bytes_under_way_;
  std::optional<expr::Evaluator> filter_;
  std::vector<ColumnView> inputs_;
  std::vector<std::uint32_t> rows_;  ///< Of the batch at hand.
};

}  // namespace streamobs::app

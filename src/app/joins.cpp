#include "app/joins.h"

#include <utility>

#include <fmt/format.h>

#include "app/recovery.h"
#include "app/stream_timing.h"
#include "base/log.h"

namespace streamobs::app {

Joins::Joins(const Plan& plan, LaneMetrics& lane_metrics, telemetry::Registry& metrics,
             std::size_t lanes)
    : metrics_(metrics), lane_metrics_(lane_metrics), lanes_(lanes), sides_(plan.streams.size()) {
  for (const PlannedJoin& planned : plan.joins) {
    auto join = std::make_unique<Join>();
    join->join = std::make_unique<window::StreamJoin>(planned.join, plan.source_names);
    join->stream_id = planned.stream_id;
    join->source_id = planned.source_id;
    join->grids = close_grids(plan.streams[planned.stream_id]);
    const std::string& name = planned.join->options.name.text;
    join->rows =
        &metrics.counter("streamobs_join_rows_total", "Rows that a join made.", {{"join", name}});
    for (std::size_t side = 0; side < 2; ++side) {
      join->unmatched[side] = &metrics.counter(
          "streamobs_join_unmatched_total", "Events that left a join without a partner.",
          {{"join", name}, {"side", side == 0 ? "left" : "right"}});
      sides_[planned.join->sides[side].stream_id].push_back(
          {join.get(), static_cast<window::Side>(side)});
    }
    join->pushed_out = &metrics.counter(
        "streamobs_join_pushed_out_total",
        "Events that had to leave a join early, because too many waited.", {{"join", name}});
    metrics_.gauge_callback(this, "streamobs_join_pending", "Events that wait for a partner.",
                            {{"join", name}},
                            [j = join.get()] { return static_cast<double>(j->pending.load()); });
    metrics_.gauge_callback(
        this, "streamobs_join_pending_bytes", "Memory of events that wait for a partner.",
        {{"join", name}},
        [j = join.get()] { return static_cast<double>(j->pending_bytes.load()); });
    joins_.push_back(std::move(join));
  }
}

Joins::~Joins() {
  metrics_.remove_callbacks(this);
}

void Joins::at(Timestamp time) {
  for (const std::unique_ptr<Join>& join : joins_) join->join->at(time);
}

bool Joins::process(const EventBatch& batch, Progress& progress) {
  const std::vector<SideOf>& sides = sides_[batch.schema->stream_id];
  for (; progress.side < sides.size(); ++progress.side, progress.row = 0) {
    const SideOf& side = sides[progress.side];
    progress.row = side.join->join->process(side.side, batch, progress.row);
    if (progress.row < batch.rows) return false;
  }
  return true;
}

void Joins::tell(const wal::StreamTime& time) {
  using Is = wal::StreamTime::State;
  for (const std::unique_ptr<Join>& join : joins_) {
    if (join->stream_id == time.stream_id) join->join->pass_over_silence(time.watermark);
  }
  for (const SideOf& side : sides_[time.stream_id]) {
    const auto pace = time.state == Is::active ? window::Pace::active
                      : time.state == Is::over ? window::Pace::over
                                               : window::Pace::silent;
    side.join->join->tell(side.side, time.watermark, pace);
  }
}

void Joins::take(const Made& common, InFlight& in_flight, std::vector<Step>& out) {
  for (const std::unique_ptr<Join>& join : joins_) take(*join, common, in_flight, out);
}

void Joins::take(Join& join, const Made& common, InFlight& in_flight, std::vector<Step>& out) {
  if (numbered_ != common.position) {
    numbered_ = common.position;
    next_index_ = LetterId::kOfJoin;
  }
  EventBatchPtr batch = join.join->take();
  count(join, common.counted_before);
  if (batch == nullptr) return;
  batch->events = static_cast<std::uint32_t>(batch->rows);
  for (std::size_t i = 0; i < batch->rows; ++i) batch->event_index.push_back(next_index_++);
  batch->origin.source_id = join.source_id;
  batch->origin.name = "join " + batch->schema->stream;
  for (DeadLetter& letter : batch->dead_letters) {
    letter.event_index = next_index_++;
    letter.origin = batch->origin.name;
    letter.position = common.position;
  }
  batch->stamp.sequence = common.position;
  batch->lookups = common.lookups;
  batch->lane = static_cast<std::uint32_t>(common.position % lanes_);
  batch->counted_before = common.counted_before;
  in_flight.remember(*batch);
  Step step;
  step.what = app::Made{common.position, std::move(batch)};
  out.push_back(std::move(step));
}

void Joins::finish(const Made& common, InFlight& in_flight, std::vector<Step>& out) {
  for (const std::unique_ptr<Join>& join : joins_) {
    take(*join, common, in_flight, out);
    const Timestamp watermark = join->join->watermark();
    if (wal::crosses(join->grids, join->told, watermark)) {
      Step step;
      step.what =
          wal::Sequenced{common.position, wal::Mark{join->stream_id, common.position, watermark}};
      out.push_back(std::move(step));
    }
    join->told = watermark;
  }
}

void Joins::count(Join& join, bool counted_before) {
  join.pending.store(join.join->pending(), std::memory_order_relaxed);
  join.pending_alone.store(join.join->pending_alone(), std::memory_order_relaxed);
  join.pending_bytes.store(join.join->pending_bytes(), std::memory_order_relaxed);
  const window::JoinCounts counts = join.join->take_counts();
  if (counted_before) return;
  join.rows->add(counts.rows);
  for (std::size_t side = 0; side < 2; ++side) join.unmatched[side]->add(counts.unmatched[side]);
  join.pushed_out->add(counts.pushed_out);
  lane_metrics_.dead_letters_dropped.add(counts.letters_unkept);
}

const window::StreamJoin* Joins::of_stream(std::uint32_t stream_id) const {
  for (const std::unique_ptr<Join>& join : joins_) {
    if (join->stream_id == stream_id) return join->join.get();
  }
  return nullptr;
}

void Joins::snapshot(CheckpointParts& checkpoint) const {
  for (const std::unique_ptr<Join>& join : joins_) {
    const std::string& name = join->join->plan().options.name.text;
    join->join->snapshot(checkpoint.parts[part::join(name)]);
  }
}

Result<> Joins::restore(const CheckpointParts& checkpoint) {
  for (const std::unique_ptr<Join>& join : joins_) {
    const std::string& name = join->join->plan().options.name.text;
    const std::string* const bytes = find_part(checkpoint, part::join(name));
    if (bytes == nullptr) continue;
    const Result<window::RestoredJoin> restored = join->join->restore(*bytes);
    if (restored.has_error()) return restored.error();
    join->told = join->join->watermark();
    if (restored->forgotten == 0) continue;
    log::warn(
        "the join is defined otherwise now: events that waited for a partner are forgotten, and "
        "their partners will not find them",
        {{"join", name}, {"events", restored->forgotten}});
  }
  return {};
}

Joins::State Joins::state(std::size_t index) const {
  const Join& join = *joins_[index];
  State state;
  state.rows = join.rows->value();
  for (std::size_t side = 0; side < 2; ++side)
    state.unmatched[side] = join.unmatched[side]->value();
  state.pushed_out = join.pushed_out->value();
  state.pending = join.pending.load(std::memory_order_relaxed);
  state.pending_alone = join.pending_alone.load(std::memory_order_relaxed);
  state.pending_bytes = join.pending_bytes.load(std::memory_order_relaxed);
  return state;
}

}  // namespace streamobs::app

// The engine's hot path in one lane, by direct calls: bytes → decode → sequence → window → close
// with p50, p95 and p99. No threads, no HTTP, no disk: the CPU that an event costs and nothing
// else.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

#include "app/plan.h"
#include "decode/decoder.h"
#include "support/extraction.h"
#include "support/service_metrics.h"
#include "wal/sequencer.h"
#include "window/admission.h"
#include "window/closing.h"
#include "window/merger.h"
#include "window/stream_windows.h"

namespace streamobs::bench {

/// One lane's operators, driven as the engine drives them.
class InProcessLane {
 public:
  explicit InProcessLane(std::shared_ptr<const app::Plan> plan)
      : plan_(std::move(plan)),
        decoder_(plan_->streams[0].decode, plan_->source_names),
        batch_(std::make_unique<EventBatch>()) {}

  std::uint64_t run(const Bodies& bodies) {
    const auto& windows_plan = plan_->streams[0].windows;
    window::Admission admission(windows_plan, 1);
    window::StreamWindows windows(windows_plan, 0, admission);
    window::WindowMerger merger(windows_plan);
    wal::StreamTiming timing;
    timing.closing_watermark = [&](Timestamp t) {
      return window::closing_watermark(*windows_plan, t);
    };
    for (const auto& grid : window::closing_grids(*windows_plan)) {
      timing.grids.push_back({grid.step, grid.lateness});
    }
    wal::Sequencer sequencer({timing});
    sequencer.add_source(0, "bench", 0, true);
    std::vector<wal::Sequenced> out;
    DeadLetters late;
    Records records;
    std::uint64_t rows = 0;
    for (const Block& block : bodies.blocks) {
      decoder_.decode(block, *batch_);
      if (!batch_->dead_letters.empty()) std::abort();
      out.clear();
      sequencer.admit(std::move(batch_), 0, out);
      for (wal::Sequenced& item : out) {
        if (auto* batch = std::get_if<wal::EventBatchPtr>(&item.what)) {
          windows.process(**batch, late);
          rows += (*batch)->rows;
          batch_ = std::move(*batch);
        } else if (const auto* mark = std::get_if<wal::Mark>(&item.what)) {
          close(windows.take_closed(mark->watermark), mark->watermark, merger, records);
        }
      }
    }
    close(windows.take_all(), kMaxTimestamp, merger, records);
    if (rows != bodies.events || !late.empty()) std::abort();
    return records.size();
  }

 private:
  static void close(window::PartialPtr partial, Timestamp watermark, window::WindowMerger& merger,
                    Records& records) {
    std::vector<window::PartialPtr> partials;
    partials.push_back(std::move(partial));
    records.clear();
    merger.merge(std::move(partials), 1, watermark, window::RoundKind::closed, records);
  }

  std::shared_ptr<const app::Plan> plan_;
  decode::Decoder decoder_;
  std::unique_ptr<EventBatch> batch_;
};

}  // namespace streamobs::bench

// The whole hot path in one lane: bytes → decode → window → close with p50, p95 and p99, against
// extraction over the same bytes in the same run. No threads, no disk: what is measured is the CPU
// an event costs. Floors are those of the project's issue.
//
//   bench_engine [rounds] [events]
#include <cstdlib>
#include <memory>
#include <string>

#include "app/plan.h"
#include "config/config.h"
#include "decode/decoder.h"
#include "support/extraction.h"
#include "support/measure.h"
#include "wal/sequencer.h"
#include "window/admission.h"
#include "window/closing.h"
#include "window/merger.h"
#include "window/stream_windows.h"

namespace {

using namespace streamobs;  // NOLINT: a program of its own.

constexpr const char* kConfig = R"toml(
[stream.requests]
time   = "event_time"
fields = { service = "string", endpoint = "string", latency_ms = "float", status_code = "int" }
[window.service_metrics]
size = "1m"
by   = ["service"]
allowed_lateness = "10s"
max_keys = 2000000
[window.service_metrics.select]
request_count  = "count(*)"
error_count    = "count(*) filter (where status_code >= 500)"
error_rate     = "error_count / request_count"
avg_latency_ms = "avg(latency_ms)"
p50_latency_ms = "quantile(latency_ms, 0.50)"
p95_latency_ms = "quantile(latency_ms, 0.95)"
p99_latency_ms = "quantile(latency_ms, 0.99)"
)toml";

std::shared_ptr<const app::Plan> make_plan() {
  Diagnostics diagnostics;
  auto config = config::parse(kConfig, "bench", diagnostics);
  if (!config) std::abort();
  auto plan = app::make_plan(std::move(*config), diagnostics);
  if (!plan) std::abort();
  return plan;
}

/// One lane's operators, driven as the engine drives them.
class Lane {
 public:
  explicit Lane(std::shared_ptr<const app::Plan> plan)
      : plan_(std::move(plan)),
        decoder_(plan_->streams[0].decode, plan_->source_names),
        batch_(std::make_unique<EventBatch>()) {}

  std::uint64_t run(const bench::Bodies& bodies) {
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
    sequencer.add_source(0, 0, true);
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
        if (auto* batch = std::get_if<wal::EventBatchPtr>(&item)) {
          windows.process(**batch, late);
          rows += (*batch)->rows;
          batch_ = std::move(*batch);
        } else {
          close(windows.take_closed(std::get<wal::Mark>(item).watermark), merger, records);
        }
      }
    }
    close(windows.take_all(), merger, records);
    if (rows != bodies.events || !late.empty()) std::abort();
    return records.size();
  }

 private:
  static void close(window::PartialPtr partial, window::WindowMerger& merger, Records& records) {
    if (partial == nullptr) return;
    std::vector<window::PartialPtr> partials;
    partials.push_back(std::move(partial));
    records.clear();
    merger.merge(std::move(partials), 1, 0, true, records);
  }

  std::shared_ptr<const app::Plan> plan_;
  decode::Decoder decoder_;
  std::unique_ptr<EventBatch> batch_;
};

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 11;
  const auto events = static_cast<std::size_t>(argc > 2 ? std::atol(argv[2]) : 400'000);
  using bench::EventShape;
  const bench::Bodies three_keys = bench::make_bodies(events, {3, EventShape::fixed, 42});
  const bench::Bodies fixed = bench::make_bodies(events, {50, EventShape::fixed, 42});
  const bench::Bodies shapes = bench::make_bodies(events, {50, EventShape::three, 42});
  const bench::Bodies random = bench::make_bodies(events, {50, EventShape::random, 42});
  const bench::Bodies many = bench::make_bodies(events, {100'000, EventShape::fixed, 42});

  const auto plan = make_plan();
  simdjson::ondemand::parser parser;
  std::vector<bench::Variant> variants;
  variants.push_back({"extraction: simdjson on-demand",
                      events,
                      [&] { return bench::extract(parser, fixed); },
                      0,
                      {}});
  std::vector<std::unique_ptr<Lane>> lanes;
  const auto add = [&](const char* name, const bench::Bodies& bodies, double floor) {
    lanes.push_back(std::make_unique<Lane>(plan));
    variants.push_back({name,
                        events,
                        [lane = lanes.back().get(), &bodies] { return lane->run(bodies); },
                        floor,
                        {}});
  };
  add("decode → window → p99, 3 keys", three_keys, 0);
  add("decode → window → p99, 50 keys", fixed, 0.8);
  add("the same, three shapes mixed", shapes, 0.6);
  add("the same, keys in random order", random, 0.3);
  add("the same, 100,000 keys", many, 0);
  bench::compare(variants, rounds);
  return 0;
}

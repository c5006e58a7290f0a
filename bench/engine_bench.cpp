// The whole hot path in one lane: bytes → decode → window → close with p50, p95 and p99, against
// extraction over the same bytes in the same run. No threads, no disk: what is measured is the CPU
// an event costs. Floors are those of the project's issue.
//
//   bench_engine [rounds] [events]
#include <cstdlib>
#include <memory>
#include <string>

#include "support/extraction.h"
#include "support/in_process_lane.h"
#include "support/measure.h"

using namespace streamobs;  // NOLINT: a program of its own.

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 11;
  const auto events = static_cast<std::size_t>(argc > 2 ? std::atol(argv[2]) : 400'000);
  using bench::EventShape;
  const bench::Bodies three_keys = bench::make_bodies(events, {3, EventShape::fixed, 42});
  const bench::Bodies fixed = bench::make_bodies(events, {50, EventShape::fixed, 42});
  const bench::Bodies shapes = bench::make_bodies(events, {50, EventShape::three, 42});
  const bench::Bodies random = bench::make_bodies(events, {50, EventShape::random, 42});
  const bench::Bodies many = bench::make_bodies(events, {100'000, EventShape::fixed, 42});

  const auto plan = bench::make_plan();
  simdjson::ondemand::parser parser;
  std::vector<bench::Variant> variants;
  variants.push_back({"extraction: simdjson on-demand",
                      events,
                      [&] { return bench::extract(parser, fixed); },
                      0,
                      {}});
  std::vector<std::unique_ptr<bench::InProcessLane>> lanes;
  const auto add = [&](const char* name, const bench::Bodies& bodies, double floor) {
    lanes.push_back(std::make_unique<bench::InProcessLane>(plan));
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

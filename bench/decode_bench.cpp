// What decoding costs, as a ratio to the limit measured in the same run.
//
// The limit ("extraction") is simdjson's on-demand parser with iterate_many over whole 1 MiB
// bodies, looking up five fields in their order and reading the time's digits: the fastest general
// JSON reader there is, doing the least that could be called decoding. Every variant gets the same
// number of events in 1 MiB bodies that are warm in memory; variants alternate within each round;
// rounds are timed in CPU time; the ratio is the median over the rounds of (its events per
// CPU-second / extraction's in the same round). Build: Release (-O3 -DNDEBUG).
//
//   bench_decode [rounds] [events]
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "decode/decoder.h"
#include "support/extraction.h"
#include "support/measure.h"
#include "support/services_stream.h"

namespace {

using namespace streamobs;  // NOLINT: a program of its own.

std::uint64_t split_lines(const bench::Bodies& bodies) {
  std::uint64_t lines = 0;
  for (const Block& block : bodies.blocks) {
    const char* p = block.bytes->data();
    const char* const end = p + block.bytes->size();
    while (p < end) {
      const void* const newline = std::memchr(p, '\n', static_cast<std::size_t>(end - p));
      if (newline == nullptr) break;
      p = static_cast<const char*>(newline) + 1;
      ++lines;
    }
  }
  return lines;
}

/// A lane: one decoder, and batches that are used again.
class Lane {
 public:
  Lane(std::shared_ptr<const decode::StreamPlan> plan, decode::DecoderOptions options)
      : decoder_(std::move(plan), sources_, options) {}
  std::uint64_t run(const bench::Bodies& bodies) {
    std::uint64_t rows = 0;
    for (const Block& block : bodies.blocks) {
      decoder_.decode(block, batch_);
      rows += batch_.rows;
      if (!batch_.dead_letters.empty()) std::abort();
    }
    return rows;
  }

 private:
  std::vector<std::string> sources_ = {"bench"};
  decode::Decoder decoder_;
  EventBatch batch_;
};

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 15;
  const auto events = static_cast<std::size_t>(argc > 2 ? std::atol(argv[2]) : 200'000);
  const bench::Bodies fixed3 = bench::make_bodies(events, {3, bench::EventShape::fixed, 42});
  const bench::Bodies fixed50 = bench::make_bodies(events, {50, bench::EventShape::fixed, 42});
  const bench::Bodies many = bench::make_bodies(events, {100'000, bench::EventShape::fixed, 42});
  const bench::Bodies three = bench::make_bodies(events, {50, bench::EventShape::three, 42});
  const bench::Bodies random = bench::make_bodies(events, {50, bench::EventShape::random, 42});

  simdjson::ondemand::parser parser;
  std::vector<bench::Variant> variants;
  variants.push_back({"extraction: simdjson on-demand",
                      events,
                      [&] { return bench::extract(parser, fixed50); },
                      0,
                      {}});
  variants.push_back(
      {"split lines with memchr", events, [&] { return split_lines(fixed50); }, 0, {}});
  std::vector<std::unique_ptr<Lane>> lanes;
  const auto add = [&](const char* name, const bench::Bodies& bodies, Kind latency, bool shapes) {
    lanes.push_back(
        std::make_unique<Lane>(bench::services_plan(latency), decode::DecoderOptions{shapes}));
    Lane* const lane = lanes.back().get();
    variants.push_back({name, events, [lane, &bodies] { return lane->run(bodies); }, 0, {}});
  };
  add("decode, 3 services", fixed3, Kind::integer, true);
  add("decode, 50 services", fixed50, Kind::integer, true);
  add("decode, 50 services, latency as float", fixed50, Kind::floating, true);
  add("decode, 100,000 services (no dictionary)", many, Kind::integer, true);
  add("decode, three shapes mixed", three, Kind::floating, true);
  add("decode, keys in random order", random, Kind::floating, true);
  add("plain reader, 50 services", fixed50, Kind::integer, false);
  add("plain reader, three shapes mixed", three, Kind::floating, false);
  add("plain reader, keys in random order", random, Kind::floating, false);

  bench::compare(variants, rounds);
  return 0;
}

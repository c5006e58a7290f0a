// What decoding costs, as a ratio to the limit measured in the same run.
//
// The limit ("extraction") is simdjson's on-demand parser with iterate_many over whole 1 MiB
// bodies, looking up five fields in their order and reading the time's digits: the fastest general
// JSON reader there is, doing the least that could be called decoding. Every variant gets the same
// number of events in 1 MiB bodies that are warm in memory; variants alternate within each round;
// rounds are timed in CPU time; the ratio is the median over the rounds of (its events per
// CPU-second / extraction's in the same round). Build: Release (-O3 -DNDEBUG).
//
//   decode_bench [rounds] [events]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <simdjson.h>

#include "decode/decoder.h"
#include "support/events.h"

namespace {

using namespace streamobs;  // NOLINT: a program of its own.

double cpu_seconds() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

struct Bodies {
  std::vector<Block> blocks;
  std::size_t events = 0;
};

Bodies make_bodies(std::size_t events, const bench::EventOptions& options) {
  Bodies bodies;
  bodies.events = events;
  for (const std::string& body :
       bench::cut_into_bodies(bench::make_events(events, options), 1 << 20)) {
    Block block;
    block.format = Format::ndjson;
    block.bytes = std::make_shared<BlockBuffer>();
    block.bytes->append(body);
    block.origin.received_at = 1'800'000'000 * kSecond;
    bodies.blocks.push_back(std::move(block));
  }
  return bodies;
}

/// The digits of "2024-01-09T12:34:56.789Z", unchecked.
std::uint64_t time_digits(const char* p) {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  std::memcpy(&low, p + 8, 8);
  std::memcpy(&high, p + 16, 8);
  return low * 31 + high;
}

std::uint64_t extract(simdjson::ondemand::parser& parser, const Bodies& bodies) {
  std::uint64_t sum = 0;
  for (const Block& block : bodies.blocks) {
    simdjson::ondemand::document_stream documents;
    if (parser.iterate_many(block.bytes->data(), block.bytes->size(), block.bytes->size())
            .get(documents)) {
      std::abort();
    }
    for (auto document : documents) {
      simdjson::ondemand::object object;
      std::string_view time, service, endpoint;
      std::int64_t latency = 0, status = 0;
      if (document.get_object().get(object) || object["event_time"].get(time) ||
          object["service"].get(service) || object["endpoint"].get(endpoint) ||
          object["latency_ms"].get(latency) || object["status_code"].get(status)) {
        std::abort();
      }
      sum += time_digits(time.data()) + service.size() + endpoint.size() +
             static_cast<std::uint64_t>(latency + status);
    }
  }
  return sum;
}

std::uint64_t split_lines(const Bodies& bodies) {
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

std::shared_ptr<const decode::StreamPlan> services_plan(Kind latency) {
  decode::StreamOptions options;
  options.name = "requests";
  options.time = "event_time";
  const auto add = [&](const char* name, Kind kind) {
    decode::FieldOptions field;
    field.name = name;
    field.type = {kind, 0};
    options.fields.push_back(field);
  };
  add("service", Kind::string);
  add("endpoint", Kind::string);
  add("latency_ms", latency);
  add("status_code", Kind::integer);
  Diagnostics diagnostics;
  auto plan = decode::compile_stream(options, 0, diagnostics);
  if (!plan) std::abort();
  return plan;
}

/// A lane: one decoder, and batches that are used again.
class Lane {
 public:
  Lane(std::shared_ptr<const decode::StreamPlan> plan, decode::DecoderOptions options)
      : decoder_(std::move(plan), sources_, options) {}
  std::uint64_t run(const Bodies& bodies) {
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

struct Variant {
  std::string name;
  std::size_t events;
  std::function<std::uint64_t()> run;
  std::vector<double> seconds;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 15;
  const auto events = static_cast<std::size_t>(argc > 2 ? std::atol(argv[2]) : 200'000);
  const Bodies fixed3 = make_bodies(events, {3, bench::EventShape::fixed, 42});
  const Bodies fixed50 = make_bodies(events, {50, bench::EventShape::fixed, 42});
  const Bodies many = make_bodies(events, {100'000, bench::EventShape::fixed, 42});
  const Bodies three = make_bodies(events, {50, bench::EventShape::three, 42});
  const Bodies random = make_bodies(events, {50, bench::EventShape::random, 42});

  simdjson::ondemand::parser parser;
  std::vector<Variant> variants;
  variants.push_back(
      {"extraction: simdjson on-demand", events, [&] { return extract(parser, fixed50); }, {}});
  variants.push_back({"split lines with memchr", events, [&] { return split_lines(fixed50); }, {}});
  std::vector<std::unique_ptr<Lane>> lanes;
  const auto add = [&](const char* name, const Bodies& bodies, Kind latency, bool shapes) {
    lanes.push_back(std::make_unique<Lane>(services_plan(latency), decode::DecoderOptions{shapes}));
    Lane* const lane = lanes.back().get();
    variants.push_back({name, events, [lane, &bodies] { return lane->run(bodies); }, {}});
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

  for (Variant& v : variants) v.run();
  for (int round = 0; round < rounds; ++round) {
    for (Variant& v : variants) {
      const double begin = cpu_seconds();
      v.run();
      v.seconds.push_back(cpu_seconds() - begin);
    }
  }
  std::printf("%-44s %8s %8s %7s  [ min ..  max]\n", "variant", "M ev/s", "ns/event", "ratio");
  for (const Variant& v : variants) {
    std::vector<double> ratios;
    for (std::size_t i = 0; i < v.seconds.size(); ++i) {
      ratios.push_back(variants[0].seconds[i] / v.seconds[i]);
    }
    const double seconds = median(v.seconds);
    const auto [least, most] = std::minmax_element(ratios.begin(), ratios.end());
    std::printf("%-44s %8.2f %8.1f %7.2f  [%4.2f .. %4.2f]\n", v.name.c_str(),
                static_cast<double>(v.events) / seconds / 1e6,
                seconds / static_cast<double>(v.events) * 1e9, median(ratios), *least, *most);
  }
  return 0;
}

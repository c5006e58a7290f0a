// What the log's records of batches cost: bytes and CPU time an event, for the usual events in 1
// MiB bodies and for batches of one event, with their texts and without, to write (checksum
// included) and to read back.
//
// Batches are decoded once from the bodies (bench/support/events.h) and are warm in memory; the
// first variant, a copy of the same columns' bytes with their checksum, is what any log would pay.
// Build: Release.
//
//   bench_codec [rounds] [events]
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/crc32c.h"
#include "decode/decoder.h"
#include "support/extraction.h"
#include "support/measure.h"
#include "support/services_stream.h"
#include "wal/batch_codec.h"

namespace {

using namespace streamobs;  // NOLINT: a program of its own.

/// The batches of some events, and their records.
struct Batches {
  Batches(std::size_t events, std::size_t keys, Kind latency, std::size_t body_bytes,
          bool keep_raw = false)
      : events_count(events),
        plan(bench::services_plan(latency, keep_raw)),
        decoder(plan, sources, decode::DecoderOptions{}) {
    const std::string text = bench::make_events(events, {keys, bench::EventShape::fixed, 42});
    for (const std::string& body : bench::cut_into_bodies(text, body_bytes)) {
      Block block;
      block.format = Format::ndjson;
      block.bytes = std::make_shared<BlockBuffer>();
      block.bytes->append(body);
      block.origin.received_at = 1'800'000'000 * kSecond;
      block.origin.name = "127.0.0.1:54321";
      batches.push_back(std::make_unique<EventBatch>());
      decoder.decode(block, *batches.back());
    }
    records.resize(batches.size());
    for (std::size_t i = 0; i < batches.size(); ++i) encoder.encode(*batches[i], records[i]);
  }

  std::uint64_t write() {
    std::uint64_t bytes = 0;
    for (const auto& batch : batches) {
      encoder.encode(*batch, scratch);
      bytes += scratch.bytes.size() + scratch.crc32c;
    }
    return bytes;
  }
  std::uint64_t read() {
    std::uint64_t rows = 0;
    for (const EncodedBatch& record : records) {
      if (crc32c(record.bytes) != record.crc32c) std::abort();
      if (!reader.decode(record.bytes, plan->schema, into)) std::abort();
      rows += into.rows;
    }
    return rows;
  }
  std::uint64_t copy() {
    std::uint64_t sum = 0;
    for (const auto& batch : batches) {
      std::string& to = scratch.bytes;
      to.clear();
      const auto add = [&](const auto& values) {
        to.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(values[0]));
      };
      add(batch->time);
      for (const Column& column : batch->columns) {
        add(column.ints);
        add(column.floats);
        add(column.ids);
      }
      sum += crc32c(to);
    }
    return sum;
  }
  void print_size(const char* name) const {
    std::size_t bytes = 0;
    for (const EncodedBatch& record : records) bytes += record.bytes.size();
    std::printf("%-48s %8.2f bytes an event, %.0f a batch\n", name,
                static_cast<double>(bytes) / static_cast<double>(events_count),
                static_cast<double>(bytes) / static_cast<double>(records.size()));
  }

  std::size_t events_count;
  std::vector<std::string> sources = {"bench"};
  std::shared_ptr<const decode::StreamPlan> plan;
  decode::Decoder decoder;
  wal::BatchEncoder encoder;
  wal::BatchDecoder reader;
  std::vector<std::unique_ptr<EventBatch>> batches;
  std::vector<EncodedBatch> records;
  EncodedBatch scratch;
  EventBatch into;
};

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 15;
  const auto events = static_cast<std::size_t>(argc > 2 ? std::atol(argv[2]) : 200'000);
  Batches usual(events, 50, Kind::integer, 1 << 20);
  Batches floats(events, 50, Kind::floating, 1 << 20);
  Batches many(events, 100'000, Kind::integer, 1 << 20);
  Batches small(events / 10, 50, Kind::integer, 1 << 13);
  Batches raw(events, 50, Kind::integer, 1 << 20, true);
  Batches small_raw(events / 10, 50, Kind::integer, 1 << 13, true);
  Batches single(events / 100, 50, Kind::integer, 1);
  struct Named {
    const char* name;
    Batches* batches;
  };
  const Named all[] = {{"1 MiB bodies", &usual},
                       {"1 MiB bodies, latency as float", &floats},
                       {"1 MiB bodies, 100,000 services", &many},
                       {"8 KiB bodies", &small},
                       {"1 MiB bodies, keep = raw", &raw},
                       {"8 KiB bodies, keep = raw", &small_raw},
                       {"one event a body", &single}};
  for (const Named& n : all) n.batches->print_size(n.name);
  std::vector<bench::Variant> variants;
  variants.push_back({"copy and checksum", events, [&] { return usual.copy(); }, 0, {}});
  for (const Named& n : all) {
    Batches* const b = n.batches;
    const std::string name = n.name;
    variants.push_back({"write, " + name, b->events_count, [b] { return b->write(); }, 0, {}});
    variants.push_back({"read, " + name, b->events_count, [b] { return b->read(); }, 0, {}});
  }
  bench::compare(variants, rounds);
  return 0;
}

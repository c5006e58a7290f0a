// Once it is warm, decoding allocates nothing: not for an event, not for a batch.
#include <atomic>
#include <cstdlib>
#include <new>
#include <string>

#include "decode/decode_support.h"
#include "support/catch.h"

namespace {
std::atomic<std::size_t> allocations{0};
}

// Everything that allocates in this program counts: operator new here, and the arrays of a batch
// (which use realloc) by their capacity, below. AddressSanitizer wants its own operators.
#if !defined(__SANITIZE_ADDRESS__)
[[gnu::noinline]] void* operator new(std::size_t size) {
  ++allocations;
  if (void* const p = std::malloc(size)) return p;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* p) noexcept {
  std::free(p);
}
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept {
  std::free(p);
}
#endif

using namespace streamobs;
using namespace streamobs::decode;
using namespace streamobs::decode::test;

namespace {

std::size_t capacities(const EventBatch& batch) {
  std::size_t sum = batch.time.capacity() + batch.event_index.capacity() + batch.raw.capacity();
  for (const Column& c : batch.columns) {
    sum += c.nulls.capacity() + c.bools.capacity() + c.ints.capacity() + c.floats.capacity() +
           c.ids.capacity() + c.strings.capacity();
  }
  return sum;
}

}  // namespace

TEST_CASE("a warm decoder allocates nothing") {
  StreamOptions options = services();
  options.fields.push_back(field("message", "string"));
  options.fields.push_back(field("nested.value", "decimal(2)"));
  // With checks each line is looked at alone; without, many are read together.
  options.keep_raw = GENERATE(false, true);
  if (!options.keep_raw) options.checks = {{"sane", "latency_ms >= 0"}};
  std::string body;
  for (int i = 0; i < 5000; ++i) {
    // Three shapes, many different strings, escapes, nulls, and now and then a key in another
    // order.
    const std::string time =
        fmt::format("2024-01-09T12:{:02}:{:02}.{:03}Z", i / 100, i % 60, i % 1000);
    if (i % 3 == 0) {
      body += fmt::format(
          R"({{"event_time":"{}","service":"s{}","endpoint":"/e{}","latency_ms":{}.5,"status_code":200}})",
          time, i % 20, i % 7, i);
    } else if (i % 3 == 1) {
      body += fmt::format(
          R"({{"latency_ms":{},"message":"line {}\n","service":null,"event_time":"{}"}})", i, i,
          time);
    } else {
      body += fmt::format(
          R"({{"event_time":{},"latency_ms":1,"nested":{{"value":{}.25,"more":[1,2]}},"s{}":"é"}})",
          1704803696 + i, i, i % 5);
    }
    body += "\n";
  }
  const std::vector<std::string> sources = {"test"};
  Decoder decoder(compile(options), sources);
  EventBatch batch;
  const Block b = block(body);
  for (int i = 0; i < 4; ++i) decoder.decode(b, batch);
  REQUIRE(batch.rows == 5000);
  const std::size_t arrays = capacities(batch);
  const std::size_t before = allocations;
  for (int i = 0; i < 20; ++i) decoder.decode(b, batch);
  const std::size_t after = allocations;
  CHECK(after - before == 0);
  CHECK(capacities(batch) == arrays);
  CHECK(batch.rows == 5000);
}

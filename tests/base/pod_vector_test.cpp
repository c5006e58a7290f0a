#include "base/pod_vector.h"

#include <algorithm>
#include <cstdint>
#include <random>
#include <string_view>
#include <utility>
#include <vector>

#include "base/block_buffer.h"
#include "base/clock.h"
#include "support/catch.h"

namespace streamobs {
namespace {

TEST_CASE("a PodVector holds what a std::vector would", "[base][pod_vector]") {
  std::mt19937_64 random(1);
  PodVector<std::int64_t> ours;
  std::vector<std::int64_t> theirs;
  for (int i = 0; i < 20'000; ++i) {
    switch (random() % 8) {
      case 0: {
        const std::size_t size = random() % 200;
        ours.resize(size, 42);
        theirs.resize(size, 42);
        break;
      }
      case 1:
        if (random() % 50 == 0) {
          ours.clear();
          theirs.clear();
        }
        break;
      case 2: {
        PodVector<std::int64_t> copy(ours);
        PodVector<std::int64_t> moved(std::move(copy));
        ours = moved;
        break;
      }
      default: {
        const auto v = static_cast<std::int64_t>(random());
        ours.push_back(v);
        theirs.push_back(v);
      }
    }
    REQUIRE(ours.size() == theirs.size());
    REQUIRE(std::equal(ours.begin(), ours.end(), theirs.begin(), theirs.end()));
  }
}

TEST_CASE("clearing a PodVector keeps its memory", "[base][pod_vector]") {
  PodVector<int> v;
  v.resize(1000, 1);
  const int* const before = v.data();
  v.clear();
  CHECK(v.empty());
  v.resize(1000);
  CHECK(v.data() == before);
  PodVector<int> empty;
  PodVector<int> copy(empty);
  CHECK(copy.empty());
}

TEST_CASE("a block buffer is padded with zeros whatever it held before", "[base][block_buffer]") {
  BlockBuffer buffer;
  CHECK(buffer.empty());
  buffer.append(std::string_view("hello"));
  buffer.append(std::string_view(", world"));
  CHECK(buffer.view() == "hello, world");
  buffer.resize(5);
  CHECK(buffer.view() == "hello");
  for (std::size_t i = 0; i < BlockBuffer::kPadding; ++i) CHECK(buffer.data()[5 + i] == 0);
}

TEST_CASE("a manual clock stands still until it is moved", "[base][clock]") {
  ManualClock clock(100);
  CHECK(clock.now() == 100);
  clock.advance(5);
  CHECK(clock.now() == 105);
  clock.set(7);
  CHECK(clock.now() == 7);
  CHECK(SystemClock().now() > 1'700'000'000 * kSecond);
}

}  // namespace
}  // namespace streamobs

// The accumulators alone: exact sums, the quantile sketch, distinct counts.
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <random>
#include <set>
#include <vector>

#include "base/hash.h"
#include "support/catch.h"
#include "window/aggregate/distinct.h"
#include "window/aggregate/exact_sum.h"
#include "window/aggregate/sketch.h"

using namespace streamobs;          // NOLINT
using namespace streamobs::window;  // NOLINT

namespace {

template <class State>
std::string bytes_of(const State& state) {
  std::string out;
  state.encode(out);
  return out;
}

double random_double(std::mt19937_64& random) {
  for (;;) {
    const double x = std::bit_cast<double>(random());
    if (std::isfinite(x)) return x;
  }
}

FloatSumState sum_of(const std::vector<double>& values, Arena& arena) {
  FloatSumState sum;
  for (const double x : values) sum.add(x, arena);
  return sum;
}

}  // namespace

TEST_CASE("float sums are exact: what cancels leaves nothing, and the rest is rounded once",
          "[window][sum]") {
  Arena arena;
  const double max = std::numeric_limits<double>::max();
  const double tiny = std::numeric_limits<double>::denorm_min();
  REQUIRE(sum_of({1e308, 1, -1e308}, arena).to_double() == 1);
  REQUIRE(sum_of({max, max, -max, -max, tiny}, arena).to_double() == tiny);
  REQUIRE(sum_of({0.1, 0.2, 0.3, -0.6}, arena).to_double() == 0x1p-54 + 0x0p0 - 0x1p-55);
  REQUIRE(sum_of({0x1p53, 1, 0x1p-60}, arena).to_double() == 0x1p53 + 2);  // Above half: up.
  REQUIRE(sum_of({0x1p53, 1}, arena).to_double() == 0x1p53);               // Half: to even.
  REQUIRE(sum_of({0x1p53 + 2, 1}, arena).to_double() == 0x1p53 + 4);       // Half: to even.
  REQUIRE(sum_of({-0x1p53, -1, -0x1p-60}, arena).to_double() == -0x1p53 - 2);
  REQUIRE(sum_of({0x1p200, 0x1p147, 0x1p-300}, arena).to_double() == 0x1p200 + 0x1p148);
  REQUIRE(sum_of({tiny, tiny, tiny}, arena).to_double() == 3 * tiny);
  REQUIRE(std::isinf(sum_of({max, max}, arena).to_double()));
  REQUIRE(sum_of({}, arena).to_double() == 0);
  REQUIRE(sum_of({-0.0, 0.0}, arena).count() == 2);
}

TEST_CASE("float sums do not depend on order or grouping, and survive storage", "[window][sum]") {
  std::mt19937_64 random(11);
  for (int round = 0; round < 300; ++round) {
    Arena arena;
    std::vector<double> values;
    const std::size_t n = 1 + random() % 60;
    for (std::size_t i = 0; i < n; ++i) {
      const double x = round % 3 == 0
                           ? random_double(random)
                           : std::ldexp(static_cast<double>(static_cast<std::int64_t>(random())),
                                        static_cast<int>(random() % 120) - 100);
      values.push_back(x);
      if (random() % 3 == 0) values.push_back(-x);
    }
    const std::string expected = bytes_of(sum_of(values, arena));
    std::shuffle(values.begin(), values.end(), random);
    FloatSumState merged;
    for (std::size_t at = 0; at < values.size();) {
      const std::size_t end = std::min(values.size(), at + 1 + random() % 9);
      merged.merge(sum_of({values.begin() + static_cast<std::ptrdiff_t>(at),
                           values.begin() + static_cast<std::ptrdiff_t>(end)},
                          arena),
                   arena);
      at = end;
    }
    REQUIRE(bytes_of(merged) == expected);
    FloatSumState read;
    ByteReader in(expected);
    REQUIRE(read.decode(in, arena));
    REQUIRE(in.at_end());
    REQUIRE(bytes_of(read) == expected);
    REQUIRE(std::bit_cast<std::uint64_t>(read.to_double()) ==
            std::bit_cast<std::uint64_t>(merged.to_double()));
  }
}

TEST_CASE("float sums agree with integers where those are exact", "[window][sum]") {
  std::mt19937_64 random(12);
  for (int round = 0; round < 200; ++round) {
    Arena arena;
    Int128 expected = 0;
    FloatSumState sum;
    for (int i = 0; i < 100; ++i) {
      // 40-bit numbers in units of 2^-20.
      const auto units = static_cast<std::int64_t>(random() >> 24) - (std::int64_t{1} << 39);
      expected += units;
      sum.add(static_cast<double>(units) * 0x1p-20, arena);
    }
    REQUIRE_FALSE(sum.spilled());
    REQUIRE(sum.to_double() == static_cast<double>(static_cast<std::int64_t>(expected)) * 0x1p-20);
  }
}

namespace {

struct Sketched {
  std::unique_ptr<Arena> arena = std::make_unique<Arena>();
  SketchState state;
  void add(double x) { state.add(x, sketch::bucket_of(x), *arena); }
};

void check_quantiles(std::vector<double> values, const SketchState& state) {
  std::sort(values.begin(), values.end());
  REQUIRE(state.count() == values.size());
  for (const double p : {0.0, 0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1.0}) {
    const auto rank = static_cast<std::size_t>(p * static_cast<double>(values.size() - 1));
    const double exact = values[rank];
    const double got = state.quantile(p);
    INFO("p " << p << " exact " << exact << " got " << got << " of " << values.size());
    REQUIRE(std::fabs(got - exact) <= sketch::kRelativeError * std::fabs(exact));
  }
  REQUIRE(state.quantile(0) == values.front());
  REQUIRE(state.quantile(1) == values.back());
}

std::vector<std::vector<double>> samples(std::mt19937_64& random, std::size_t n) {
  std::vector<std::vector<double>> all(9);
  std::normal_distribution<double> normal(0, 1);
  std::exponential_distribution<double> exponential(0.02);
  std::uniform_real_distribution<double> uniform(0, 1);
  for (std::size_t i = 0; i < n; ++i) {
    all[0].push_back(std::exp(normal(random) * 2 + 3));  // lognormal
    all[1].push_back(uniform(random) * 1000);            // uniform
    all[2].push_back(normal(random) * 50);               // both signs
    all[3].push_back(exponential(random));
    all[4].push_back(std::pow(uniform(random), -1.5));    // heavy tail
    all[5].push_back(static_cast<double>(random() % 5));  // zeros and ties
    all[6].push_back(-std::exp(normal(random)) * 1e200);  // huge negatives
    all[7].push_back(std::exp(normal(random)) * 1e-290);  // tiny
    all[8].push_back(random() % 2 == 0 ? 1e-9 : -1e12);   // far apart
  }
  return all;
}

}  // namespace

TEST_CASE("sketch buckets: every value is within 1 % of the value of its bucket",
          "[window][sketch]") {
  std::mt19937_64 random(21);
  std::int32_t last = INT32_MIN;
  for (double x = 1; x < 4; x += 1.0 / 4096) {
    REQUIRE(sketch::bucket_of(x) >= last);
    last = sketch::bucket_of(x);
  }
  REQUIRE(sketch::bucket_of(1) == 0);
  REQUIRE(sketch::bucket_of(2) == sketch::kBucketsPerOctave);
  REQUIRE(sketch::bucket_of(0.5) == -sketch::kBucketsPerOctave);
  for (int i = 0; i < 300'000; ++i) {
    double x = std::fabs(random_double(random));
    if (i % 2 == 0) x = 1 + static_cast<double>(random() >> 11) * 0x1p-53;
    if (x < sketch::kSmallest) continue;
    const double middle = sketch::value_of(sketch::bucket_of(x));
    REQUIRE(std::fabs(middle - x) <= sketch::kRelativeError * x);
  }
}

TEST_CASE("sketch quantiles are within 1 % of the exact ones", "[window][sketch]") {
  std::mt19937_64 random(22);
  for (const std::size_t n : {1, 2, 7, 12, 13, 100, 5000, 40'000}) {
    for (const std::vector<double>& values : samples(random, n)) {
      Sketched s;
      for (const double x : values) s.add(x);
      check_quantiles(values, s.state);
    }
  }
}

TEST_CASE("sketches merge in any tree to the same bytes, and survive storage", "[window][sketch]") {
  std::mt19937_64 random(23);
  for (int round = 0; round < 60; ++round) {
    // Of thousands with few different values: more than one byte counts, in the parts or their sum.
    const std::size_t most = round % 5 == 1 ? 3000 : 400;
    for (std::vector<double> values : samples(random, 1 + random() % most)) {
      if (round % 4 == 0) {  // A range beyond 4,096 buckets: the lowest are merged.
        for (double& x : values) x = random_double(random);
      }
      Sketched whole;
      for (const double x : values) whole.add(x);
      const std::string expected = bytes_of(whole.state);
      std::shuffle(values.begin(), values.end(), random);
      std::vector<Sketched> parts(1 + random() % 6);
      for (const double x : values) parts[random() % parts.size()].add(x);
      while (parts.size() > 1) {
        std::shuffle(parts.begin(), parts.end(), random);
        parts[0].state.merge(parts.back().state, *parts[0].arena);
        parts.pop_back();
      }
      REQUIRE(bytes_of(parts[0].state) == expected);
      Sketched read;
      ByteReader in(expected);
      REQUIRE(read.state.decode(in, *read.arena));
      REQUIRE(in.at_end());
      REQUIRE(bytes_of(read.state) == expected);
      for (const double p : {0.0, 0.3, 0.5, 0.99}) {
        REQUIRE(read.state.quantile(p) == whole.state.quantile(p));
      }
    }
  }
}

TEST_CASE("a sketch holds at most 4,096 buckets a sign, and the upper quantiles stay right",
          "[window][sketch]") {
  Sketched s;
  std::vector<double> values;
  for (int e = -1000; e < 1000; ++e) {
    const double x = std::ldexp(1.3, e);
    s.add(x);
    values.push_back(x);
  }
  REQUIRE(s.state.length <= sketch::kMaxBuckets);
  const double p99 = values[static_cast<std::size_t>(0.99 * 1999)];
  REQUIRE(std::fabs(s.state.quantile(0.99) - p99) <= 0.01 * p99);
  REQUIRE(bytes_of(s.state).size() < 20'000);
}

TEST_CASE("sketch counts widen: more than 255 and more than 2^32 of one value",
          "[window][sketch]") {
  Sketched s;
  for (int i = 0; i < 100'000; ++i) s.add(i % 3 == 0 ? 7.0 : 9.0);
  REQUIRE(s.state.count() == 100'000);
  REQUIRE(s.state.width == 4);
  // Doubling by merging is the quick way to large counts.
  for (int i = 0; i < 20; ++i) {
    Sketched copy;
    copy.state.merge(s.state, *copy.arena);
    s.state.merge(copy.state, *s.arena);
  }
  REQUIRE(s.state.width == 8);
  REQUIRE(s.state.count() == std::uint64_t{100'000} << 20);
  s.add(7.0);
  REQUIRE(s.state.count() == (std::uint64_t{100'000} << 20) + 1);
  REQUIRE(std::fabs(s.state.quantile(0.2) - 7.0) <= 0.07);
}

TEST_CASE("distinct counts are exact up to 4,096", "[window][distinct]") {
  std::mt19937_64 random(31);
  for (const std::size_t n : {0, 1, 2, 3, 4, 100, 4095, 4096}) {
    Arena arena;
    DistinctState state;
    for (std::size_t i = 0; i < n * 3; ++i) {
      const std::uint64_t value = i % std::max<std::size_t>(n, 1);
      state.add(hash_word(value), arena);
    }
    REQUIRE(state.estimate() == n);
    REQUIRE_FALSE(state.approximate());
  }
}

TEST_CASE("distinct counts beyond 4,096 are flagged and within 3 %", "[window][distinct]") {
  for (const std::uint64_t n : {4097, 10'000, 50'000, 200'000, 1'000'000}) {
    Arena arena;
    DistinctState state;
    for (std::uint64_t i = 0; i < n; ++i) {
      state.add(hash_bytes({reinterpret_cast<const char*>(&i), 8}), arena);
    }
    REQUIRE(state.approximate());
    INFO(n << " estimated as " << state.estimate());
    REQUIRE(std::fabs(static_cast<double>(state.estimate()) / static_cast<double>(n) - 1) < 0.03);
  }
}

TEST_CASE("distinct counts merge in any order to the same bytes", "[window][distinct]") {
  std::mt19937_64 random(33);
  for (int round = 0; round < 40; ++round) {
    Arena arena;
    const std::size_t n = round % 2 == 0 ? 3500 + random() % 1200 : random() % 20'000;
    DistinctState whole;
    std::vector<DistinctState> parts(2 + random() % 3);
    for (std::size_t i = 0; i < n; ++i) {
      const std::uint64_t hash = hash_word(i + static_cast<std::uint64_t>(round) * 1'000'003);
      whole.add(hash, arena);
      parts[random() % parts.size()].add(hash, arena);
      parts[random() % parts.size()].add(hash, arena);
    }
    DistinctState merged;
    std::shuffle(parts.begin(), parts.end(), random);
    for (const DistinctState& part : parts) merged.merge(part, arena);
    REQUIRE(bytes_of(merged) == bytes_of(whole));
    REQUIRE(merged.approximate() == (n > 4096));
    DistinctState read;
    const std::string bytes = bytes_of(whole);
    ByteReader in(bytes);
    REQUIRE(read.decode(in, arena));
    REQUIRE(bytes_of(read) == bytes);
    REQUIRE(read.estimate() == whole.estimate());
  }
}

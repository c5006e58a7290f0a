// Quantiles with a relative error of at most 1 %: a DDSketch.
//
// C. Masson, J. Rim, H. Lee, "DDSketch: A fast and fully-mergeable quantile sketch with
// relative-error guarantees", VLDB 2019. A value falls into a bucket by its logarithm; here the
// logarithm is interpolated by a cubic between powers of two, 35 buckets to an octave, in whole
// numbers only: no libm, so every machine puts a value into the same bucket. The widest bucket
// spans a factor of e^0.02, its middle is within 0.99997 % of everything in it.
//
// The state is 48 bytes of a group's row; all zeros is the empty sketch. The first twelve values
// stand in the row as bucket numbers; then buckets lie side by side in the arena, counted in one
// byte each until one overflows, then in four or eight. At most 4,096 buckets (35 decimal orders of
// magnitude) are kept for each sign: those of the smallest values are merged, always seen from the
// largest value there is, so that the order of adding does not matter. Values smaller than 2^-1022
// count as zero. The least and the greatest value are kept exactly.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "window/aggregate/arena.h"

namespace streamobs::window {

namespace sketch {

inline constexpr int kBucketsPerOctave = 35;
inline constexpr int kMaxBuckets = 4096;
inline constexpr double kRelativeError = 0.01;
inline constexpr double kSmallest = 0x1p-1022;  ///< Anything closer to zero counts as zero.

/// The bucket of a value ≥ kSmallest. 35 · log2 with the mantissa's part interpolated:
/// 50 s − 21 s² + 6 s³ for s in [0, 1), in units of 2^-32.
inline std::int32_t bucket_of(double x) {
  const auto bits = std::bit_cast<std::uint64_t>(x);
  const auto octave = static_cast<std::int32_t>((bits >> 52) & 0x7ff) - 1023;
  // Products of 32 bits, as vectors have them.
  const auto s = static_cast<std::uint32_t>(bits >> 20);
  const auto s2 = static_cast<std::uint32_t>((std::uint64_t{s} * s) >> 32);
  const auto s3 = static_cast<std::uint32_t>((std::uint64_t{s2} * s) >> 32);
  const std::uint64_t within =
      std::uint64_t{s} * 50u - std::uint64_t{s2} * 21u + std::uint64_t{s3} * 6u;
  return octave * kBucketsPerOctave + static_cast<std::int32_t>(within >> 32);
}

/// The value that stands for a bucket: the harmonic middle of its bounds.
double value_of(std::int32_t bucket);

}  // namespace sketch

/// Buckets of one sign, side by side: counts[i] is of bucket base + i, in `width` bytes.
struct BucketStore {
  std::byte* counts = nullptr;
  std::int32_t base = 0;
  std::uint16_t length = 0;
  std::uint8_t width = 0;

  std::uint64_t at(std::uint32_t i) const;
  std::uint64_t total() const;
  /// That of the value at `rank`, from 0, of the total() in order; `top` is the highest there is.
  std::int32_t bucket_at(std::uint64_t rank, std::int32_t top) const;
  /// Adds `n` to a bucket, making room for it; `top` is the highest bucket there is.
  void add(std::int32_t bucket, std::uint64_t n, std::int32_t top, Arena& arena);
  /// Adds all of `other`'s; `top` is the highest bucket of both.
  void merge(const BucketStore& other, std::int32_t top, Arena& arena);

 private:
  /// For the buckets from `first` to `last`.
  void make_room(std::int32_t first, std::int32_t last, std::int32_t top, Arena& arena);
  void widen(std::uint8_t width_wanted, Arena& arena);
};

struct SketchState {
  static constexpr std::size_t kInline = 12;
  /// The bucket number that stands for zero among the inline ones.
  static constexpr std::int16_t kZeroBucket = INT16_MIN;

  double min = 0;
  double max = 0;
  // What follows is BucketStore's fields, in an order that leaves the inline numbers room.
  std::int32_t base = 0;
  std::uint16_t length = 0;
  std::uint8_t width = 0;  ///< 0: inline; else bytes of a count.
  std::uint8_t inline_used = 0;
  struct Spilled {
    std::byte* counts;
    BucketStore* negative;  ///< Null while there is no negative value.
    std::uint64_t zeros;
  };
  union Payload {
    std::array<std::int16_t, kInline> buckets;
    Spilled spilled;
  } payload{};

  bool empty() const { return width == 0 && inline_used == 0; }

  /// Adds a finite value; `bucket` is bucket_of(x) where x ≥ kSmallest, else ignored.
  void add(double x, std::int32_t bucket, Arena& arena) {
    if (width != 0 && x >= sketch::kSmallest) {
      min = x < min ? x : min;
      max = x > max ? x : max;
      const auto i = static_cast<std::uint32_t>(bucket) - static_cast<std::uint32_t>(base);
      if (i < length) {
        if (width == 4) {
          auto& count = reinterpret_cast<std::uint32_t*>(payload.spilled.counts)[i];
          if (count != 0xffffffff) {
            ++count;
            return;
          }
        } else if (width == 1) {
          auto& count = reinterpret_cast<std::uint8_t*>(payload.spilled.counts)[i];
          if (count != 0xff) {
            ++count;
            return;
          }
        }
      }
      add_positive(bucket, 1, arena);
      return;
    }
    add_slowly(x, bucket, arena);
  }
  /// Fetches the count that add() will look at.
  void prefetch(std::int32_t bucket) const {
    if (width == 0) return;
    const auto i = static_cast<std::uint32_t>(bucket) - static_cast<std::uint32_t>(base);
    if (i < length) __builtin_prefetch(payload.spilled.counts + std::size_t{i} * width, 1);
  }
  void merge(const SketchState& other, Arena& arena);
  std::uint64_t count() const;
  /// The value at rank floor(p · (n − 1)) of the n values in order, from 0. The sketch is not
  /// empty.
  double quantile(double p) const;
  void encode(std::string& out) const;
  bool decode(ByteReader& in, Arena& arena);

 private:
  /// Calls f(bucket, count) for the buckets of a store upwards, the lowest ones merged.
  template <class F>
  static void each(const BucketStore& store, std::int32_t top, F&& f);
  template <class Count, class F>
  static void each_of(const Count* counts, const BucketStore& store, std::int32_t top, F&& f);
  template <class F>
  void each_positive(F&& f) const;
  template <class F>
  void each_negative(F&& f) const;
  std::uint64_t zeros() const;

  std::int32_t top() const { return sketch::bucket_of(max); }
  BucketStore positive() const;
  void set_positive(const BucketStore& store);
  BucketStore& negative(Arena& arena);
  void add_slowly(double x, std::int32_t bucket, Arena& arena);
  void add_positive(std::int32_t bucket, std::uint64_t n, Arena& arena);
  void add_negative(std::int32_t bucket, std::uint64_t n, Arena& arena);
  void spill(Arena& arena);
};

static_assert(sizeof(SketchState) == 48);

}  // namespace streamobs::window

// Sums that do not depend on the order of adding.
//
// Integers and decimals are added in 128 bits, which 2^64 values of 64 bits cannot overflow. Floats
// are added exactly: as whole numbers of 2^-74 in 128 bits while that is possible (every double
// from about 1e-6 to 2^49 in size, and every larger one that happens to fit), else in a fixed-point
// number wide enough for every double there is (a small Kulisch accumulator), and rounded once at
// the end, to nearest, ties to even. So lanes may add in any order and any grouping and the result
// is the same to the last bit.
//
// The states are plain bytes in a group's row; all zeros is the empty sum.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "window/aggregate/arena.h"

namespace streamobs::window {

__extension__ using Int128 = __int128;
__extension__ using Uint128 = unsigned __int128;

/// A 128-bit number in two words, so that a row needs no more than 8-byte alignment.
struct Words128 {
  std::uint64_t low = 0;
  std::uint64_t high = 0;

  Int128 get() const { return static_cast<Int128>((static_cast<Uint128>(high) << 64) | low); }
  void set(Int128 v) {
    low = static_cast<std::uint64_t>(static_cast<Uint128>(v));
    high = static_cast<std::uint64_t>(static_cast<Uint128>(v) >> 64);
  }
};

struct IntSumState {
  Words128 sum;
  std::uint64_t count = 0;

  void add(std::int64_t x) {
    sum.set(sum.get() + x);
    ++count;
  }
  void merge(const IntSumState& other) {
    sum.set(sum.get() + other.sum.get());
    count += other.count;
  }
  void encode(std::string& out) const;
  bool decode(ByteReader& in);
};

/// A fixed-point number whose bit 0 is worth 2^-1074: every sum of 2^64 doubles, exactly.
struct WideSum {
  static constexpr int kLimbs = 35;
  std::uint64_t limbs[kLimbs] = {};  ///< Two's complement, least significant first.

  /// Adds (or takes away) magnitude · 2^(position − 1074).
  void add(Uint128 magnitude, int position, bool negative);
  void add(const WideSum& other);
  bool negative() const { return (limbs[kLimbs - 1] >> 63) != 0; }
  WideSum magnitude() const;
  /// Rounded to nearest, ties to even; infinite where it is beyond the largest double.
  double to_double() const;
};

struct FloatSumState {
  /// What one unit of the inline sum is worth: 2^(kUnitPosition − 1074) = 2^-74.
  static constexpr int kUnitPosition = 1000;
  static constexpr std::uint64_t kSpilled = std::uint64_t{1} << 63;

  Words128 sum;  ///< Inline; or, spilled, the address of a WideSum in `low`.
  std::uint64_t count_and_flag = 0;

  std::uint64_t count() const { return count_and_flag & ~kSpilled; }
  bool spilled() const { return (count_and_flag & kSpilled) != 0; }

  void add(double x, Arena& arena) {
    const auto bits = std::bit_cast<std::uint64_t>(x);
    const int exponent = static_cast<int>((bits >> 52) & 0x7ff);
    const int shift = exponent - 1075 + 74;
    if (static_cast<unsigned>(shift) <= 70 && !spilled()) {
      const std::uint64_t significand =
          (bits & ((std::uint64_t{1} << 52) - 1)) | (std::uint64_t{1} << 52);
      auto units = static_cast<Int128>(static_cast<Uint128>(significand) << shift);
      if ((bits >> 63) != 0) units = -units;
      Int128 next;
      if (!__builtin_add_overflow(sum.get(), units, &next)) {
        sum.set(next);
        ++count_and_flag;
        return;
      }
    }
    add_slowly(x, arena);
  }
  void merge(const FloatSumState& other, Arena& arena);
  double to_double() const;
  void encode(std::string& out) const;
  bool decode(ByteReader& in, Arena& arena);

 private:
  const WideSum& wide() const { return *std::bit_cast<const WideSum*>(sum.low); }
  WideSum& spill(Arena& arena);
  void add_slowly(double x, Arena& arena);
};

}  // namespace streamobs::window

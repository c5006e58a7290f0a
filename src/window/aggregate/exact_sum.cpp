#include "window/aggregate/exact_sum.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <new>

namespace streamobs::window {

namespace {

constexpr std::size_t kWideBytes = WideSum::kLimbs * 8;
constexpr std::size_t kUnitByte = FloatSumState::kUnitPosition / 8;
static_assert(FloatSumState::kUnitPosition % 8 == 0);

struct Parts {
  std::uint64_t significand;
  int position;  ///< Of its lowest bit in a WideSum.
  bool negative;
};

Parts parts_of(double x) {
  const auto bits = std::bit_cast<std::uint64_t>(x);
  const int exponent = static_cast<int>((bits >> 52) & 0x7ff);
  std::uint64_t significand = bits & ((std::uint64_t{1} << 52) - 1);
  if (exponent != 0) significand |= std::uint64_t{1} << 52;
  return {significand, exponent == 0 ? 0 : exponent - 1, (bits >> 63) != 0};
}

/// A sum's magnitude as bytes, least significant first, from byte `first` of a WideSum on.
void encode_magnitude(std::string& out, bool negative, const unsigned char* bytes, std::size_t size,
                      std::size_t first) {
  while (size > 0 && bytes[size - 1] == 0) --size;
  if (size == 0) {
    put_u8(out, 0);
    return;
  }
  while (bytes[0] == 0) {
    ++bytes;
    ++first;
    --size;
  }
  put_u8(out, negative ? 2 : 1);
  put_varint(out, first);
  put_varint(out, size);
  out.append(reinterpret_cast<const char*>(bytes), size);
}

}  // namespace

void IntSumState::encode(std::string& out) const {
  put_varint(out, count);
  if (count == 0) return;
  put_u64(out, sum.low);
  put_u64(out, sum.high);
}

bool IntSumState::decode(ByteReader& in) {
  count = in.varint();
  if (count == 0) return in.ok();
  sum.low = in.u64();
  sum.high = in.u64();
  return in.ok();
}

void WideSum::add(Uint128 magnitude, int position, bool negative) {
  const int limb = position / 64;
  const int shift = position % 64;
  // Three words: 128 bits moved up by fewer than 64.
  std::uint64_t words[3] = {
      static_cast<std::uint64_t>(magnitude << shift),
      static_cast<std::uint64_t>((magnitude << shift) >> 64),
      shift == 0 ? 0 : static_cast<std::uint64_t>((magnitude >> 64) >> (64 - shift))};
  unsigned char carry = 0;
  for (int i = limb; i < kLimbs; ++i) {
    const std::uint64_t word = i - limb < 3 ? words[i - limb] : 0;
    if (i - limb >= 3 && carry == 0) return;
    std::uint64_t result;
    if (negative) {
      const bool borrow1 = __builtin_sub_overflow(limbs[i], word, &result);
      const bool borrow2 = __builtin_sub_overflow(result, std::uint64_t{carry}, &result);
      carry = static_cast<unsigned char>(borrow1 | borrow2);
    } else {
      const bool carry1 = __builtin_add_overflow(limbs[i], word, &result);
      const bool carry2 = __builtin_add_overflow(result, std::uint64_t{carry}, &result);
      carry = static_cast<unsigned char>(carry1 | carry2);
    }
    limbs[i] = result;
  }
}

void WideSum::add(const WideSum& other) {
  unsigned char carry = 0;
  for (int i = 0; i < kLimbs; ++i) {
    const bool carry1 = __builtin_add_overflow(limbs[i], other.limbs[i], &limbs[i]);
    const bool carry2 = __builtin_add_overflow(limbs[i], std::uint64_t{carry}, &limbs[i]);
    carry = static_cast<unsigned char>(carry1 | carry2);
  }
}

WideSum WideSum::magnitude() const {
  WideSum out = *this;
  if (!negative()) return out;
  std::uint64_t carry = 1;
  for (std::uint64_t& limb : out.limbs) {
    limb = ~limb + carry;
    carry = carry != 0 && limb == 0 ? 1 : 0;
  }
  return out;
}

double WideSum::to_double() const {
  const WideSum m = magnitude();
  int top = kLimbs - 1;
  while (top >= 0 && m.limbs[top] == 0) --top;
  if (top < 0) return 0;
  const int high_bit = top * 64 + 63 - std::countl_zero(m.limbs[top]);
  // The 53 bits from high_bit down; all of them where the number is subnormal.
  const int low_bit = high_bit > 52 ? high_bit - 52 : 0;
  const int limb = low_bit / 64;
  const int shift = low_bit % 64;
  std::uint64_t significand = m.limbs[limb] >> shift;
  if (shift != 0 && limb + 1 < kLimbs) significand |= m.limbs[limb + 1] << (64 - shift);
  significand &= (std::uint64_t{1} << 53) - 1;
  if (low_bit > 0) {
    const auto bit = [&](int i) { return (m.limbs[i / 64] >> (i % 64)) & 1; };
    bool sticky = false;
    const int half = low_bit - 1;
    for (int i = 0; i < half / 64 && !sticky; ++i) sticky = m.limbs[i] != 0;
    if (half % 64 != 0) {
      sticky |= (m.limbs[half / 64] & ((std::uint64_t{1} << (half % 64)) - 1)) != 0;
    }
    if (bit(half) != 0 && (sticky || (significand & 1) != 0)) ++significand;
  }
  // Exact: at most 53 bits (or 2^53), scaled by a power of two; only overflow rounds, to infinity.
  const double size = std::ldexp(static_cast<double>(significand), low_bit - 1074);
  return negative() ? -size : size;
}

WideSum& FloatSumState::spill(Arena& arena) {
  if (!spilled()) {
    auto* const wide_sum = new (arena.allocate(sizeof(WideSum))) WideSum;
    const Int128 inline_sum = sum.get();
    const bool negative = inline_sum < 0;
    const Uint128 size =
        negative ? Uint128{0} - static_cast<Uint128>(inline_sum) : static_cast<Uint128>(inline_sum);
    wide_sum->add(size, kUnitPosition, negative);
    sum.low = std::bit_cast<std::uint64_t>(wide_sum);
    sum.high = 0;
    count_and_flag |= kSpilled;
  }
  return *std::bit_cast<WideSum*>(sum.low);
}

void FloatSumState::add_slowly(double x, Arena& arena) {
  const Parts p = parts_of(x);
  ++count_and_flag;
  if (p.significand == 0) return;
  const int below = kUnitPosition - p.position;  // Bits finer than the inline unit.
  if (!spilled() && below > 0 && below < 53 &&
      (p.significand & ((std::uint64_t{1} << below) - 1)) == 0) {
    auto units = static_cast<Int128>(p.significand >> below);
    if (p.negative) units = -units;
    Int128 next;
    if (!__builtin_add_overflow(sum.get(), units, &next)) {
      sum.set(next);
      return;
    }
  }
  spill(arena).add(p.significand, p.position, p.negative);
}

void FloatSumState::merge(const FloatSumState& other, Arena& arena) {
  if (other.spilled()) {
    spill(arena).add(other.wide());
  } else {
    const Int128 theirs = other.sum.get();
    Int128 next;
    if (!spilled() && !__builtin_add_overflow(sum.get(), theirs, &next)) {
      sum.set(next);
    } else {
      const bool negative = theirs < 0;
      const Uint128 size =
          negative ? Uint128{0} - static_cast<Uint128>(theirs) : static_cast<Uint128>(theirs);
      spill(arena).add(size, kUnitPosition, negative);
    }
  }
  count_and_flag += other.count();
}

double FloatSumState::to_double() const {
  if (spilled()) return wide().to_double();
  // The conversion rounds to nearest, ties to even; the scaling is exact.
  return std::ldexp(static_cast<double>(sum.get()), kUnitPosition - 1074);
}

void FloatSumState::encode(std::string& out) const {
  put_varint(out, count());
  if (count() == 0) return;
  unsigned char bytes[kWideBytes];
  if (spilled()) {
    const WideSum m = wide().magnitude();
    for (std::size_t i = 0; i < kWideBytes; ++i) {
      bytes[i] = static_cast<unsigned char>(m.limbs[i / 8] >> (8 * (i % 8)));
    }
    encode_magnitude(out, wide().negative(), bytes, kWideBytes, 0);
    return;
  }
  const Int128 v = sum.get();
  const Uint128 size = v < 0 ? Uint128{0} - static_cast<Uint128>(v) : static_cast<Uint128>(v);
  for (std::size_t i = 0; i < 16; ++i) bytes[i] = static_cast<unsigned char>(size >> (8 * i));
  encode_magnitude(out, v < 0, bytes, 16, kUnitByte);
}

bool FloatSumState::decode(ByteReader& in, Arena& arena) {
  count_and_flag = in.varint();
  if (!in.ok() || spilled()) return false;
  if (count_and_flag == 0) return true;
  const std::uint8_t sign = in.u8();
  if (sign == 0) return in.ok();
  const std::uint64_t first = in.varint();
  const std::uint64_t size = in.varint();
  if (!in.ok() || sign > 2 || first > kWideBytes || size == 0 || first + size > kWideBytes - 8) {
    return false;
  }
  const std::string_view bytes = in.text(size);
  if (!in.ok()) return false;
  const bool negative = sign == 2;
  if (first >= kUnitByte && first + size < kUnitByte + 16) {
    Uint128 magnitude = 0;
    for (std::size_t i = 0; i < size; ++i) {
      magnitude |= static_cast<Uint128>(static_cast<unsigned char>(bytes[i]))
                   << (8 * (first - kUnitByte + i));
    }
    sum.set(negative ? -static_cast<Int128>(magnitude) : static_cast<Int128>(magnitude));
    return true;
  }
  WideSum& wide_sum = spill(arena);
  for (std::size_t i = 0; i < size; ++i) {
    wide_sum.add(static_cast<unsigned char>(bytes[i]), static_cast<int>(8 * (first + i)), negative);
  }
  return true;
}

}  // namespace streamobs::window

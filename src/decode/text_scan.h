// Looking at many bytes at once: where a JSON string ends, how many digits stand here.
//
// Pure functions over bytes. All of them may read up to 32 bytes past what they return; the bytes
// of a block have 64 zero bytes behind them, and so has every copy that is scanned.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "base/short_text.h"

namespace streamobs::decode {

/// The first quote, backslash or control byte from `p` on. `non_ascii` becomes true if a byte
/// above 0x7f stands before it. Zero is a control byte, so the padding ends every scan.
inline const char* scan_string(const char* p, bool& non_ascii) {
#if defined(__SSE2__)
  const __m128i quote = _mm_set1_epi8('"');
  const __m128i backslash = _mm_set1_epi8('\\');
  const __m128i last_control = _mm_set1_epi8(0x1f);
  const auto stops_in = [&](__m128i bytes) {
    return static_cast<std::uint32_t>(_mm_movemask_epi8(
        _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash)),
                     _mm_cmpeq_epi8(_mm_min_epu8(bytes, last_control), bytes))));
  };
  // 32 bytes at once: most strings end within them, and one branch for all is well predicted.
  for (;; p += 32) {
    const __m128i first = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const __m128i second = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 16));
    const std::uint32_t stops = stops_in(first) | stops_in(second) << 16;
    const std::uint32_t high = static_cast<std::uint32_t>(_mm_movemask_epi8(first)) |
                               static_cast<std::uint32_t>(_mm_movemask_epi8(second)) << 16;
    if (stops != 0) [[likely]] {
      non_ascii |= (high & ((stops & (0 - stops)) - 1)) != 0;
      return p + std::countr_zero(stops);
    }
    non_ascii |= high != 0;
  }
#else
  for (;; ++p) {
    const auto c = static_cast<unsigned char>(*p);
    if (c == '"' || c == '\\' || c < 0x20) return p;
    non_ascii |= c >= 0x80;
  }
#endif
}

/// True if the first bytes at `p` are those at `literal`, as many as `ignore` has zeros below its
/// ones (at most 16); both have 16 readable bytes.
inline bool equal_16(const char* p, const char* literal, std::uint32_t ignore) {
#if defined(__SSE2__)
  const __m128i a = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  const __m128i b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(literal));
  return (static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(a, b))) | ignore) ==
         0xffffffff;
#else
  return std::memcmp(p, literal, static_cast<std::size_t>(std::countr_zero(ignore))) == 0;
#endif
}

inline bool is_digit(char c) {
  return static_cast<unsigned char>(c - '0') < 10;
}

/// The digits at the start of eight bytes.
struct DigitRun {
  unsigned count;       ///< 0 to 8.
  std::uint64_t value;  ///< Of those digits.
};

inline DigitRun scan_digits(const char* p) {
  const std::uint64_t word = load_word(p) ^ 0x3030303030303030ULL;
  // A byte above 9 gets its top bit; carries only reach bytes behind the first such one.
  const std::uint64_t other = ((word + 0x7676767676767676ULL) | word) & 0x8080808080808080ULL;
  const unsigned count = static_cast<unsigned>(std::countr_zero(other)) >> 3;  // 64 >> 3 = 8.
  // The digits move to the top, zeros come in below as leading zeros.
  std::uint64_t digits = count == 0 ? 0 : word << (64 - 8 * count);
  digits = (digits * 10 + (digits >> 8)) & 0x00ff00ff00ff00ffULL;
  digits = (digits * 100 + (digits >> 16)) & 0x0000ffff0000ffffULL;
  digits = (digits * 10000 + (digits >> 32)) & 0xffffffffULL;
  return {count, digits};
}

}  // namespace streamobs::decode

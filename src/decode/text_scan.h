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

/// The first byte from `p` on that is a quote, a backslash, a control byte or not ASCII: where a
/// string of the common kind ends, with fewer instructions.
inline const char* scan_plain_string(const char* p) {
#if defined(__SSE2__)
  const __m128i quote = _mm_set1_epi8('"');
  const __m128i backslash = _mm_set1_epi8('\\');
  const __m128i first_plain = _mm_set1_epi8(0x20);
  const auto stops_in = [&](__m128i bytes) {  // Signed: bytes above 0x7f are below 0x20 too.
    return static_cast<std::uint32_t>(_mm_movemask_epi8(
        _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash)),
                     _mm_cmplt_epi8(bytes, first_plain))));
  };
  for (;; p += 32) {
    const std::uint32_t stops = stops_in(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))) |
                                stops_in(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 16)))
                                    << 16;
    if (stops != 0) [[likely]]
      return p + std::countr_zero(stops);
  }
#else
  for (;; ++p) {
    const auto c = static_cast<unsigned char>(*p);
    if (c == '"' || c == '\\' || c < 0x20 || c >= 0x80) return p;
  }
#endif
}

/// How many of the 32 bytes at `p` stand before the first quote; 32 if there is none.
inline unsigned bytes_before_quote(const char* p) {
#if defined(__SSE2__)
  const __m128i quote = _mm_set1_epi8('"');
  const auto quotes_in = [&](const char* bytes) {
    return static_cast<std::uint32_t>(_mm_movemask_epi8(
        _mm_cmpeq_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes)), quote)));
  };
  return static_cast<unsigned>(std::countr_zero(quotes_in(p) | quotes_in(p + 16) << 16));
#else
  unsigned n = 0;
  while (n < 32 && p[n] != '"') ++n;
  return n;
#endif
}

/// A bit for each newline in the 64 bytes at `p`.
inline std::uint64_t newlines_in(const char* p) {
  std::uint64_t found = 0;
#if defined(__SSE2__)
  const __m128i newline = _mm_set1_epi8('\n');
  for (int i = 0; i < 4; ++i) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 16 * i));
    const int mask = _mm_movemask_epi8(_mm_cmpeq_epi8(bytes, newline));
    found |= static_cast<std::uint64_t>(static_cast<std::uint32_t>(mask)) << 16 * i;
  }
#else
  for (int i = 0; i < 64; ++i) found |= static_cast<std::uint64_t>(p[i] == '\n' ? 1 : 0) << i;
#endif
  return found;
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

/// The first 16 bytes of a literal, as equal_16() compares them, held in registers.
class LiteralStart {
 public:
  LiteralStart(const char* literal, std::uint32_t ignore) : ignore_(ignore) {
#if defined(__SSE2__)
    bytes_ = _mm_loadu_si128(reinterpret_cast<const __m128i*>(literal));
#else
    literal_ = literal;
#endif
  }
  bool is_at(const char* p) const {
#if defined(__SSE2__)
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return (static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, bytes_))) |
            ignore_) == 0xffffffff;
#else
    return equal_16(p, literal_, ignore_);
#endif
  }

 private:
#if defined(__SSE2__)
  __m128i bytes_;
#else
  const char* literal_;
#endif
  std::uint32_t ignore_;
};

inline bool is_digit(char c) {
  return static_cast<unsigned char>(c - '0') < 10;
}

/// The digits at the start of eight bytes.
struct DigitRun {
  unsigned count;       ///< 0 to 8.
  std::uint64_t value;  ///< Of those digits.
};

/// What `word` (eight bytes, less '0' each) starts with, `bits` bits of it being digits.
inline DigitRun digit_run(std::uint64_t word, unsigned bits) {
  // The digits move to the top, zeros come in below as leading zeros.
  std::uint64_t digits = word << ((64 - bits) & 63);
  // Pairs in every other byte, then all four pairs at once: 10^6 a + 10^4 b + 10^2 c + d.
  digits = digits * 10 + (digits >> 8);
  constexpr std::uint64_t kPairs = 0x000000ff000000ffULL;
  digits = ((digits & kPairs) * (100 + (std::uint64_t{1'000'000} << 32)) +
            (digits >> 16 & kPairs) * (1 + (std::uint64_t{10'000} << 32))) >>
           32;
  return {bits >> 3, digits};
}

/// A word whose bytes have their top bits set where they are above 9; carries only reach bytes
/// behind the first such one.
inline std::uint64_t above_nine(std::uint64_t word) {
  return ((word + 0x7676767676767676ULL) | word) & 0x8080808080808080ULL;
}

inline DigitRun scan_digits(const char* p) {
  const std::uint64_t word = load_word(p) ^ 0x3030303030303030ULL;
  const unsigned bits = static_cast<unsigned>(std::countr_zero(above_nine(word))) & ~7u;
  return bits == 0 ? DigitRun{0, 0} : digit_run(word, bits);
}

/// The same, but sees only seven bytes: a count of 7 says that there may be more. The value is
/// meaningless where the count is 0.
inline DigitRun scan_few_digits(const char* p) {
  const std::uint64_t word = load_word(p) ^ 0x3030303030303030ULL;
  const std::uint64_t other = above_nine(word) | std::uint64_t{1} << 63;
  return digit_run(word, static_cast<unsigned>(__builtin_ctzll(other)) & ~7u);
}

}  // namespace streamobs::decode

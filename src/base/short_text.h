// Short strings as a few machine words, so that comparing and hashing them takes a handful of
// instructions and no branch on the length: what dictionaries and key look-ups of the hot path are
// built on.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace streamobs {

/// Eight bytes, the first one lowest, on every machine.
inline std::uint64_t load_word(const char* p) {
  std::uint64_t word;
  std::memcpy(&word, p, sizeof word);
  if constexpr (std::endian::native == std::endian::big) word = __builtin_bswap64(word);
  return word;
}

/// The bytes of a string of at most kMax bytes, padded with zeros.
struct ShortText {
  static constexpr std::size_t kMax = 32;

  std::uint64_t words[4] = {};

  /// Reads kMax bytes from `p` whatever `size` ≤ kMax says: they must be readable.
  static ShortText from_padded(const char* p, std::size_t size) {
    ShortText t;
#if defined(__SSE2__)
    // Ones for the bytes that count, slid over from a table: no branch on the size.
    alignas(64) static constexpr unsigned char kMask[2 * kMax] = {
        255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
        255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255};
    const unsigned char* const mask = kMask + kMax - size;
    for (std::size_t i = 0; i < 2; ++i) {
      const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p) + i);
      const __m128i keep = _mm_loadu_si128(reinterpret_cast<const __m128i*>(mask) + i);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(t.words) + i, _mm_and_si128(bytes, keep));
    }
#else
    t = from(p, size);
#endif
    return t;
  }
  /// Reads only the `size` ≤ kMax bytes.
  static ShortText from(const char* p, std::size_t size) {
    char bytes[kMax] = {};
    if (size != 0) std::memcpy(bytes, p, size);
    return {{load_word(bytes), load_word(bytes + 8), load_word(bytes + 16), load_word(bytes + 24)}};
  }
  /// Multiply-shift hashing (Dietzfelbinger et al., 1997): only the uppermost bits are mixed well.
  std::uint64_t hash() const {
    return (words[0] ^ std::rotl(words[2], 25)) * 0xff51afd7ed558ccdULL +
           (words[1] ^ std::rotl(words[3], 41)) * 0xc4ceb9fe1a85ec53ULL;
  }
  friend bool operator==(const ShortText& a, const ShortText& b) {
    return ((a.words[0] ^ b.words[0]) | (a.words[1] ^ b.words[1]) | (a.words[2] ^ b.words[2]) |
            (a.words[3] ^ b.words[3])) == 0;
  }
};

}  // namespace streamobs

// Short strings as two machine words, so that comparing and hashing them is a handful of
// instructions: what dictionaries and key look-ups of the hot path are built on.
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
  static constexpr std::size_t kMax = 16;

  std::uint64_t low = 0;
  std::uint64_t high = 0;

  /// Reads 16 bytes from `p` whatever `size` ≤ kMax says: they must be readable.
  static ShortText from_padded(const char* p, std::size_t size) {
    ShortText t{load_word(p), load_word(p + 8)};
    if (size <= 8) {
      t.high = 0;
      // Two shifts, because a shift by all 64 bits is undefined.
      t.low = size == 0 ? 0 : t.low << (64 - 8 * size) >> (64 - 8 * size);
    } else {
      t.high = t.high << (128 - 8 * size) >> (128 - 8 * size);
    }
    return t;
  }
  /// Reads only the `size` ≤ kMax bytes.
  static ShortText from(const char* p, std::size_t size) {
    char bytes[kMax] = {};
    if (size != 0) std::memcpy(bytes, p, size);
    return {load_word(bytes), load_word(bytes + 8)};
  }
  /// Well mixed in its upper half, for tables that take the upper bits.
  std::uint64_t hash(std::size_t size) const {
    const std::uint64_t mixed = (low ^ (size * 0x9e3779b97f4a7c15ULL)) * 0xff51afd7ed558ccdULL ^
                                std::rotl(high * 0xc4ceb9fe1a85ec53ULL, 32);
    return (mixed ^ mixed >> 32) * 0x9fb21c651e98df25ULL;
  }
  friend bool operator==(const ShortText&, const ShortText&) = default;
};

}  // namespace streamobs

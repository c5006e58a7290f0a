// Short strings as two vectors, so that comparing and hashing them takes a handful of instructions
// and no branch on the length: what dictionaries and key look-ups of the hot path are built on.
//
// Vectors are GCC's and clang's own, which every CPU has in some form; they stay in registers.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

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
  using Half = std::uint64_t __attribute__((vector_size(16)));

  Half low = {0, 0};
  Half high = {0, 0};

  ShortText() = default;
  ShortText(Half l, Half h) : low(l), high(h) {}

  /// kMax bytes: ones for the first `size` ≤ kMax of them, slid over from a table, so that there is
  /// no branch on the size.
  static const unsigned char* mask(std::size_t size) { return kMask + kMax - size; }
  /// Reads kMax bytes from `p` whatever `size` ≤ kMax says: they must be readable.
  static ShortText from_padded(const char* p, std::size_t size) {
    const unsigned char* const ones = mask(size);
    return {load_half(p) & load_half(ones), load_half(p + 16) & load_half(ones + 16)};
  }
  /// Reads only the `size` ≤ kMax bytes.
  static ShortText from(const char* p, std::size_t size) {
    char bytes[kMax] = {};
    if (size != 0) std::memcpy(bytes, p, size);
    return {load_half(bytes), load_half(bytes + 16)};
  }
  /// What stands for a longer text: no UTF-8 text of at most kMax bytes has these bytes.
  static ShortText of_hash(std::uint64_t hash, std::uint64_t size) {
    const Half l = {hash, size};
    const Half h = {0, ~std::uint64_t{0}};
    return {l, h};
  }
  bool is_hash() const { return high[1] == ~std::uint64_t{0}; }

  /// Multiply-shift hashing (Dietzfelbinger et al., 1997): only the uppermost bits are mixed well.
  std::uint64_t hash() const {
    const Half folded = low ^ __builtin_shufflevector(high, high, 1, 0);
    return folded[0] * 0xff51afd7ed558ccdULL + folded[1] * 0xc4ceb9fe1a85ec53ULL;
  }
  friend bool operator==(const ShortText& a, const ShortText& b) {
    const Half differ = (a.low ^ b.low) | (a.high ^ b.high);
    return (differ[0] | differ[1]) == 0;
  }

 private:
  alignas(64) static constexpr unsigned char kMask[2 * kMax] = {
      255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
      255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255};

  template <class Byte>
  static Half load_half(const Byte* p) {
    Half half;
    std::memcpy(&half, p, sizeof half);
    return half;
  }
};

}  // namespace streamobs

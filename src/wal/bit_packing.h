// Small whole numbers in as many bits as they need.
//
// Numbers go in blocks of 128, each with a width of its own (0 … 32 bits), so that a single large
// one costs only its block. Within a full block they lie in four interleaved lanes of 32 bits, so
// that four are shifted at a time (the layout of Lemire and Boytsov, "Decoding billions of integers
// per second through vectorization", 2015); the last, shorter block is packed number behind number.
// Pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/bytes.h"

namespace streamobs::wal {

inline constexpr std::size_t kPackBlock = 128;

/// Appends `size` numbers. How many there are is not written.
void put_packed(std::string& out, const std::uint32_t* values, std::size_t size);

/// Reads `size` numbers that put_packed() wrote; false (and what is in `values` undefined) if they
/// are not there.
bool get_packed(ByteReader& in, std::size_t size, std::uint32_t* values);

/// Bits that `value` needs.
inline unsigned bits_of(std::uint64_t value) {
  return value == 0 ? 0 : 64 - static_cast<unsigned>(__builtin_clzll(value));
}

}  // namespace streamobs::wal

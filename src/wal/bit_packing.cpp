#include "wal/bit_packing.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string_view>

#include "base/short_text.h"

namespace streamobs::wal {

namespace {

static_assert(std::endian::native == std::endian::little,
              "packed words are written as they lie in memory");

/// Four lanes of 32 bits; GCC's and clang's own vectors, which every CPU has in some form.
using Lanes = std::uint32_t __attribute__((vector_size(16)));
constexpr unsigned kRows = kPackBlock / 4;
constexpr unsigned kWordBits = 32;

Lanes load(const void* from) {
  Lanes lanes;
  std::memcpy(&lanes, from, sizeof lanes);
  return lanes;
}

void store(void* to, Lanes lanes) {
  std::memcpy(to, &lanes, sizeof lanes);
}

unsigned width_of_block(const std::uint32_t* values) {
  Lanes all = {0, 0, 0, 0};
  for (unsigned row = 0; row < kRows; ++row) all |= load(values + 4 * row);
  return bits_of(all[0] | all[1] | all[2] | all[3]);
}

/// Writes width × 16 bytes.
void pack_block(const std::uint32_t* values, unsigned width, char* to) {
  Lanes word = {0, 0, 0, 0};
  unsigned filled = 0;
  for (unsigned row = 0; row < kRows; ++row) {
    const Lanes value = load(values + 4 * row);
    word |= value << filled;
    filled += width;
    if (filled < kWordBits) continue;
    store(to, word);
    to += sizeof word;
    filled -= kWordBits;
    // What did not fit; a shift by all 32 bits would be undefined.
    word = filled == 0 ? Lanes{0, 0, 0, 0} : value >> (width - filled);
  }
}

void unpack_block(const char* from, unsigned width, std::uint32_t* values) {
  if (width == 0) {
    std::memset(values, 0, kPackBlock * sizeof *values);
    return;
  }
  const std::uint32_t ones = width == kWordBits ? ~std::uint32_t{0} : (1U << width) - 1;
  const Lanes mask = {ones, ones, ones, ones};
  Lanes word = load(from);
  unsigned used = 0;
  for (unsigned row = 0; row < kRows; ++row) {
    Lanes value = word >> used;
    used += width;
    if (used >= kWordBits && row + 1 < kRows) {
      from += sizeof word;
      word = load(from);
      used -= kWordBits;
      if (used != 0) value |= word << (width - used);
    }
    store(values + 4 * row, value & mask);
  }
}

std::size_t bytes_of_rest(std::size_t size, unsigned width) {
  return (size * width + 7) / 8;
}

/// The last block, shorter than the others: number behind number. Writes bytes_of_rest() bytes and
/// may touch 7 more.
void pack_rest(const std::uint32_t* values, std::size_t size, unsigned width, char* to) {
  std::uint64_t word = 0;
  unsigned filled = 0;
  for (std::size_t i = 0; i < size; ++i) {
    word |= std::uint64_t{values[i]} << filled;
    filled += width;
    if (filled < kWordBits) continue;
    std::memcpy(to, &word, 4);
    to += 4;
    word >>= kWordBits;
    filled -= kWordBits;
  }
  std::memcpy(to, &word, sizeof word);
}

void unpack_rest(std::string_view bytes, std::size_t size, unsigned width, std::uint32_t* values) {
  const std::uint64_t mask = (std::uint64_t{1} << width) - 1;
  std::size_t bit = 0;
  std::size_t i = 0;
  // While eight bytes can be read at once; a number begins within the first eight bits of them.
  for (; i < size && bit / 8 + sizeof(std::uint64_t) <= bytes.size(); ++i, bit += width) {
    values[i] = static_cast<std::uint32_t>(load_word(bytes.data() + bit / 8) >> bit % 8 & mask);
  }
  if (i == size) return;
  char last[2 * sizeof(std::uint64_t)] = {};
  const std::size_t from = std::min(bit / 8, bytes.size());
  if (from != bytes.size()) std::memcpy(last, bytes.data() + from, bytes.size() - from);
  for (; i < size; ++i, bit += width) {
    values[i] = static_cast<std::uint32_t>(load_word(last + (bit / 8 - from)) >> bit % 8 & mask);
  }
}

}  // namespace

void put_packed(std::string& out, const std::uint32_t* values, std::size_t size) {
  char bytes[1 + kPackBlock * sizeof *values + sizeof(std::uint64_t)];
  for (; size >= kPackBlock; values += kPackBlock, size -= kPackBlock) {
    const unsigned width = width_of_block(values);
    bytes[0] = static_cast<char>(width);
    if (width != 0) pack_block(values, width, bytes + 1);
    out.append(bytes, 1 + width * sizeof(Lanes));
  }
  if (size == 0) return;
  std::uint32_t all = 0;
  for (std::size_t i = 0; i < size; ++i) all |= values[i];
  const unsigned width = bits_of(all);
  bytes[0] = static_cast<char>(width);
  pack_rest(values, size, width, bytes + 1);
  out.append(bytes, 1 + bytes_of_rest(size, width));
}

bool get_packed(ByteReader& in, std::size_t size, std::uint32_t* values) {
  for (; size >= kPackBlock; values += kPackBlock, size -= kPackBlock) {
    const unsigned width = in.u8();
    if (width > kWordBits) return false;
    const std::string_view bytes = in.text(width * sizeof(Lanes));
    if (!in.ok()) return false;
    unpack_block(bytes.data(), width, values);
  }
  if (size == 0) return in.ok();
  const unsigned width = in.u8();
  if (width > kWordBits) return false;
  const std::string_view bytes = in.text(bytes_of_rest(size, width));
  if (!in.ok()) return false;
  unpack_rest(bytes, size, width, values);
  return true;
}

}  // namespace streamobs::wal

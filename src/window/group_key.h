// A group's key as bytes: equal keys have equal bytes, whatever lane or dictionary they came from.
//
// For each key column a byte says null (0) or not (1); then eight bytes little endian for numbers
// and times, one for booleans; text stands with its length before it, and as it is where it is the
// last column. In memory a key is a 16-byte header with up to 12 of its bytes in it, so that most
// comparisons look nowhere else.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "event/value.h"

namespace streamobs::window {

struct GroupKey {
  static constexpr std::uint32_t kInline = 12;
  /// The size that stands for the group __overflow__.
  static constexpr std::uint32_t kOverflow = 0xffffffff;

  std::uint32_t size = 0;
  char prefix[4] = {};
  union {
    char rest[8];
    const char* text;  ///< All of it, where size > kInline.
  } tail{};

  /// `bytes` must outlive the key where it is longer than kInline.
  static GroupKey of(std::string_view bytes) {
    GroupKey key;
    key.size = static_cast<std::uint32_t>(bytes.size());
    if (bytes.size() > kInline) {
      std::memcpy(key.prefix, bytes.data(), 4);
      key.tail.text = bytes.data();
    } else if (!bytes.empty()) {
      char padded[kInline] = {};
      std::memcpy(padded, bytes.data(), bytes.size());
      std::memcpy(key.prefix, padded, 4);
      std::memcpy(key.tail.rest, padded + 4, 8);
    }
    return key;
  }
  /// The same from bytes behind which another kInline are readable, without a call or a branch.
  static GroupKey of_padded(const char* bytes, std::size_t size) {
    if constexpr (std::endian::native != std::endian::little) return of({bytes, size});
    if (size > kInline) return of({bytes, size});
    std::uint64_t first;  // Bytes 0 … 7 and 4 … 11; a shift by 64 would be undefined.
    std::uint64_t last;
    std::memcpy(&first, bytes, 8);
    std::memcpy(&last, bytes + 4, 8);
    const std::uint64_t prefix_bits = 8 * std::min<std::size_t>(size, 4);
    const std::uint64_t rest_bits = 8 * (size - std::min<std::size_t>(size, 4));
    const std::uint64_t prefix = first & ((std::uint64_t{1} << prefix_bits) - 1);
    const std::uint64_t rest =
        rest_bits == 64 ? last : last & ((std::uint64_t{1} << rest_bits) - 1);
    return of_words(static_cast<std::uint64_t>(size) | prefix << 32, rest);
  }
  /// The key of one number that is not null.
  static GroupKey of_number(std::uint64_t v) {
    if constexpr (std::endian::native != std::endian::little) {
      char bytes[9] = {1};
      for (int i = 0; i < 8; ++i) bytes[1 + i] = static_cast<char>(v >> (8 * i));
      return of({bytes, sizeof bytes});
    }
    return of_words(9 | std::uint64_t{1} << 32 | v << 40, v >> 24);
  }
  static GroupKey overflow() {
    GroupKey key;
    key.size = kOverflow;
    return key;
  }

  bool is_overflow() const { return size == kOverflow; }
  bool is_long() const { return size > kInline && size != kOverflow; }
  /// The bytes; of an inline key they stand in `*this` itself.
  std::string_view bytes() const {
    if (is_overflow()) return {};
    if (is_long()) return {tail.text, size};
    return {reinterpret_cast<const char*>(this) + 4, size};
  }
  std::uint32_t hash() const {
    if (is_long()) return static_cast<std::uint32_t>(hash_bytes({tail.text, size}) >> 32);
    std::uint64_t words[2];
    std::memcpy(words, this, sizeof words);
    // Two words multiplied to 128 bits and folded, as in wyhash. Only in memory, never stored.
    __extension__ using Wide = unsigned __int128;
    const Wide product =
        static_cast<Wide>(words[0] ^ 0xa0761d6478bd642fULL) * (words[1] ^ 0xe7037ed1a0b428dbULL);
    const std::uint64_t mixed =
        static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
    return static_cast<std::uint32_t>(mixed ^ (mixed >> 32));
  }
  friend bool operator==(const GroupKey& a, const GroupKey& b) {
    std::uint64_t x[2];
    std::uint64_t y[2];
    std::memcpy(x, &a, sizeof x);
    std::memcpy(y, &b, sizeof y);
    if (x[0] != y[0]) return false;
    if (x[1] == y[1]) return true;
    return a.is_long() && std::memcmp(a.tail.text, b.tail.text, a.size) == 0;
  }

 private:
  static GroupKey of_words(std::uint64_t low, std::uint64_t high) {
    const std::uint64_t words[2] = {low, high};
    GroupKey key;
    std::memcpy(&key, words, sizeof key);
    return key;
  }
};
static_assert(sizeof(GroupKey) == 16);

/// Appends one column's value. `last`: it is the key's last column.
void append_key(std::string& out, const ColumnView& column, std::size_t row, bool last);

/// The values of a key; of __overflow__: that text for strings, NULL for the rest.
std::vector<Value> decode_key(const GroupKey& key, const std::vector<DataType>& types);

/// Orders keys as compare() orders their values, column by column; __overflow__ comes last.
int compare_keys(const GroupKey& a, const GroupKey& b, const std::vector<DataType>& types);

}  // namespace streamobs::window

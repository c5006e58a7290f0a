// Strings of low cardinality as small numbers: services, levels, countries.
//
// One dictionary for each string column of each decode lane; it lives as long as the lane and only
// grows, so an id stays good for ever. Only the lane that decodes interns; any strand that holds a
// batch may read the entries that existed when the batch was made (entries never move).
// Bounded: when `capacity` entries or `kMaxBytes` of text are in it, intern() says kNone and the
// column carries plain strings from then on.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/short_text.h"

namespace streamobs {

class Dictionary {
 public:
  using Id = std::uint32_t;
  static constexpr Id kNone = 0xffffffff;
  static constexpr std::size_t kMaxEntries = 1 << 16;
  static constexpr std::size_t kMaxBytes = 4 << 20;

  explicit Dictionary(std::size_t capacity = 1 << 12);
  Dictionary(const Dictionary&) = delete;
  Dictionary& operator=(const Dictionary&) = delete;

  /// The id of `text`, added if it is new; kNone when it is new and the dictionary is full.
  Id intern(std::string_view text) { return intern(text, key_of(text)); }
  /// The same, only faster, for text of at most ShortText::kMax bytes without NUL, from whose start
  /// on that many bytes can be read.
  Id intern_padded(std::string_view text) {
    const ShortText key = ShortText::from_padded(text.data(), text.size());
    const Slot& slot = table_[first_slot(key)];
    return slot.key == key ? slot.id : intern_slow(text, key);
  }
  /// The id of `text` if it is in here, else kNone.
  Id find(std::string_view text) const;

  std::string_view operator[](Id id) const { return (*chunks_[id / kChunk])[id % kChunk]; }
  std::size_t size() const { return size_; }
  std::size_t bytes() const { return bytes_; }
  /// Different for every dictionary this process has made, so that what was computed for the
  /// entries of one is never taken for another that came to stand at the same address.
  std::uint64_t serial() const { return serial_; }

 private:
  static constexpr std::size_t kChunk = 1024;
  struct Slot {
    /// A short text's bytes; the hash of a longer one, and its size; of a free slot, what no text
    /// has.
    ShortText key = ShortText::of_hash(0, 0);
    Id id = kNone;
  };
  static ShortText key_of(std::string_view text);
  std::size_t first_slot(const ShortText& key) const { return key.hash() >> shift_; }
  /// True if `slot` holds `text`, whose key is `key`.
  bool holds(const Slot& slot, const ShortText& key, std::string_view text) const {
    return slot.key == key && slot.id != kNone && (!key.is_hash() || (*this)[slot.id] == text);
  }
  Id intern(std::string_view text, const ShortText& key) {
    const Slot& slot = table_[first_slot(key)];
    return holds(slot, key, text) ? slot.id : intern_slow(text, key);
  }
  Id intern_slow(std::string_view text, const ShortText& key);
  std::size_t slot_of(const ShortText& key, std::string_view text) const;
  void grow_table();

  std::uint64_t serial_;
  std::size_t capacity_;
  std::size_t size_ = 0;
  std::size_t bytes_ = 0;
  std::vector<Slot> table_;  ///< Open addressing, at most a quarter full.
  unsigned shift_;           ///< The table takes the hash's upper 64 - shift_ bits.
  std::array<std::unique_ptr<std::array<std::string_view, kChunk>>, kMaxEntries / kChunk> chunks_;
  std::vector<std::unique_ptr<char[]>> text_;  ///< What the entries point into.
  std::size_t text_left_ = 0;
  char* text_next_ = nullptr;
};

}  // namespace streamobs

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
  Id intern(std::string_view text);
  /// The id of `text` if it is in here, else kNone.
  Id find(std::string_view text) const;

  std::string_view operator[](Id id) const { return (*chunks_[id / kChunk])[id % kChunk]; }
  std::size_t size() const { return size_; }
  std::size_t bytes() const { return bytes_; }

 private:
  static constexpr std::size_t kChunk = 1024;
  struct Slot {
    std::uint64_t hash = 0;
    Id id = kNone;
  };
  void grow_table();
  std::size_t slot_of(std::uint64_t hash, std::string_view text) const;

  std::size_t capacity_;
  std::size_t size_ = 0;
  std::size_t bytes_ = 0;
  std::vector<Slot> table_;  ///< Open addressing, at most half full.
  std::array<std::unique_ptr<std::array<std::string_view, kChunk>>, kMaxEntries / kChunk> chunks_;
  std::vector<std::unique_ptr<char[]>> text_;  ///< What the entries point into.
  std::size_t text_left_ = 0;
  char* text_next_ = nullptr;
};

}  // namespace streamobs

// Which places in an event a stream's columns come from, and how to find them while reading.
//
// Made once for each decoder from the schema, never changed afterwards. Every distinct path (a
// field's own, an alias, the time field's) has a slot; reading an event fills a Token for each
// slot, and columns then take theirs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/short_text.h"
#include "event/schema.h"

namespace streamobs::decode {

class FieldIndex {
 public:
  static constexpr std::uint32_t kNone = 0xffffffff;

  explicit FieldIndex(const StreamSchema& schema);

  struct Match {
    std::uint32_t slot = kNone;  ///< kNone: no column comes from here.
    bool prefix = false;         ///< Some path goes on below this one.
  };
  /// What stands at `path` (keys joined by dots).
  Match find(std::string_view path) const;
  /// The same for a path from whose start on ShortText::kMax bytes can be read: faster.
  Match find_padded(std::string_view path) const;

  std::size_t slots() const { return paths_.size(); }
  const std::string& path(std::uint32_t slot) const { return paths_[slot]; }
  /// The slots a column is taken from, in the order they are tried.
  const std::vector<std::uint32_t>& column_slots(std::size_t column) const {
    return column_slots_[column];
  }
  /// The columns that are taken from a slot.
  const std::vector<std::uint32_t>& slot_columns(std::uint32_t slot) const {
    return slot_columns_[slot];
  }
  std::size_t columns() const { return column_slots_.size(); }
  static constexpr std::size_t kNoTime = ~std::size_t{0};
  /// The column that bears the event time; kNoTime: these are no events.
  std::size_t time_column() const { return time_column_; }

 private:
  struct Entry {
    ShortText key;           ///< Short paths: their bytes. Long ones: their hash.
    std::uint32_t size = 0;  ///< 0: free (a path is never empty).
    Match match;
    std::string path;
  };
  std::uint32_t add_path(const std::string& path);
  Entry& entry(std::string_view path);
  Match find(std::string_view path, const ShortText& key) const;

  std::vector<std::string> paths_;
  std::vector<std::vector<std::uint32_t>> column_slots_;
  std::vector<std::vector<std::uint32_t>> slot_columns_;
  std::vector<Entry> table_;  ///< Open addressing, at most a quarter full.
  std::uint64_t mask_ = 0;
  std::size_t time_column_ = 0;
};

}  // namespace streamobs::decode

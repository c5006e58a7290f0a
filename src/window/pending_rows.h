// Rows of one side of a join that may still find a partner: by key, and in the order of their
// times.
//
// Private to this folder, belongs to a StreamJoin. Its memory is counted, its bounds are kept by
// whoever adds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/hash.h"

namespace streamobs::window {

struct PendingRow {
  std::string key;           ///< Bytes of its key (LookupKey).
  std::string values;        ///< Its columns (window/row_values).
  std::uint32_t source = 0;  ///< In the join's table of names.
  Timestamp received_at = 0;
  bool matched = false;  ///< It has found a partner.
};

class PendingRows {
 public:
  /// A row's time, and its number in the order of arrival, which tells rows of one time apart.
  using Place = std::pair<Timestamp, std::uint64_t>;

  void add(Place place, PendingRow row);
  /// Those of a key, in the order of arrival; good until the next change.
  const std::vector<Place>& of_key(std::string_view key) const;
  PendingRow& at(const Place& place) { return rows_.at(place); }
  void note_match(const Place& place);
  PendingRow take(const Place& place);

  bool empty() const { return rows_.empty(); }
  /// The oldest by time; there is one.
  const Place& oldest() const { return rows_.begin()->first; }
  /// The least time from `from` on; kMaxTimestamp: there is none.
  Timestamp oldest_from(Timestamp from) const;

  std::size_t size() const { return rows_.size(); }
  /// Of those, without a partner so far.
  std::size_t alone() const { return alone_; }
  /// Memory held, about.
  std::size_t bytes() const { return bytes_; }

  void snapshot(std::string& out) const;
  /// Into one that is empty, of rows from so many sources; false: these bytes are none, and nothing
  /// is to be relied on.
  bool restore(ByteReader& in, std::size_t sources);

 private:
  struct Hash {
    using is_transparent = void;
    using is_avalanching = void;
    std::size_t operator()(std::string_view key) const { return hash_bytes(key); }
  };
  struct Equal {
    using is_transparent = void;
    bool operator()(std::string_view a, std::string_view b) const { return a == b; }
  };
  static std::size_t bytes_of(const PendingRow& row);

  std::map<Place, PendingRow> rows_;
  boost::unordered_flat_map<std::string, std::vector<Place>, Hash, Equal> by_key_;
  std::size_t bytes_ = 0;
  std::size_t alone_ = 0;
};

}  // namespace streamobs::window

// A table that events are looked up in: what a model costs, what was promised for a service.
//
// Made from a file's rows, decoded as events are; never changed: another version of the file is
// another table. Shared by all that look into it, on any strand.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/unordered/unordered_flat_map.hpp>

#include "base/hash.h"
#include "base/result.h"
#include "event/column.h"
#include "event/event_batch.h"

namespace streamobs {

/// What its rows look like.
struct LookupSchema {
  struct Column {
    std::string name;
    DataType type;
  };
  std::string name;
  std::vector<Column> columns;
  std::vector<std::size_t> keys;  ///< Which columns, together, are the key; in their order.
  /// The column that says from which time on a row holds; none: a key has one row, for all time.
  std::optional<std::size_t> valid_from;
  /// Columns may be missing because of a mistake that has been told.
  bool incomplete = false;
};

/// The bytes of a key: those of a single text alone, else each value with what tells where it ends.
class LookupKey {
 public:
  explicit LookupKey(bool single) : single_(single) {}
  void clear() { bytes_.clear(); }
  /// Adds the value in `row`, which is not null.
  void add(const ColumnView& column, std::size_t row);
  std::string_view bytes() const { return bytes_; }

 private:
  bool single_;
  std::string bytes_;
};

class LookupTable {
 public:
  /// `rows` has the schema's columns; `schema` outlives the table. `invalid`: a key is null or
  /// there twice (for the same time). `row_name(row)` is what a message calls a row.
  static Result<std::shared_ptr<const LookupTable>> make(
      const LookupSchema& schema, EventBatch rows,
      const std::function<std::string(std::size_t)>& row_name);

  const LookupSchema& schema() const { return schema_; }
  std::size_t rows() const { return rows_.rows; }

  static constexpr std::size_t kNone = ~std::size_t{0};
  /// The row for a key at a time (which only tables with `valid_from` look at); kNone if there is
  /// none, or none yet.
  std::size_t find(std::string_view key, Timestamp at) const;
  /// A column's values, by row.
  const ColumnView& column(std::size_t index) const { return views_[index]; }

 private:
  LookupTable(const LookupSchema& schema, EventBatch rows);

  struct Hash {
    using is_avalanching = void;
    std::size_t operator()(std::string_view key) const { return hash_bytes(key); }
  };
  struct Range {
    std::uint32_t begin = 0;  ///< In `order_`.
    std::uint32_t end = 0;
  };

  const LookupSchema& schema_;
  EventBatch rows_;
  std::vector<ColumnView> views_;
  std::vector<std::uint32_t> order_;   ///< Rows by key; those of a key by time.
  std::vector<Timestamp> valid_from_;  ///< Of the rows in that order.
  std::string keys_;                   ///< What the index's views point into.
  boost::unordered_flat_map<std::string_view, Range, Hash> index_;
};

/// All tables of an engine, as they are at one position of the log; by their number in the plan.
struct LookupTables {
  std::vector<std::shared_ptr<const LookupTable>> tables;
};

}  // namespace streamobs

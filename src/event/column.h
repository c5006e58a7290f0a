// Values in columns: what decode fills, expressions compute over and accumulators consume.
//
// A Column owns its arrays and belongs to one batch; a ColumnView looks at a column, at a slice of
// it, or at a constant, and must not outlive what it looks at. Exactly one array is used, by kind:
//
//   boolean                              bools    one byte each, 0 or 1
//   integer, decimal, timestamp, interval  ints
//   floating                             floats
//   string, map                          ids into `dictionary` where there is one, else `strings`
//
// A null is a 1 in `nulls`; the value beside it is defined but meaningless (0, "" or id 0).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "base/pod_vector.h"
#include "event/data_type.h"
#include "event/dictionary.h"

namespace streamobs {

struct ColumnView {
  DataType type;
  bool constant = false;                 ///< One value, at index 0, for every row.
  const std::uint8_t* nulls = nullptr;   ///< Null pointer: no row is null.
  const std::uint8_t* bools = nullptr;
  const std::int64_t* ints = nullptr;
  const double* floats = nullptr;
  const Dictionary::Id* ids = nullptr;
  const Dictionary* dictionary = nullptr;
  const std::string_view* strings = nullptr;

  std::size_t index(std::size_t row) const { return constant ? 0 : row; }
  bool is_null(std::size_t row) const { return nulls != nullptr && nulls[index(row)] != 0; }
  bool bool_at(std::size_t row) const { return bools[index(row)] != 0; }
  std::int64_t int_at(std::size_t row) const { return ints[index(row)]; }
  double float_at(std::size_t row) const { return floats[index(row)]; }
  std::string_view string_at(std::size_t row) const {
    const std::size_t i = index(row);
    return dictionary != nullptr ? (*dictionary)[ids[i]] : strings[i];
  }
  /// The rows from `begin` on.
  ColumnView slice(std::size_t begin) const;
};

struct Column {
  DataType type;
  bool has_nulls = false;  ///< False: `nulls` is not filled.
  PodVector<std::uint8_t> nulls;
  PodVector<std::uint8_t> bools;
  PodVector<std::int64_t> ints;
  PodVector<double> floats;
  PodVector<Dictionary::Id> ids;
  PodVector<std::string_view> strings;
  std::shared_ptr<const Dictionary> dictionary;  ///< Set: `ids` is used, else `strings`.

  ColumnView view() const;
  void clear();
};

}  // namespace streamobs

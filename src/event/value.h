// One value of a result row: a group key or a metric.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_writer.h"
#include "event/column.h"
#include "event/data_type.h"

namespace streamobs {

struct Value {
  DataType type;
  bool null = true;
  std::int64_t integer = 0;  ///< boolean (0 or 1), integer, decimal (unscaled), timestamp, interval.
  double floating = 0;
  std::string text;

  static Value of_null(DataType type) { return {type, true, 0, 0, {}}; }
  static Value of_bool(bool v) { return {{Kind::boolean, 0}, false, v ? 1 : 0, 0, {}}; }
  static Value of_int(std::int64_t v) { return {{Kind::integer, 0}, false, v, 0, {}}; }
  static Value of_float(double v) { return {{Kind::floating, 0}, false, 0, v, {}}; }
  static Value of_decimal(std::int64_t unscaled, std::uint8_t scale) {
    return {{Kind::decimal, scale}, false, unscaled, 0, {}};
  }
  static Value of_string(std::string v) { return {{Kind::string, 0}, false, 0, 0, std::move(v)}; }
  static Value of_timestamp(Timestamp v) { return {{Kind::timestamp, 0}, false, v, 0, {}}; }
  /// The value in `row` of a column.
  static Value from(const ColumnView& column, std::size_t row);

  /// As a number where it is one (a decimal is divided out), else 0.
  double as_double() const;
  void write_json(JsonWriter& json) const;
  /// For people and for CSV: no quotes; null is the empty string.
  std::string to_string() const;

  friend bool operator==(const Value&, const Value&) = default;
};

/// Orders values of one type: null first, numbers by size, text by bytes.
int compare(const Value& a, const Value& b);

/// Exact bytes of a key: unlike the joined text, "a|b" + "c" differs from "a" + "b|c", and null from
/// the empty string. Frozen: ids of anomalies are hashes of it, checkpoints hold it.
std::string key_bytes(const std::vector<Value>& keys);

}  // namespace streamobs

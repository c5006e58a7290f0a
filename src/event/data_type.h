// The types an event's field or a result's column can have.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace streamobs {

enum class Kind : std::uint8_t {
  null = 0,       ///< Only the literal NULL, before it takes another type.
  boolean = 1,    ///< true / false.
  integer = 2,    ///< 64 bits, signed.
  floating = 3,   ///< IEEE double; never NaN, never infinite.
  decimal = 4,    ///< A 64-bit whole number of 10^-scale units.
  string = 5,     ///< UTF-8.
  timestamp = 6,  ///< Microseconds since the epoch, UTC.
  interval = 7,   ///< Microseconds; only within expressions.
  map = 8,        ///< A flat JSON object, kept as its text; read by key: tags['region'].
};

struct DataType {
  Kind kind = Kind::null;
  std::uint8_t scale = 0;  ///< Decimal digits after the point; 0 for every other kind.

  friend bool operator==(const DataType&, const DataType&) = default;
};

/// True where a value is stored as a 64-bit integer.
constexpr bool is_integral(Kind kind) {
  return kind == Kind::integer || kind == Kind::decimal || kind == Kind::timestamp ||
         kind == Kind::interval;
}
constexpr bool is_numeric(Kind kind) {
  return kind == Kind::integer || kind == Kind::decimal || kind == Kind::floating;
}
/// True where a value is stored as text.
constexpr bool is_text(Kind kind) { return kind == Kind::string || kind == Kind::map; }

/// "string", "int", "float", "bool", "decimal(2)", "timestamp", "map": as in the config.
std::string to_text(DataType type);
/// The reverse; also takes PostgreSQL's names (text, bigint, double precision, boolean, numeric(p,s)).
std::optional<DataType> parse_data_type(std::string_view text);

}  // namespace streamobs

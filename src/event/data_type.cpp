#include "event/data_type.h"

#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include "base/decimal.h"

namespace streamobs {

std::string to_text(DataType type) {
  switch (type.kind) {
    case Kind::null: return "null";
    case Kind::boolean: return "bool";
    case Kind::integer: return "int";
    case Kind::floating: return "float";
    case Kind::decimal: return fmt::format("decimal({})", type.scale);
    case Kind::string: return "string";
    case Kind::timestamp: return "timestamp";
    case Kind::interval: return "interval";
    case Kind::map: return "map";
  }
  return "?";
}

std::optional<DataType> parse_data_type(std::string_view text) {
  std::string name;
  for (const char c : text) {
    if (c != ' ') name += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  struct Name {
    std::string_view name;
    Kind kind;
  };
  static constexpr Name kNames[] = {
      {"string", Kind::string},        {"text", Kind::string},
      {"varchar", Kind::string},       {"int", Kind::integer},
      {"integer", Kind::integer},      {"bigint", Kind::integer},
      {"int8", Kind::integer},         {"float", Kind::floating},
      {"float8", Kind::floating},      {"double", Kind::floating},
      {"doubleprecision", Kind::floating}, {"real", Kind::floating},
      {"bool", Kind::boolean},         {"boolean", Kind::boolean},
      {"timestamp", Kind::timestamp},  {"timestamptz", Kind::timestamp},
      {"interval", Kind::interval},    {"map", Kind::map}};
  for (const Name& n : kNames) {
    if (name == n.name) return DataType{n.kind, 0};
  }
  for (const std::string_view prefix : {"decimal(", "numeric("}) {
    if (!name.starts_with(prefix) || !name.ends_with(')')) continue;
    std::string_view digits(name);
    digits = digits.substr(prefix.size(), digits.size() - prefix.size() - 1);
    // numeric(p, s), as in SQL: what counts here is the scale.
    if (const auto comma = digits.find(','); comma != std::string_view::npos) {
      digits = digits.substr(comma + 1);
    }
    if (digits.empty() || digits.size() > 2 ||
        !std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; })) {
      return std::nullopt;
    }
    int scale = 0;
    for (const char c : digits) scale = scale * 10 + (c - '0');
    if (scale > kMaxDecimalScale) return std::nullopt;
    return DataType{Kind::decimal, static_cast<std::uint8_t>(scale)};
  }
  return std::nullopt;
}

}  // namespace streamobs

#include "event/value.h"

#include <iterator>

#include <fmt/format.h>

#include "base/decimal.h"
#include "base/time_format.h"

namespace streamobs {

Value Value::from(const ColumnView& column, std::size_t row) {
  Value v = of_null(column.type);
  if (column.is_null(row) || column.type.kind == Kind::null) return v;
  v.null = false;
  switch (column.type.kind) {
    case Kind::null: break;
    case Kind::boolean: v.integer = column.bool_at(row) ? 1 : 0; break;
    case Kind::integer:
    case Kind::decimal:
    case Kind::timestamp:
    case Kind::interval: v.integer = column.int_at(row); break;
    case Kind::floating: v.floating = column.float_at(row); break;
    case Kind::string:
    case Kind::map: v.text = std::string(column.string_at(row)); break;
  }
  return v;
}

double Value::as_double() const {
  if (null) return 0;
  switch (type.kind) {
    case Kind::floating: return floating;
    case Kind::decimal:
      return static_cast<double>(integer) / static_cast<double>(power_of_ten(type.scale));
    default: return static_cast<double>(integer);
  }
}

void Value::write_json(JsonWriter& json) const {
  if (null) {
    json.null();
    return;
  }
  switch (type.kind) {
    case Kind::null: json.null(); break;
    case Kind::boolean: json.value(integer != 0); break;
    case Kind::integer:
    case Kind::interval: json.value(integer); break;
    case Kind::floating: json.value(floating); break;
    case Kind::decimal: json.decimal(integer, type.scale); break;
    case Kind::timestamp: json.time(integer); break;
    case Kind::string: json.value(text); break;
    case Kind::map: json.raw(text); break;
  }
}

std::string Value::to_string() const {
  if (null) return {};
  switch (type.kind) {
    case Kind::null: return {};
    case Kind::boolean: return integer != 0 ? "true" : "false";
    case Kind::integer: return fmt::format("{}", integer);
    case Kind::interval: return to_text(integer);
    case Kind::floating: return fmt::format("{}", floating);
    case Kind::decimal: {
      std::string out;
      append_decimal(out, integer, type.scale);
      return out;
    }
    case Kind::timestamp: return to_rfc3339(integer);
    case Kind::string:
    case Kind::map: return text;
  }
  return {};
}

std::string key_bytes(const std::vector<Value>& keys) {
  std::string out;
  for (const Value& key : keys) {
    const std::string text = key.to_string();
    fmt::format_to(std::back_inserter(out), "{}{}:", key.null ? "n" : "v", text.size());
    out += text;
  }
  return out;
}

int compare(const Value& a, const Value& b) {
  if (a.null || b.null) return static_cast<int>(b.null) - static_cast<int>(a.null);
  if (is_text(a.type.kind)) return a.text.compare(b.text);
  if (a.type.kind == Kind::floating) {
    return static_cast<int>(a.floating > b.floating) - static_cast<int>(a.floating < b.floating);
  }
  return static_cast<int>(a.integer > b.integer) - static_cast<int>(a.integer < b.integer);
}

}  // namespace streamobs

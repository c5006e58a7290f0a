// Between text and everything else.
#include <array>
#include <cstring>
#include <string>

#include <fmt/format.h>

#include "base/decimal.h"
#include "base/time_format.h"
#include "expr/kernel_loops.h"
#include "expr/kernels.h"
#include "expr/text_values.h"

namespace streamobs::expr::kernels {
namespace {

using Int = std::int64_t;
using Text = std::string_view;

void append_value(std::string& out, const ColumnView& column, std::size_t row) {
  switch (column.type.kind) {
    case Kind::boolean:
      out += column.bool_at(row) ? "true" : "false";
      break;
    case Kind::integer:
      fmt::format_to(std::back_inserter(out), "{}", column.int_at(row));
      break;
    case Kind::floating:
      fmt::format_to(std::back_inserter(out), "{}", column.float_at(row));
      break;
    case Kind::decimal:
      append_decimal(out, column.int_at(row), column.type.scale);
      break;
    case Kind::timestamp:
      append_rfc3339(out, column.int_at(row));
      break;
    case Kind::interval:
      // The least integer has no opposite, which to_text() would need.
      out += to_text(std::max<Duration>(column.int_at(row), -kMaxTimestamp));
      break;
    case Kind::null:
    case Kind::string:
    case Kind::map:
      break;
  }
}

/// Rows whose text cannot be read become NULL; those out of range are counted besides.
template <class Out, class Parse>
void parse_rows(Frame& f, Parse parse) {
  Out* const out = results<Out>(f);
  const Cells<Text> text(f.args[0]);
  for (std::size_t i = 0; i < f.rows; ++i) {
    out[i] = 0;
    if (f.is_null(i)) continue;
    Out value = 0;
    switch (parse(text[i], value)) {
      case NumberError::none:
        out[i] = value;
        break;
      case NumberError::not_a_number:
        f.set_null(i);
        break;
      case NumberError::out_of_range:
        f.set_overflow(i);
        break;
    }
  }
}

template <class Out, class Value>
NumberError found(const std::optional<Value>& value, Out& out) {
  if (!value) return NumberError::not_a_number;
  out = static_cast<Out>(*value);
  return NumberError::none;
}

}  // namespace

void to_string(Frame& f) {
  const ColumnView& in = f.args[0];
  if (is_text(in.type.kind)) {
    for (std::size_t i = 0; i < f.rows; ++i) f.strings[i] = in.strings[i];
    return;
  }
  std::string buffer;  // Reused over the rows; what is kept is copied to the arena.
  for (std::size_t i = 0; i < f.rows; ++i) {
    f.strings[i] = {};
    if (f.is_null(i)) continue;
    buffer.clear();
    append_value(buffer, in, i);
    char* const out = f.scratch->allocate(buffer.size());
    if (out == nullptr) {
      f.set_overflow(i);
      continue;
    }
    std::memcpy(out, buffer.data(), buffer.size());
    f.strings[i] = {out, buffer.size()};
  }
}

void string_to_int(Frame& f) {
  parse_rows<Int>(f, parse_integer);
}
void string_to_float(Frame& f) {
  parse_rows<double>(f, parse_float);
}
void string_to_decimal(Frame& f) {
  const int scale = f.type.scale;
  parse_rows<Int>(f, [scale](Text text, Int& out) { return parse_decimal(text, scale, out); });
}
void string_to_bool(Frame& f) {
  parse_rows<std::uint8_t>(
      f, [](Text text, std::uint8_t& out) { return found(parse_boolean(text), out); });
}
void string_to_timestamp(Frame& f) {
  parse_rows<Int>(f, [](Text text, Int& out) { return found(parse_timestamp(text), out); });
}
void string_to_interval(Frame& f) {
  parse_rows<Int>(f, [](Text text, Int& out) { return found(parse_interval(text), out); });
}

}  // namespace streamobs::expr::kernels

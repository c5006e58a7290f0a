// How the shapes read a value: for each kind the short way, with the rare forms left to functions
// of their own. Only for the files of Shapes; inlined into both ways of walking.
#pragma once

#include <cstring>
#include <iterator>

#include "decode/number_text.h"
#include "decode/shapes.h"
#include "decode/text_scan.h"

namespace streamobs::decode {

inline constexpr unsigned kFewDigits = 6;  // So many that scan_few_digits() sees where they end.
inline constexpr std::int64_t kPowers[] = {1,       10,        100,        1'000,      10'000,
                                           100'000, 1'000'000, 10'000'000, 100'000'000};

static_assert(std::size(kPowers) > Shapes::kMaxShortScale);

inline std::uint32_t load_4(const char* p) {
  std::uint32_t word;
  std::memcpy(&word, p, sizeof word);
  return word;
}

inline bool is_null(const char* p) {
  return load_4(p) == load_4("null");
}

/// A number goes on here in a way that the short ways do not read.
inline bool goes_on(char c) {
  return c == '.' || c == 'e' || c == 'E';
}

inline bool Shapes::matches(const char* p, const Edge& edge) {
  return equal_16(p, edge.literal, edge.ignore) && (edge.size <= 16 || matches_behind(p, edge));
}

/// The edge can be taken: its value is not one that another edge opens.
inline bool Shapes::fits(const char* p, const Edge& edge) {
  return matches(p, edge) & ((edge.never == '\0') | (p[edge.size] != edge.never));
}

/// The literal behind its first 16 bytes: its last 16, and those between.
inline bool Shapes::matches_behind(const char* p, const Edge& edge) {
  constexpr std::uint32_t kAll = 0xffff0000;
  return equal_16(p + edge.size - 16, edge.literal + edge.size - 16, kAll) &&
         (edge.size <= 32 || equal_16(p + 16, edge.literal + 16, kAll));
}

inline const char* Shapes::read_time(const char* p, const char* end, const Edge& edge, Row row) {
  Timestamp time = 0;
  const char* const value_end = *p == '"' ? times_.parse_quoted(p + 1, time) : nullptr;
  if (value_end == nullptr) [[unlikely]]
    return read_other(p, end, edge, row);
  if (time > rows_.time_limit()) [[unlikely]]
    return nullptr;
  row.set_time(time);
  return value_end + 1;
}

inline const char* Shapes::read_text(const char* p, const char* end, const Edge& edge, Row row) {
  if (*p != '"') [[unlikely]]
    return read_other(p, end, edge, row);
  const char* const close = scan_plain_string(p + 1);
  if (*close != '"') [[unlikely]]
    return read_unusual_text(p, end, edge, row);
  row.set_text(writer_, *edge.place, {p + 1, static_cast<std::size_t>(close - p - 1)}, true);
  return close + 1;
}

/// One to six digits, the first not zero, and surely nothing behind them that makes more of the
/// number; null for all else.
inline const char* Shapes::read_few_digits(const char* p, std::int64_t& value) {
  const DigitRun run = scan_few_digits(p);
  const char* const after = p + run.count;
  value = static_cast<std::int64_t>(run.value);
  if (*p < '1' || run.count - 1 >= kFewDigits || (*after != ',' && *after != '}')) [[unlikely]] {
    return nullptr;
  }
  return after;
}

inline const char* Shapes::read_integer(const char* p, const char* end, const Edge& edge, Row row) {
  std::int64_t value = 0;
  const char* const after = read_few_digits(p, value);
  if (after == nullptr) [[unlikely]]
    return read_odd_integer(p, end, edge, row);
  row.set_int(*edge.place, value);
  return after;
}

/// One to six digits, the first not zero, perhaps with one to six behind a point.
inline const char* Shapes::read_short_float(const char* p, double& value) {
  const DigitRun whole = scan_few_digits(p);
  const char* after = p + whole.count;
  if (*p < '1' || whole.count - 1 >= kFewDigits) [[unlikely]]
    return nullptr;
  if (*after != '.') {
    value = static_cast<double>(static_cast<std::int64_t>(whole.value));
  } else {
    const DigitRun places = scan_few_digits(after + 1);
    after += 1 + places.count;
    if (places.count - 1 >= kFewDigits) [[unlikely]]
      return nullptr;
    value = exact_quotient(
        whole.value * static_cast<std::uint64_t>(kPowers[places.count]) + places.value,
        places.count);
  }
  return (*after | 0x20) != 'e' ? after : nullptr;
}

inline const char* Shapes::read_floating(const char* p, const char* end, const Edge& edge,
                                         Row row) {
  double value = 0;
  const char* const after = read_short_float(p, value);
  if (after == nullptr) [[unlikely]]
    return read_odd_floating(p, end, edge, row);
  row.set_float(*edge.place, value);
  return after;
}

inline const char* Shapes::read_decimal(const char* p, const char* end, const Edge& edge, Row row) {
  const char* const begin = p;
  const bool negative = *p == '-';
  p += negative ? 1 : 0;
  const DigitRun whole = scan_few_digits(p);
  const char* after = p + whole.count;
  if (whole.count - 1 >= kFewDigits || (*p == '0' && whole.count > 1)) [[unlikely]] {
    return read_other(begin, end, edge, row);
  }
  std::int64_t value = static_cast<std::int64_t>(whole.value) * kPowers[edge.scale];
  if (*after == '.') {
    const DigitRun places = scan_few_digits(after + 1);
    if (places.count - 1 >= kFewDigits || places.count > edge.scale) [[unlikely]] {
      return read_other(begin, end, edge, row);
    }
    value += static_cast<std::int64_t>(places.value) * kPowers[edge.scale - places.count];
    after += 1 + places.count;
  }
  if ((*after | 0x20) == 'e') [[unlikely]]
    return read_other(begin, end, edge, row);
  row.set_int(*edge.place, negative ? -value : value);
  return after;
}

inline const char* Shapes::read_boolean(const char* p, const char* end, const Edge& edge, Row row) {
  const bool yes = load_4(p) == load_4("true");
  if (!yes && (load_4(p) != load_4("fals") || p[4] != 'e')) return read_other(p, end, edge, row);
  row.set_bool(*edge.place, yes);
  return p + (yes ? 4 : 5);
}

inline const char* Shapes::read_skipped(const char* p, const char* end, const Edge& edge, Row) {
  if (*p == edge.never) [[unlikely]]
    return nullptr;  // An object now and then, which another edge opens.
  if (*p == '"') {
    const char* const close = scan_plain_string(p + 1);
    if (*close == '"') return close + 1;
  } else if (is_digit(*p)) {
    return scan_json_number(p, end);
  }
  Token token;
  return read_plainly(p, end, edge, token);
}

}  // namespace streamobs::decode

#include "decode/row_reader.h"

#include <algorithm>
#include <iterator>
#include <string>

#include <fmt/format.h>

#include "base/json_text.h"
#include "base/time_format.h"
#include "decode/number_text.h"
#include "event/dead_letter.h"

namespace streamobs::decode {

namespace {

/// Behind unescaped text, so that it can be interned without copying.
constexpr std::size_t kPadding = ShortText::kMax;

bool is_text_token(const Token& token) {
  return token.kind == Token::Kind::string || token.kind == Token::Kind::text;
}

bool equal_ignoring_case(std::string_view text, std::string_view lower) {
  return std::equal(text.begin(), text.end(), lower.begin(), lower.end(),
                    [](char a, char b) { return (a | 0x20) == b; });
}

/// What stood there, short enough for a message and still UTF-8.
void append_excerpt(std::string& out, const Token& token) {
  constexpr std::size_t kMost = 64;
  std::string_view text = token.text;
  const bool cut = text.size() > kMost;
  if (cut) {
    text = text.substr(0, kMost);
    while (!text.empty() && (static_cast<unsigned char>(text.back()) & 0xc0) == 0x80) {
      text.remove_suffix(1);
    }
    if (!text.empty() && static_cast<unsigned char>(text.back()) >= 0xc0) text.remove_suffix(1);
  }
  const bool quoted = is_text_token(token);
  fmt::format_to(std::back_inserter(out), "{}{}{}{}", quoted ? "\"" : "", text, cut ? "…" : "",
                 quoted ? "\"" : "");
}

/// The cell is empty, or blank and of a type in which blanks mean nothing.
bool is_empty_cell(const Token& token, Kind kind) {
  if (token.kind != Token::Kind::text || kind == Kind::string) return false;
  return token.text.find_first_not_of(' ') == std::string_view::npos;
}

}  // namespace

RowReader::RowReader(const StreamPlan& plan, const FieldIndex& index, TimeParser& times,
                     JsonReader& json, BatchWriter& writer, Refusal& refusal)
    : plan_(plan), index_(index), times_(times), json_(json), writer_(writer), refusal_(refusal) {}

/// A value's text as every type but string looks at it: without escapes, and in a cell without the
/// blanks around it. Lives as long as the batch.
std::string_view RowReader::plain_text(const Token& token) {
  std::string_view text = token.text;
  if (token.escaped) {
    char* const plain = writer_.batch().text.allocate(text.size());
    return {plain, unescape_json(text, plain)};
  }
  if (token.kind == Token::Kind::text) {
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  }
  return text;
}

bool RowReader::read(const Token* tokens) {
  static constexpr Token kAbsent;
  for (std::size_t column = 0; column < index_.columns(); ++column) {
    const Token* token = &kAbsent;
    for (const std::uint32_t slot : index_.column_slots(column)) {
      const Token& found = tokens[slot];
      if (found.kind == Token::Kind::absent || found.kind == Token::Kind::null) continue;
      if (is_empty_cell(found, field(column).type.kind)) continue;
      // An object is no value here, but a further path may lead to one in it. If none does, it is
      // told what stood there.
      const bool perhaps_inside =
          found.kind == Token::Kind::object && field(column).type.kind != Kind::map;
      if (perhaps_inside && token->kind != Token::Kind::absent) continue;
      token = &found;
      if (!perhaps_inside) break;
    }
    if (token->kind == Token::Kind::absent) {
      if (field(column).required) {
        return refuse(reason::missing_field, field(column), "is required and is not there",
                      kAbsent);
      }
      writer_.set_null(column);
      continue;
    }
    if (!read_value(column, *token)) return false;
  }
  return true;
}

bool RowReader::read_column(std::size_t column, const Token& token) {
  switch (field(column).type.kind) {
    case Kind::boolean:
      return read_bool(column, token);
    case Kind::integer:
    case Kind::floating:
    case Kind::decimal:
      return read_number(column, token);
    case Kind::timestamp:
      // The event time's own column is filled from it at the end.
      return column == index_.time_column() || read_timestamp(column, token);
    case Kind::map:
      return read_map(column, token);
    default:
      return read_string(column, token);
  }
}

bool RowReader::read_bool(std::size_t column, const Token& token) {
  const std::string_view text = plain_text(token);
  if (token.kind == Token::Kind::boolean) {
    writer_.set_bool(column, text == "true");
    return true;
  }
  if (token.kind != Token::Kind::text) return wrong_type(column, token);
  const bool yes = text == "1" || equal_ignoring_case(text, "true");
  if (!yes && text != "0" && !equal_ignoring_case(text, "false")) return wrong_type(column, token);
  writer_.set_bool(column, yes);
  return true;
}

bool RowReader::read_number(std::size_t column, const Token& token) {
  const DataType type = field(column).type;
  const bool decimal_in_quotes = token.kind == Token::Kind::string && type.kind == Kind::decimal;
  if (token.kind != Token::Kind::number && token.kind != Token::Kind::text && !decimal_in_quotes) {
    return wrong_type(column, token);
  }
  const std::string_view text = plain_text(token);
  const auto number = decode::read_number(text);
  if (!number) {
    if (token.kind == Token::Kind::text && is_non_finite(text)) {
      return refuse(reason::out_of_range, field(column), "expected a finite number, got", token);
    }
    return wrong_type(column, token);
  }
  NumberError error = NumberError::none;
  if (type.kind == Kind::floating) {
    double value = 0;
    error = to_double(text, *number, value);
    writer_.set_float(column, value);
  } else {
    std::int64_t value = 0;
    error = to_decimal(*number, type.scale, value);
    writer_.set_int(column, value);
  }
  if (error == NumberError::none) return true;
  if (error == NumberError::range) {
    return refuse(
        reason::out_of_range, field(column),
        type.kind == Kind::floating ? "larger than a float can be:" : "does not fit into 64 bits:",
        token);
  }
  if (type.kind == Kind::integer) return wrong_type(column, token);
  return refuse(reason::out_of_range, field(column),
                fmt::format("more digits behind the point than decimal({}) keeps:", type.scale),
                token);
}

bool RowReader::read_string(std::size_t column, const Token& token) {
  if (!is_text_token(token)) return wrong_type(column, token);
  if (!token.escaped) {
    writer_.set_text(column, token.text, token.padded);
    return true;
  }
  char* const plain = writer_.batch().text.allocate(token.text.size() + kPadding);
  const std::string_view text(plain, unescape_json(token.text, plain));
  if (text.find('\0') != std::string_view::npos) {
    return refuse(reason::bad_utf8, field(column), "a NUL character (\\u0000) in the string",
                  token);
  }
  writer_.set_text(column, text, true);
  return true;
}

bool RowReader::read_timestamp(std::size_t column, const Token& token) {
  const bool number = token.kind == Token::Kind::number;
  if (!number && !is_text_token(token)) return wrong_type(column, token);
  const std::string_view text = plain_text(token);
  const auto time = number ? TimeParser::parse_epoch(text) : times_.parse(text);
  if (!time) return refuse(reason::bad_time, field(column), "is not a time:", token);
  writer_.set_int(column, *time);
  return true;
}

bool RowReader::read_map(std::size_t column, const Token& token) {
  if (token.kind == Token::Kind::object) {
    writer_.set_text(column, token.text, true);
    return true;
  }
  if (token.kind != Token::Kind::text) return wrong_type(column, token);
  // The validator wants a control character behind the text; a cell may have anything there.
  const std::string_view text = plain_text(token);
  char* const copy = writer_.batch().text.allocate(text.size() + kPadding);
  std::copy(text.begin(), text.end(), copy);
  std::fill_n(copy + text.size(), kPadding, '\0');
  const char* const end = copy + text.size();
  Token ignored;
  if (text.empty() || *copy != '{' || json_.read_value(copy, end, 1, ignored) != end) {
    return wrong_type(column, token);
  }
  writer_.set_text(column, {copy, text.size()}, true);
  return true;
}

bool RowReader::read_event_time(const Field& field, const Token& token) {
  const bool number = token.kind == Token::Kind::number;
  if (!number && !is_text_token(token)) {
    return refuse(reason::wrong_type, field, "expected a time, got", token);
  }
  const std::string_view text = plain_text(token);
  const auto time = number ? TimeParser::parse_epoch(text) : times_.parse(text);
  if (!time) return refuse(reason::bad_time, field, "is not a time:", token);
  if (*time > time_limit_) {
    return refuse(reason::future, field,
                  fmt::format("is more than {} ahead:", to_text(plan_.options.max_future)), token);
  }
  writer_.set_time(*time);
  return true;
}

bool RowReader::wrong_type(std::size_t column, const Token& token) {
  const Field& f = field(column);
  refuse(reason::wrong_type, f, fmt::format("expected {}, got", to_text(f.type)), token);
  if (f.type.kind == Kind::string && token.kind == Token::Kind::number) {
    refusal_.detail += "; to take numbers here, declare it as int, float or decimal(n)";
  }
  if (token.kind == Token::Kind::object) {
    refusal_.detail +=
        "; to take what is in it, name its place by path or aliases, with dots into the object";
  }
  return false;
}

bool RowReader::refuse(std::string_view reason, const Field& field, std::string_view what,
                       const Token& token) {
  refusal_.reason = reason;
  refusal_.detail.clear();
  fmt::format_to(std::back_inserter(refusal_.detail), "{}: {}", field.name, what);
  if (token.kind != Token::Kind::absent) {
    refusal_.detail += ' ';
    append_excerpt(refusal_.detail, token);
  }
  return false;
}

}  // namespace streamobs::decode

// What begins with a word: case, cast, types, literals of time, calls and the calls that SQL writes
// with keywords between their arguments.
#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "expr/parser.h"
#include "expr/text_values.h"

namespace streamobs::expr {

Parser::Part Parser::parse_time_literal() {
  const std::uint32_t begin = peek().span.begin;
  const bool interval = take().lower == "interval";
  const Token& text = take();
  if (interval) {
    const auto span = parse_interval(text.text);
    if (!span) {
      fail(text, "not a span of time",
           "for example '5 minutes', '1 day 2 hours', '90s'; months "
           "and years have no fixed length and cannot be used");
    }
    Value value = Value::of_int(*span);
    value.type = {Kind::interval, 0};
    return make_literal(std::move(value), begin);
  }
  const auto time = parse_timestamp(text.text);
  if (!time) fail(text, "not a time", "for example '2024-01-09 12:34:56' or '2024-01-09'");
  return make_literal(Value::of_timestamp(*time), begin);
}

Parser::Part Parser::parse_case() {
  const std::uint32_t begin = take().span.begin;
  std::optional<Part> subject;
  if (!is_word("when")) subject = parse_expression();
  std::vector<Part> parts;
  while (is_word("when")) {
    const std::uint32_t when = take().span.begin;
    Part condition = parse_expression();
    if (subject) condition = make(Op::equal, when, {*subject, condition});
    expect_word("then");
    parts.push_back(condition);
    parts.push_back(parse_expression());
  }
  if (parts.empty()) unexpected("`when`");
  if (take_word("else")) {
    parts.push_back(parse_expression());
  } else {
    parts.push_back(make_literal(Value::of_null({}), last_end()));
  }
  expect_word("end");
  return make(Op::case_when, begin, parts);
}

Parser::Part Parser::parse_cast() {
  const std::uint32_t begin = take().span.begin;
  expect_symbol("(");
  const Part value = parse_expression();
  if (!is_word("as")) unexpected("`as` and a type");
  take();
  Node node;
  node.op = Op::cast;
  node.type = parse_type();
  expect_symbol(")");
  return finish(std::move(node), begin, {value});
}

DataType Parser::parse_type() {
  const Token& first = peek();
  if (first.kind != Token::Kind::name) unexpected("a type");
  std::string name = take().lower;
  if (name == "double" && take_word("precision")) name += " precision";
  if (name == "character" && take_word("varying")) name = "varchar";
  if ((name == "timestamp" || name == "timestamptz") && (is_word("with") || is_word("without")) &&
      is_word("time", 1) && is_word("zone", 2)) {
    at_ += 3;
  }
  if (is_symbol("(")) {
    take();
    name += '(';
    while (!is_symbol(")")) {
      if (peek().kind != Token::Kind::number && !is_symbol(",")) unexpected("')'");
      name += take().text;
    }
    take();
    name += ')';
  }
  const auto type = parse_data_type(name);
  if (type) return *type;
  std::string hint = "types are int, float, decimal(n), string, bool, timestamp, interval";
  if (name == "numeric" || name == "decimal") hint = "say how many digits: decimal(2)";
  fail(first, fmt::format("there is no type {}", name), hint);
}

Parser::Part Parser::parse_call() {
  const std::uint32_t begin = peek().span.begin;
  const Token& name_token = take();
  take();  // (
  const std::string& name = name_token.lower;
  if (name == "extract") return parse_extract(begin);
  if (name == "position") return parse_position(begin);
  if (name == "trim") return parse_trim(begin);

  Node node;
  node.op = Op::call;
  node.name = name;
  std::vector<Part> parts;
  if (is_symbol("*") && is_symbol(")", 1)) {
    take();
    node.star = true;
  } else if (!is_symbol(")")) {
    node.distinct = take_word("distinct");
    parts.push_back(parse_expression());
    if (name == "substring" && (is_word("from") || is_word("for"))) {
      return parse_substring(begin, parts[0]);
    }
    while (take_symbol(",")) parts.push_back(parse_expression());
  }
  expect_symbol(")");
  int filter_height = 0;
  if (is_word("filter") && is_symbol("(", 1)) {
    take();
    take();
    expect_word("where");
    const Part filter = parse_expression();
    expect_symbol(")");
    node.filter = filter.node;
    filter_height = filter.height + 1;
  }
  Part part = finish(std::move(node), begin, parts);
  part.height = std::max(part.height, filter_height);
  if (part.height > kMaxDepth) too_deep(part.node->span);
  return part;
}

Parser::Part Parser::parse_extract(std::uint32_t begin) {
  const Token& field = peek();
  if (field.kind != Token::Kind::name && field.kind != Token::Kind::text) {
    unexpected("a field such as hour");
  }
  std::string name = field.kind == Token::Kind::text ? ascii_lower(field.text) : field.lower;
  take();
  const Part field_part = make_literal(Value::of_string(std::move(name)), field.span.begin);
  expect_word("from");
  const Part time = parse_expression();
  expect_symbol(")");
  return make_call("date_part", begin, {field_part, time});
}

Parser::Part Parser::parse_position(std::uint32_t begin) {
  const Part first = parse_level(kRangeLevel + 1);
  if (take_word("in")) {
    const Part second = parse_level(kRangeLevel + 1);
    expect_symbol(")");
    return make_call("strpos", begin, {second, first});
  }
  if (!take_symbol(",")) unexpected("`in` or ','");
  const Part second = parse_expression();
  expect_symbol(")");
  return make_call("strpos", begin, {first, second});
}

Parser::Part Parser::parse_trim(std::uint32_t begin) {
  std::string name = "btrim";
  if (!is_symbol(",", 1) && !is_symbol(")", 1)) {
    if (take_word("leading")) {
      name = "ltrim";
    } else if (take_word("trailing")) {
      name = "rtrim";
    } else {
      take_word("both");
    }
  }
  std::vector<Part> parts;
  if (take_word("from")) {
    parts.push_back(parse_expression());
  } else {
    parts.push_back(parse_expression());
    if (take_word("from")) {
      parts.insert(parts.begin(), parse_expression());
    } else if (take_symbol(",")) {
      parts.push_back(parse_expression());
    }
  }
  expect_symbol(")");
  return make_call(name, begin, parts);
}

Parser::Part Parser::parse_substring(std::uint32_t begin, const Part& text) {
  std::vector<Part> parts = {text};
  if (take_word("from")) {
    parts.push_back(parse_expression());
  } else {
    parts.push_back(make_literal(Value::of_int(1), last_end()));
  }
  if (take_word("for")) parts.push_back(parse_expression());
  expect_symbol(")");
  return make_call("substring", begin, parts);
}

}  // namespace streamobs::expr

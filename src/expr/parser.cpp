#include "expr/parser.h"

#include <charconv>
#include <limits>
#include <optional>

#include <fmt/format.h>

#include "base/decimal.h"

namespace streamobs::expr {

namespace {

constexpr std::size_t kMaxText = 64 << 10;

std::optional<Op> comparison_of(const Token& token) {
  if (token.kind != Token::Kind::symbol) return std::nullopt;
  if (token.text == "=") return Op::equal;
  if (token.text == "<>" || token.text == "!=") return Op::not_equal;
  if (token.text == "<") return Op::less;
  if (token.text == "<=") return Op::less_equal;
  if (token.text == ">") return Op::greater;
  if (token.text == ">=") return Op::greater_equal;
  return std::nullopt;
}

}  // namespace

NodePtr Parser::run() {
  if (source_.text.size() > kMaxText) {
    return report({{0, 0}, "the expression is longer than 64 KiB", ""});
  }
  SyntaxError error;
  auto tokens = tokenize(source_.text, error);
  if (!tokens) return report(error);
  tokens_ = std::move(*tokens);
  try {
    if (peek().kind == Token::Kind::end) fail(peek(), "the expression is empty");
    Part part = parse_expression();
    if (peek().kind != Token::Kind::end) unexpected("an operator or the end");
    return part.node;
  } catch (const SyntaxError& caught) {
    return report(caught);
  }
}

// --- tokens

NodePtr Parser::report(const SyntaxError& error) {
  diagnostics_.push_back(diagnose(source_, error.span, error.message, error.hint));
  return nullptr;
}

void Parser::fail(const Token& at, std::string message, std::string hint) const {
  throw SyntaxError{at.span, std::move(message), std::move(hint)};
}

void Parser::unexpected(std::string_view wanted) const {
  const Token& token = peek();
  if (token.kind == Token::Kind::end) {
    fail(token, fmt::format("the expression ends here, but {} is missing", wanted));
  }
  std::string hint;
  if (is_symbol("=") && at_ > 0 && tokens_[at_ - 1].text == "=") hint = "write a single =";
  if (is_symbol("^")) hint = "write power(x, y)";
  if (token.kind == Token::Kind::name && is_reserved(token.lower)) {
    hint = fmt::format("a column of that name is written \"{}\"", token.text);
  }
  fail(token, fmt::format("'{}' here, but {} was expected", written(token), wanted), hint);
}

std::string Parser::written(const Token& token) const {
  std::string text = source_.text.substr(token.span.begin, token.span.end - token.span.begin);
  if (text.size() > 40) text = text.substr(0, 40) + "…";
  return text;
}

void Parser::expect_symbol(std::string_view symbol) {
  if (!take_symbol(symbol)) unexpected(fmt::format("'{}'", symbol));
}

void Parser::expect_word(std::string_view word) {
  if (!take_word(word)) unexpected(fmt::format("`{}`", word));
}

// --- nodes

Parser::Part Parser::finish(Node node, std::uint32_t begin, const std::vector<Part>& parts) const {
  node.span = {begin, last_end()};
  int height = 1;
  node.args.reserve(parts.size());
  for (const Part& part : parts) {
    node.args.push_back(part.node);
    height = std::max(height, part.height + 1);
  }
  if (height > kMaxDepth) too_deep(node.span);
  return {std::make_shared<const Node>(std::move(node)), height};
}

Parser::Part Parser::make(Op op, std::uint32_t begin, const std::vector<Part>& parts) const {
  Node node;
  node.op = op;
  return finish(std::move(node), begin, parts);
}

Parser::Part Parser::make_negatable(Op op, bool negated, std::uint32_t begin,
                                    const std::vector<Part>& parts) const {
  Node node;
  node.op = op;
  node.negated = negated;
  return finish(std::move(node), begin, parts);
}

Parser::Part Parser::make_literal(Value value, std::uint32_t begin) const {
  Node node;
  node.literal = std::move(value);
  return finish(std::move(node), begin, {});
}

Parser::Part Parser::make_call(std::string name, std::uint32_t begin,
                               const std::vector<Part>& parts) const {
  Node node;
  node.op = Op::call;
  node.name = std::move(name);
  return finish(std::move(node), begin, parts);
}

Parser::Part Parser::make_balanced(Op op, const std::vector<Part>& parts, std::size_t begin,
                                   std::size_t end) const {
  if (end - begin == 1) return parts[begin];
  const std::size_t middle = begin + (end - begin + 1) / 2;
  const Part left = make_balanced(op, parts, begin, middle);
  const Part right = make_balanced(op, parts, middle, end);
  Node node;
  node.op = op;
  Part part = finish(node, left.node->span.begin, {left, right});
  // The span reaches only as far as the last operand, not to where the parser stands.
  auto fixed = std::make_shared<Node>(*part.node);
  fixed->span.end = right.node->span.end;
  part.node = std::move(fixed);
  return part;
}

void Parser::too_deep(Span span) {
  throw SyntaxError{span, fmt::format("the expression is nested deeper than {}", kMaxDepth),
                    "split it into derived fields"};
}

// --- operators and values

Parser::Part Parser::parse_expression() {
  const DepthGuard guard(*this, peek().span);
  return parse_level(kOrLevel);
}

Parser::Part Parser::parse_level(int level) {
  Part left = parse_prefix(level);
  while (parse_infix(left, level)) {
  }
  return left;
}

bool Parser::parse_infix(Part& left, int level) {
  const std::uint32_t begin = left.node->span.begin;
  const Token& token = peek();
  if (token.kind == Token::Kind::symbol) return parse_symbol_infix(left, level, begin);
  if (token.kind != Token::Kind::name) return false;
  if (level <= kOrLevel && is_word("or")) {
    left = parse_chain(left, Op::logical_or, kAndLevel, [&] { return take_word("or"); });
    return true;
  }
  if (level <= kAndLevel && is_word("and")) {
    left = parse_chain(left, Op::logical_and, kNotLevel, [&] { return take_word("and"); });
    return true;
  }
  if (level <= kIsLevel && is_word("is")) {
    left = parse_is(left, begin);
    return true;
  }
  if (level <= kRangeLevel) return parse_range(left, begin);
  return false;
}

bool Parser::parse_symbol_infix(Part& left, int level, std::uint32_t begin) {
  if (const auto comparison = comparison_of(peek())) {
    if (level > kComparisonLevel) return false;
    take();
    const Part right = parse_level(kComparisonLevel + 1);
    left = make(*comparison, begin, {left, right});
    if (comparison_of(peek())) {
      fail(peek(), "comparisons cannot be chained", "join two comparisons with `and`");
    }
    return true;
  }
  if (level <= kOtherLevel && is_symbol("||")) {
    left = parse_chain(left, Op::concat, kSumLevel, [&] { return take_symbol("||"); });
    return true;
  }
  if (level <= kOtherLevel && take_symbol("->>")) {
    const Part key = parse_level(kSumLevel);
    left = make(Op::element, begin, {left, key});
    return true;
  }
  if (level <= kPostfixLevel && take_symbol("[")) {
    const Part key = parse_expression();
    expect_symbol("]");
    left = make(Op::element, begin, {left, key});
    return true;
  }
  if (level <= kPostfixLevel && take_symbol("::")) {
    Node node;
    node.op = Op::cast;
    node.type = parse_type();
    left = finish(std::move(node), begin, {left});
    return true;
  }
  struct Arithmetic {
    std::string_view symbol;
    Op op;
    int level;
  };
  static constexpr Arithmetic kArithmetic[] = {{"+", Op::add, kSumLevel},
                                               {"-", Op::subtract, kSumLevel},
                                               {"*", Op::multiply, kProductLevel},
                                               {"/", Op::divide, kProductLevel},
                                               {"%", Op::modulo, kProductLevel}};
  for (const Arithmetic& arithmetic : kArithmetic) {
    if (level > arithmetic.level || !take_symbol(arithmetic.symbol)) continue;
    const Part right = parse_level(arithmetic.level + 1);
    left = make(arithmetic.op, begin, {left, right});
    return true;
  }
  return false;
}

Parser::Part Parser::parse_is(const Part& left, std::uint32_t begin) {
  take();
  const bool negated = take_word("not");
  if (take_word("null")) return make_negatable(Op::is_null, negated, begin, {left});
  if (take_word("true")) return make_negatable(Op::is_true, negated, begin, {left});
  if (take_word("false")) return make_negatable(Op::is_false, negated, begin, {left});
  if (take_word("unknown")) return make_negatable(Op::is_null, negated, begin, {left});
  if (take_word("distinct")) {
    expect_word("from");
    const Part right = parse_level(kComparisonLevel);
    return make_negatable(Op::is_distinct, negated, begin, {left, right});
  }
  unexpected("`null`, `true`, `false` or `distinct from`");
}

bool Parser::parse_range(Part& left, std::uint32_t begin) {
  const std::size_t ahead = is_word("not") ? 1 : 0;
  const bool between = is_word("between", ahead);
  const bool in = is_word("in", ahead);
  const bool like = is_word("like", ahead);
  const bool ilike = is_word("ilike", ahead);
  if (!between && !in && !like && !ilike) return false;
  const bool negated = take_word("not");
  take();
  std::vector<Part> parts = {left};
  if (between) {
    parts.push_back(parse_level(kRangeLevel + 1));
    expect_word("and");
    parts.push_back(parse_level(kRangeLevel + 1));
    left = make_negatable(Op::between, negated, begin, parts);
  } else if (in) {
    expect_symbol("(");
    do {
      parts.push_back(parse_expression());
    } while (take_symbol(","));
    expect_symbol(")");
    left = make_negatable(Op::in, negated, begin, parts);
  } else {
    parts.push_back(parse_level(kRangeLevel + 1));
    Node node;
    node.op = Op::like;
    node.negated = negated;
    node.ilike = ilike;
    left = finish(std::move(node), begin, parts);
  }
  return true;
}

Parser::Part Parser::parse_prefix(int level) {
  const Token& token = peek();
  const std::uint32_t begin = token.span.begin;
  if (is_word("not")) {
    if (level > kNotLevel) {
      fail(token, "`not` needs parentheses here", "write (not …)");
    }
    const DepthGuard guard(*this, token.span);
    take();
    const Part operand = parse_level(kNotLevel);
    return make(Op::logical_not, begin, {operand});
  }
  if (is_symbol("-") || is_symbol("+")) {
    const DepthGuard guard(*this, token.span);
    const bool minus = token.text == "-";
    take();
    // A signed number is one literal, so that the least integer can be written at all.
    if (peek().kind == Token::Kind::number && !is_symbol("::", 1)) {
      return parse_number(begin, minus);
    }
    const Part operand = parse_level(kUnaryLevel);
    return minus ? make(Op::negate, begin, {operand}) : operand;
  }
  return parse_primary();
}

Parser::Part Parser::parse_primary() {
  const Token& token = peek();
  const std::uint32_t begin = token.span.begin;
  switch (token.kind) {
    case Token::Kind::number:
      return parse_number(begin, false);
    case Token::Kind::text: {
      std::string text = take().text;
      return make_literal(Value::of_string(std::move(text)), begin);
    }
    case Token::Kind::quoted_name:
      return parse_column();
    case Token::Kind::name:
      return parse_word();
    case Token::Kind::symbol:
      if (take_symbol("(")) {
        Part part = parse_expression();
        expect_symbol(")");
        return part;
      }
      break;
    case Token::Kind::end:
      break;
  }
  unexpected("a value");
}

Parser::Part Parser::parse_word() {
  const Token& token = peek();
  const std::uint32_t begin = token.span.begin;
  if (take_word("null")) return make_literal(Value::of_null({}), begin);
  if (take_word("true")) return make_literal(Value::of_bool(true), begin);
  if (take_word("false")) return make_literal(Value::of_bool(false), begin);
  if (is_word("case")) return parse_case();
  if (is_word("cast")) return parse_cast();
  if (is_reserved(token.lower)) unexpected("a value");
  if (is_word("current_timestamp") && !is_symbol("(", 1)) {
    take();
    return make_call("now", begin, {});
  }
  if (peek(1).kind == Token::Kind::text &&
      (is_word("interval") || is_word("timestamp") || is_word("timestamptz"))) {
    return parse_time_literal();
  }
  if (is_symbol("(", 1)) return parse_call();
  return parse_column();
}

Parser::Part Parser::parse_number(std::uint32_t begin, bool minus) {
  const Token& token = take();
  const std::string text = (minus ? "-" : "") + token.text;
  const char* const last = text.data() + text.size();
  const bool exponent = text.find_first_of("eE") != std::string::npos;
  if (!exponent && text.find('.') == std::string::npos) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), last, number);
    if (error == std::errc() && end == last) {
      return make_literal(Value::of_int(number), begin);
    }
    fail(token, fmt::format("{} does not fit into 64 bits", text),
         fmt::format("write {}e0 for a float", text));
  }
  // As in PostgreSQL 0.1 is exact; what has an exponent or too many digits is a float.
  if (!exponent) {
    std::string digits = text;
    const std::size_t point = digits.find('.');
    const std::size_t scale = digits.size() - point - 1;
    digits.erase(point, 1);
    std::int64_t unscaled = 0;
    const char* const digits_last = digits.data() + digits.size();
    const auto [end, error] = std::from_chars(digits.data(), digits_last, unscaled);
    if (scale <= kMaxDecimalScale && error == std::errc() && end == digits_last) {
      return make_literal(Value::of_decimal(unscaled, static_cast<std::uint8_t>(scale)), begin);
    }
  }
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), last, number);
  if (error != std::errc() || end != last) {
    fail(token, fmt::format("{} is out of a float's range", written(token)));
  }
  return make_literal(Value::of_float(number), begin);
}

Parser::Part Parser::parse_column() {
  const std::uint32_t begin = peek().span.begin;
  Node node;
  node.op = Op::column;
  node.name = take().text;
  while (take_symbol(".")) {
    const Token& part = peek();
    if (part.kind != Token::Kind::name && part.kind != Token::Kind::quoted_name) {
      unexpected("a name after the dot");
    }
    node.name += '.';
    node.name += take().text;
  }
  return finish(std::move(node), begin, {});
}

NodePtr parse(const SourceText& source, Diagnostics& diagnostics) {
  return Parser(source, diagnostics).run();
}

}  // namespace streamobs::expr

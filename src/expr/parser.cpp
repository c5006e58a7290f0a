// Precedence climbing over the tokens, with PostgreSQL's levels.
#include <algorithm>
#include <charconv>
#include <limits>

#include <fmt/format.h>

#include "base/decimal.h"
#include "expr/ast.h"
#include "expr/lexer.h"
#include "expr/text_values.h"

namespace streamobs::expr {
namespace {

constexpr int kMaxDepth = 64;
constexpr std::size_t kMaxText = 64 << 10;

// From loose to tight; what stands between two levels binds no further.
constexpr int kOrLevel = 1;
constexpr int kAndLevel = 2;
constexpr int kNotLevel = 3;
constexpr int kIsLevel = 4;
constexpr int kComparisonLevel = 5;
constexpr int kRangeLevel = 6;  // between, in, like
constexpr int kOtherLevel = 7;  // || and ->>
constexpr int kSumLevel = 8;
constexpr int kProductLevel = 9;
constexpr int kUnaryLevel = 10;
constexpr int kPostfixLevel = 11;

/// A finished part of the tree and how high it is.
struct Part {
  NodePtr node;
  int height = 1;
};

class Parser {
 public:
  Parser(const SourceText& source, Diagnostics& diagnostics)
      : source_(source), diagnostics_(diagnostics) {}

  NodePtr run() {
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

 private:
  // --- tokens

  const Token& peek(std::size_t ahead = 0) const {
    return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
  }
  const Token& take() {
    const Token& token = peek();
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }
  bool is_symbol(std::string_view symbol, std::size_t ahead = 0) const {
    return peek(ahead).kind == Token::Kind::symbol && peek(ahead).text == symbol;
  }
  bool is_word(std::string_view word, std::size_t ahead = 0) const {
    return peek(ahead).kind == Token::Kind::name && peek(ahead).lower == word;
  }
  bool take_symbol(std::string_view symbol) { return is_symbol(symbol) && (take(), true); }
  bool take_word(std::string_view word) { return is_word(word) && (take(), true); }

  NodePtr report(const SyntaxError& error) {
    diagnostics_.push_back(diagnose(source_, error.span, error.message, error.hint));
    return nullptr;
  }
  // The parser unwinds by exception from wherever it stands; run() catches it.
  [[noreturn]] void fail(const Token& at, std::string message, std::string hint = {}) const {
    throw SyntaxError{at.span, std::move(message), std::move(hint)};
  }
  [[noreturn]] void unexpected(std::string_view wanted) const {
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
  std::string written(const Token& token) const {
    std::string text = source_.text.substr(token.span.begin, token.span.end - token.span.begin);
    if (text.size() > 40) text = text.substr(0, 40) + "…";
    return text;
  }
  void expect_symbol(std::string_view symbol) {
    if (!take_symbol(symbol)) unexpected(fmt::format("'{}'", symbol));
  }
  void expect_word(std::string_view word) {
    if (!take_word(word)) unexpected(fmt::format("`{}`", word));
  }

  // --- nodes

  std::uint32_t last_end() const { return at_ == 0 ? 0 : tokens_[at_ - 1].span.end; }

  Part finish(Node node, std::uint32_t begin, const std::vector<Part>& parts) const {
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
  Part make(Op op, std::uint32_t begin, const std::vector<Part>& parts) const {
    Node node;
    node.op = op;
    return finish(std::move(node), begin, parts);
  }
  Part make_negatable(Op op, bool negated, std::uint32_t begin,
                      const std::vector<Part>& parts) const {
    Node node;
    node.op = op;
    node.negated = negated;
    return finish(std::move(node), begin, parts);
  }
  Part make_literal(Value value, std::uint32_t begin) const {
    Node node;
    node.literal = std::move(value);
    return finish(std::move(node), begin, {});
  }
  Part make_call(std::string name, std::uint32_t begin, const std::vector<Part>& parts) const {
    Node node;
    node.op = Op::call;
    node.name = std::move(name);
    return finish(std::move(node), begin, parts);
  }
  /// a op b op c … as a balanced tree: the operators used so are associative, and a long list of
  /// alternatives should not count as deep nesting.
  Part make_balanced(Op op, const std::vector<Part>& parts, std::size_t begin,
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
  [[noreturn]] static void too_deep(Span span) {
    throw SyntaxError{span, fmt::format("the expression is nested deeper than {}", kMaxDepth),
                      "split it into derived fields"};
  }

  // --- grammar

  /// Counts how deep the parser itself has gone, so that "((((…" cannot exhaust the stack.
  struct DepthGuard {
    DepthGuard(Parser& p, Span span) : parser(p) {
      if (++parser.depth_ > kMaxDepth) too_deep(span);
    }
    ~DepthGuard() { --parser.depth_; }
    DepthGuard(const DepthGuard&) = delete;
    DepthGuard& operator=(const DepthGuard&) = delete;
    Parser& parser;
  };

  Part parse_expression() {
    const DepthGuard guard(*this, peek().span);
    return parse_level(kOrLevel);
  }

  Part parse_level(int level) {
    Part left = parse_prefix(level);
    while (parse_infix(left, level)) {
    }
    return left;
  }

  /// Extends `left` by one operator that binds at least as tightly as `level`; false: none does.
  bool parse_infix(Part& left, int level) {
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

  template <class TakeOperator>
  Part parse_chain(const Part& first, Op op, int operand_level, TakeOperator take_operator) {
    std::vector<Part> parts = {first};
    while (take_operator()) parts.push_back(parse_level(operand_level));
    return make_balanced(op, parts, 0, parts.size());
  }

  static std::optional<Op> comparison_of(const Token& token) {
    if (token.kind != Token::Kind::symbol) return std::nullopt;
    if (token.text == "=") return Op::equal;
    if (token.text == "<>" || token.text == "!=") return Op::not_equal;
    if (token.text == "<") return Op::less;
    if (token.text == "<=") return Op::less_equal;
    if (token.text == ">") return Op::greater;
    if (token.text == ">=") return Op::greater_equal;
    return std::nullopt;
  }

  bool parse_symbol_infix(Part& left, int level, std::uint32_t begin) {
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

  Part parse_is(const Part& left, std::uint32_t begin) {
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

  /// [not] between, in, like, ilike.
  bool parse_range(Part& left, std::uint32_t begin) {
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

  Part parse_prefix(int level) {
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

  Part parse_primary() {
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

  Part parse_word() {
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

  Part parse_time_literal() {
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

  Part parse_number(std::uint32_t begin, bool minus) {
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

  Part parse_column() {
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

  Part parse_case() {
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

  Part parse_cast() {
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

  DataType parse_type() {
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

  // --- calls

  Part parse_call() {
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

  /// extract(hour from t) is date_part('hour', t).
  Part parse_extract(std::uint32_t begin) {
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

  /// position(a in b) is strpos(b, a); position(b, a) is taken as strpos(b, a), too.
  Part parse_position(std::uint32_t begin) {
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

  /// trim(x), trim(x, 'chars'), trim([leading | trailing | both] ['chars'] from x).
  Part parse_trim(std::uint32_t begin) {
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

  Part parse_substring(std::uint32_t begin, const Part& text) {
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

  const SourceText& source_;
  Diagnostics& diagnostics_;
  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace

NodePtr parse(const SourceText& source, Diagnostics& diagnostics) {
  return Parser(source, diagnostics).run();
}

}  // namespace streamobs::expr

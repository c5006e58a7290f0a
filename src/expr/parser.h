// Precedence climbing over the tokens, with PostgreSQL's levels.
//
// One parser reads one expression and is thrown away. Operators and plain values are in parser.cpp,
// what begins with a word of SQL's, and calls, in parser_forms.cpp.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "expr/ast.h"
#include "expr/lexer.h"

namespace streamobs::expr {

class Parser {
 public:
  Parser(const SourceText& source, Diagnostics& diagnostics)
      : source_(source), diagnostics_(diagnostics) {}

  /// The tree, or null and a diagnostic.
  NodePtr run();

 private:
  static constexpr int kMaxDepth = 64;

  // From loose to tight; what stands between two levels binds no further.
  static constexpr int kOrLevel = 1;
  static constexpr int kAndLevel = 2;
  static constexpr int kNotLevel = 3;
  static constexpr int kIsLevel = 4;
  static constexpr int kComparisonLevel = 5;
  static constexpr int kRangeLevel = 6;  // between, in, like
  static constexpr int kOtherLevel = 7;  // || and ->>
  static constexpr int kSumLevel = 8;
  static constexpr int kProductLevel = 9;
  static constexpr int kUnaryLevel = 10;
  static constexpr int kPostfixLevel = 11;

  /// A finished part of the tree and how high it is.
  struct Part {
    NodePtr node;
    int height = 1;
  };

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

  NodePtr report(const SyntaxError& error);
  // The parser unwinds by exception from wherever it stands; run() catches it.
  [[noreturn]] void fail(const Token& at, std::string message, std::string hint = {}) const;
  [[noreturn]] void unexpected(std::string_view wanted) const;
  std::string written(const Token& token) const;
  void expect_symbol(std::string_view symbol);
  void expect_word(std::string_view word);

  // --- nodes

  std::uint32_t last_end() const { return at_ == 0 ? 0 : tokens_[at_ - 1].span.end; }

  Part finish(Node node, std::uint32_t begin, const std::vector<Part>& parts) const;
  Part make(Op op, std::uint32_t begin, const std::vector<Part>& parts) const;
  Part make_negatable(Op op, bool negated, std::uint32_t begin,
                      const std::vector<Part>& parts) const;
  Part make_literal(Value value, std::uint32_t begin) const;
  Part make_call(std::string name, std::uint32_t begin, const std::vector<Part>& parts) const;
  /// a op b op c … as a balanced tree: the operators used so are associative, and a long list of
  /// alternatives should not count as deep nesting.
  Part make_balanced(Op op, const std::vector<Part>& parts, std::size_t begin,
                     std::size_t end) const;
  [[noreturn]] static void too_deep(Span span);

  // --- operators and values

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

  Part parse_expression();
  Part parse_level(int level);
  /// Extends `left` by one operator that binds at least as tightly as `level`; false: none does.
  bool parse_infix(Part& left, int level);
  bool parse_symbol_infix(Part& left, int level, std::uint32_t begin);
  Part parse_is(const Part& left, std::uint32_t begin);
  /// [not] between, in, like, ilike.
  bool parse_range(Part& left, std::uint32_t begin);
  Part parse_prefix(int level);
  Part parse_primary();
  Part parse_word();
  Part parse_number(std::uint32_t begin, bool minus);
  Part parse_column();

  template <class TakeOperator>
  Part parse_chain(const Part& first, Op op, int operand_level, TakeOperator take_operator) {
    std::vector<Part> parts = {first};
    while (take_operator()) parts.push_back(parse_level(operand_level));
    return make_balanced(op, parts, 0, parts.size());
  }

  // --- forms that begin with a word

  Part parse_time_literal();
  Part parse_case();
  Part parse_cast();
  DataType parse_type();
  Part parse_call();
  /// extract(hour from t) is date_part('hour', t).
  Part parse_extract(std::uint32_t begin);
  /// position(a in b) is strpos(b, a); position(b, a) is taken as strpos(b, a), too.
  Part parse_position(std::uint32_t begin);
  /// trim(x), trim(x, 'chars'), trim([leading | trailing | both] ['chars'] from x).
  Part parse_trim(std::uint32_t begin);
  Part parse_substring(std::uint32_t begin, const Part& text);

  const SourceText& source_;
  Diagnostics& diagnostics_;
  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace streamobs::expr

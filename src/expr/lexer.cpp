#include "expr/lexer.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace streamobs::expr {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}
bool is_name_part(char c) {
  return is_name_start(c) || is_digit(c) || c == '$';
}
bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

// Longer symbols first: the first that fits is taken.
constexpr std::array<std::string_view, 22> kSymbols = {
    "->>", "::", "||", "<>", "!=", "<=", ">=", "+", "-", "*", "/",
    "%",   "=",  "<",  ">",  "(",  ")",  "[",  "]", ",", ".", "^"};

class Lexer {
 public:
  Lexer(std::string_view text, SyntaxError& error) : text_(text), error_(error) {}

  std::optional<std::vector<Token>> run() {
    while (true) {
      if (!skip_blanks()) return std::nullopt;
      if (at_ == text_.size()) break;
      if (!next()) return std::nullopt;
    }
    add(Token::Kind::end, at_, "");
    return std::move(tokens_);
  }

 private:
  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  Span span_from(std::size_t begin) const {
    return {static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(at_)};
  }
  void add(Token::Kind kind, std::size_t begin, std::string text) {
    Token token;
    token.kind = kind;
    token.span = span_from(begin);
    if (kind == Token::Kind::name) token.lower = ascii_lower(text);
    token.text = std::move(text);
    tokens_.push_back(std::move(token));
  }
  bool fail(Span span, std::string message, std::string hint = {}) {
    error_ = {span, std::move(message), std::move(hint)};
    return false;
  }

  /// White space and comments; false where a comment is not closed.
  bool skip_blanks() {
    while (at_ < text_.size()) {
      if (is_space(peek())) {
        ++at_;
      } else if (peek() == '-' && peek(1) == '-') {
        while (at_ < text_.size() && peek() != '\n') ++at_;
      } else if (peek() == '/' && peek(1) == '*') {
        const std::size_t begin = at_;
        const std::size_t end = text_.find("*/", at_ + 2);
        at_ = end == std::string_view::npos ? text_.size() : end + 2;
        if (end == std::string_view::npos) {
          return fail({static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(begin + 2)},
                      "the comment is not closed", "end it with */");
        }
      } else {
        break;
      }
    }
    return true;
  }

  bool next() {
    const char c = peek();
    if (is_digit(c) || (c == '.' && is_digit(peek(1)))) return number();
    if (c == '\'') return quoted('\'', Token::Kind::text);
    if (c == '"') return quoted('"', Token::Kind::quoted_name);
    const std::size_t begin = at_;
    if (is_name_start(c)) {
      while (is_name_part(peek())) ++at_;
      add(Token::Kind::name, begin, std::string(text_.substr(begin, at_ - begin)));
      return true;
    }
    for (const std::string_view symbol : kSymbols) {
      if (!text_.substr(at_).starts_with(symbol)) continue;
      at_ += symbol.size();
      add(Token::Kind::symbol, begin, std::string(symbol));
      return true;
    }
    ++at_;
    return unknown_character(begin);
  }

  bool unknown_character(std::size_t begin) {
    const char c = text_[begin];
    const auto code = static_cast<unsigned char>(c);
    std::string hint;
    if (c == '&') hint = "write `and`";
    if (c == '|') hint = "write `or`; || joins texts";
    if (c == '!') hint = "write `not`, or <> for \"not equal\"";
    if (c == ';') hint = "an expression ends without a semicolon";
    if (c == '`') hint = "put a name in double quotes";
    if (code < 0x20 || code == 0x7f) {
      return fail(span_from(begin), fmt::format("a control character (0x{:02x})", code), hint);
    }
    return fail(span_from(begin), fmt::format("'{}' is not part of an expression", c), hint);
  }

  bool number() {
    const std::size_t begin = at_;
    while (is_digit(peek())) ++at_;
    if (peek() == '.') {
      ++at_;
      while (is_digit(peek())) ++at_;
    }
    if ((peek() == 'e' || peek() == 'E') &&
        (is_digit(peek(1)) || ((peek(1) == '+' || peek(1) == '-') && is_digit(peek(2))))) {
      at_ += 2;
      while (is_digit(peek())) ++at_;
    }
    if (is_name_part(peek()) || peek() == '.') {
      while (is_name_part(peek()) || peek() == '.') ++at_;
      return fail(span_from(begin),
                  fmt::format("'{}' is not a number", text_.substr(begin, at_ - begin)),
                  "a name that starts with a digit goes in double quotes; "
                  "a span of time is written interval '5 minutes'");
    }
    add(Token::Kind::number, begin, std::string(text_.substr(begin, at_ - begin)));
    return true;
  }

  /// A text or a quoted name; a quote inside is written twice.
  bool quoted(char quote, Token::Kind kind) {
    const std::size_t begin = at_++;
    std::string out;
    while (at_ < text_.size()) {
      const char c = text_[at_++];
      if (c != quote) {
        out += c;
      } else if (peek() == quote) {
        out += quote;
        ++at_;
      } else {
        if (kind == Token::Kind::quoted_name && out.empty()) {
          return fail(span_from(begin), "a quoted name is empty");
        }
        add(kind, begin, std::move(out));
        return true;
      }
    }
    return fail({static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(begin + 1)},
                kind == Token::Kind::text ? "the text is not closed" : "the name is not closed",
                fmt::format("close it with {}; a {} inside is written twice", quote, quote));
  }

  std::string_view text_;
  SyntaxError& error_;
  std::size_t at_ = 0;
  std::vector<Token> tokens_;
};

}  // namespace

std::optional<std::vector<Token>> tokenize(std::string_view text, SyntaxError& error) {
  return Lexer(text, error).run();
}

bool is_reserved(std::string_view lower) {
  static constexpr std::array<std::string_view, 19> kReserved = {
      "and", "between", "case", "cast", "distinct", "else", "end",  "false", "from", "ilike",
      "in",  "is",      "like", "not",  "null",     "or",   "then", "true",  "when"};
  return std::find(kReserved.begin(), kReserved.end(), lower) != kReserved.end();
}

std::string ascii_lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  }
  return out;
}

}  // namespace streamobs::expr

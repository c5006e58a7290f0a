// The words of an expression. Used by the parser alone, while a config is loaded.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/source_text.h"
#include "expr/ast.h"

namespace streamobs::expr {

struct Token {
  enum class Kind : std::uint8_t { end, number, text, name, quoted_name, symbol };
  Kind kind = Kind::end;
  Span span;
  std::string text;   ///< Of a text or quoted name without its quotes; else as written.
  std::string lower;  ///< Of a name: in lower case, to compare with keywords.
};

/// What is wrong with a piece of text, before it has become a Diagnostic.
struct SyntaxError {
  Span span;
  std::string message;
  std::string hint;
};

/// All tokens of `text`, the last of kind `end`; or nothing, with `error` filled.
std::optional<std::vector<Token>> tokenize(std::string_view text, SyntaxError& error);

/// True for words that cannot be a column's name unless quoted.
bool is_reserved(std::string_view lower);

/// ASCII letters in lower case, everything else as it is.
std::string ascii_lower(std::string_view text);

}  // namespace streamobs::expr

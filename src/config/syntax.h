// What is wrong with the letters of a TOML file, in words for a person who has never read TOML's
// specification.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "config/source_file.h"

namespace streamobs::config {

/// A syntax error in plain words.
struct SyntaxError {
  Span at;
  std::string message;
  std::string hint;
};

/// Looks for what must not reach the TOML parser because its own guards do not cover it: NUL bytes
/// and nesting deep enough to exhaust the stack.
std::optional<SyntaxError> find_hazard(std::string_view text);

/// Says in plain words what toml++ calls `description`, with the line at hand.
SyntaxError explain_syntax_error(const SourceFile& file, Span at, std::string_view description);

}  // namespace streamobs::config

// A piece of the config together with where it stands, so that every complaint can point at it.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace streamobs {

/// A place in a text file. Lines and columns count from 1; 0 means "not from a file".
struct SourcePlace {
  std::string file;
  std::uint32_t line = 0;
  std::uint32_t column = 0;
};

/// A string of the config (an expression, a name) and where its first character stands.
struct SourceText {
  std::string text;
  SourcePlace place;

  SourceText() = default;
  SourceText(std::string t) : text(std::move(t)) {}  // NOLINT: a plain string has no place.
  SourceText(const char* t) : text(t) {}             // NOLINT
  SourceText(std::string t, SourcePlace p) : text(std::move(t)), place(std::move(p)) {}
  bool empty() const { return text.empty(); }
};

/// One thing that is wrong with the config.
struct Diagnostic {
  enum class Severity { error, warning };
  Severity severity = Severity::error;
  SourcePlace place;
  std::string message;  ///< What is wrong, one line.
  std::string hint;     ///< What to do about it; may be empty.
  std::string excerpt;  ///< For expressions: the source line and a caret below it; may be empty.
};

/// All of them at once: a user should not have to run us ten times to find ten mistakes.
using Diagnostics = std::vector<Diagnostic>;

}  // namespace streamobs

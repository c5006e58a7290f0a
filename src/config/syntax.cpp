#include "config/syntax.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include <fmt/format.h>

#include "config/document.h"

namespace streamobs::config {

namespace {

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

std::size_t characters_in(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// Walks over the file as TOML reads it, as far as brackets, dots, strings and comments go.
class HazardScanner {
 public:
  explicit HazardScanner(std::string_view text) : text_(text) {}

  std::optional<SyntaxError> scan() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '\0') return error("a NUL byte: this is not a text file", "");
      if (c == '"' || c == '\'') {
        if (auto nul = skip_string(c)) return nul;
        continue;
      }
      if (c == '#') {
        while (at_ < text_.size() && text_[at_] != '\n' && text_[at_] != '\0') advance();
        continue;
      }
      if (auto found = look(c)) return found;
      advance();
    }
    return std::nullopt;
  }

 private:
  std::optional<SyntaxError> look(char c) {
    if (c == '.') {
      if (++dots_ >= kNestingMax) {
        return error(fmt::format("a name with more than {} dots", kNestingMax - 1), "");
      }
    } else if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '_' && c != '-' &&
               c != ' ' && c != '\t') {
      dots_ = 0;
    }
    if (c == '[' || c == '{') {
      if (++depth_ > kNestingMax) {
        return error(fmt::format("brackets nested deeper than {}", kNestingMax), "");
      }
    } else if ((c == ']' || c == '}') && depth_ > 0) {
      --depth_;
    }
    return std::nullopt;
  }

  std::optional<SyntaxError> skip_string(char quote) {
    const std::string three(3, quote);
    const bool multi_line = text_.substr(at_, 3) == three;
    for (int i = multi_line ? 3 : 1; i > 0; --i) advance();
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '\0') return error("a NUL byte: this is not a text file", "");
      if (c == '\\' && quote == '"' && at_ + 1 < text_.size() && text_[at_ + 1] != '\0') {
        advance();
        advance();
      } else if (multi_line && text_.substr(at_, 3) == three) {
        for (int i = 0; i < 3; ++i) advance();
        return std::nullopt;
      } else if (!multi_line && (c == quote || c == '\n')) {
        advance();
        return std::nullopt;
      } else {
        advance();
      }
    }
    return std::nullopt;
  }

  void advance() {
    const char c = text_[at_++];
    if (c == '\n') {
      ++line_;
      column_ = 1;
      dots_ = 0;
    } else if ((static_cast<unsigned char>(c) & 0xC0) != 0x80) {
      ++column_;
    }
  }

  std::optional<SyntaxError> error(std::string message, std::string hint) const {
    return SyntaxError{{line_, column_, 1}, std::move(message), std::move(hint)};
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::uint32_t line_ = 1;
  std::uint32_t column_ = 1;
  std::size_t depth_ = 0;
  std::size_t dots_ = 0;
};

/// The line, taken apart as `key = value`, where it looks like that.
struct Assignment {
  std::string_view key;
  std::string_view value;          ///< Without a comment; as far as one can tell.
  std::uint32_t value_column = 0;  ///< In bytes: lines with bare values are mostly ASCII.
};

std::optional<Assignment> as_assignment(std::string_view line) {
  const std::size_t equals = line.find('=');
  if (equals == std::string_view::npos) return std::nullopt;
  Assignment a;
  a.key = trim(line.substr(0, equals));
  const std::string_view rest = line.substr(equals + 1);
  a.value = trim(rest.substr(0, rest.find('#')));
  const std::size_t blanks = rest.size() - trim(rest).size();
  a.value_column = static_cast<std::uint32_t>(
      equals + 2 + (trim(rest).empty() ? blanks : rest.find_first_not_of(" \t")));
  if (a.key.empty() || a.key.front() == '[') return std::nullopt;
  return a;
}

/// What is wrong with a value that is neither in quotes nor anything TOML knows.
std::optional<SyntaxError> explain_bare_value(const SourceFile& file, Span at) {
  const auto assignment = as_assignment(file.line(at.line));
  if (!assignment || assignment->value.empty()) return std::nullopt;
  if (file.has_secret(at.line)) {
    return SyntaxError{at, "this value is not well formed",
                       "texts go in quotes, and a secret is only referred to: \"env:NAME\""};
  }
  const std::string value(assignment->value);
  const Span where{at.line, assignment->value_column,
                   static_cast<std::uint32_t>(assignment->value.size())};
  if (value.starts_with("\xE2\x80\x9C") || value.starts_with("\xE2\x80\x98")) {
    return SyntaxError{{at.line, assignment->value_column, 1},
                       "these quotes are typographic ones",
                       "use straight quotes: \"…\" (word processors and chats like to turn them)"};
  }
  if (std::string_view("\"'[{").find(value.front()) != std::string_view::npos) return std::nullopt;
  std::string lower = value;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (lower == "true" || lower == "false") {
    return SyntaxError{where, fmt::format("{} is not TOML's way to write it", value),
                       "write " + lower + ", in lower case and without quotes"};
  }
  if (lower == "yes" || lower == "no" || lower == "on" || lower == "off") {
    return SyntaxError{where, fmt::format("{} is not a value TOML knows", value),
                       fmt::format("write {}", lower == "yes" || lower == "on" ? "true" : "false")};
  }
  if (lower == "null" || lower == "none" || lower == "nil") {
    return SyntaxError{where, fmt::format("TOML has no {}", value),
                       "leave the key out, and its default holds"};
  }
  const bool numeric = std::string_view("0123456789+-.").find(value.front()) != std::string::npos;
  return SyntaxError{where, fmt::format("{} is not {}", value, numeric ? "a number" : "in quotes"),
                     fmt::format("texts, durations and sizes go in quotes: {} = \"{}\"",
                                 assignment->key, contains(value, "\"") ? "…" : value)};
}

/// The last quoted word of toml++'s text: the key in "cannot redefine existing integer 'a'".
std::string quoted_word(std::string_view description) {
  const std::size_t end = description.rfind('\'');
  if (end == std::string_view::npos || end == 0) return {};
  const std::size_t begin = description.rfind('\'', end - 1);
  if (begin == std::string_view::npos) return {};
  return std::string(description.substr(begin + 1, end - begin - 1));
}

/// The line before `before` that reads like `[name]` or, in the same table, `name = …`; 0: none.
std::uint32_t line_of_first(const SourceFile& file, std::uint32_t before, std::string_view name,
                            bool header) {
  for (std::uint32_t number = before - 1; number > 0; --number) {
    const std::string_view line = trim(file.line(number));
    const auto assignment = as_assignment(line);
    if (header ? line.starts_with(fmt::format("[{}]", name))
               : assignment && assignment->key == name) {
      return number;
    }
    if (!header && line.starts_with('[')) return 0;
  }
  return 0;
}

SyntaxError explain_duplicate(const SourceFile& file, Span at, std::string_view description) {
  const std::string_view line = file.line(at.line);
  const std::string_view trimmed = trim(line);
  const bool header = trimmed.starts_with('[');
  // toml++ garbles the names of tables that are written in quotes.
  const std::size_t closed = trimmed.rfind(']');
  const std::string name = header && closed != std::string_view::npos
                               ? std::string(trimmed.substr(1, closed - 1))
                               : quoted_word(description);
  const std::uint32_t first = name.empty() ? 0 : line_of_first(file, at.line, name, header);
  const std::string where = first == 0 ? "" : fmt::format(", on line {}", first);
  if (header) {
    return {{at.line, 1, static_cast<std::uint32_t>(trimmed.size())},
            name.empty() ? "this table is there already"
                         : fmt::format("the table {} is there already{}", name, where),
            "TOML wants all keys of a table in one place: move them together, or rename one"};
  }
  if (const auto assignment = as_assignment(line); assignment && assignment->key == name) {
    at.column = static_cast<std::uint32_t>(line.find(name) + 1);
    at.length = static_cast<std::uint32_t>(name.size());
  }
  return {at,
          name.empty() ? "this key has a value already"
                       : fmt::format("\"{}\" has a value already{}", name, where),
          "remove one of the two"};
}

SyntaxError explain_string(Span at, std::string_view line, std::string_view description) {
  if (contains(description, "escape sequence")) {
    return {at, "a backslash begins an escape that TOML does not know",
            "in '…' (single quotes) backslashes stand for themselves; in \"…\" write \\\\"};
  }
  if (contains(description, "end-of-file") || at.column > characters_in(line)) {
    return {at, "the text has no closing quote",
            "close it on the same line; longer texts go between three quotes: \"\"\"…\"\"\""};
  }
  if (contains(description, "control characters")) {
    return {at, "a control character within the text", "remove it, or write it as \\u0000"};
  }
  return {at, std::string(description), {}};
}

/// toml++ puts "Error while parsing WHAT: " in front: (WHAT, the rest).
std::pair<std::string_view, std::string_view> split_description(std::string_view description) {
  constexpr std::string_view kPrefix = "Error while parsing ";
  if (!description.starts_with(kPrefix)) return {{}, description};
  const std::size_t colon = description.find(": ");
  if (colon == std::string_view::npos) return {{}, description};
  return {description.substr(kPrefix.size(), colon - kPrefix.size()),
          description.substr(colon + 2)};
}

/// A `key value` line without `=`.
SyntaxError explain_missing_equals(Span at, std::string_view line) {
  const std::string_view rest = trim(line);
  const std::size_t colon = rest.find(':');
  if (colon != std::string_view::npos && rest.find('=') == std::string_view::npos) {
    return {at, "expected = after the key",
            colon + 1 == rest.size()
                ? fmt::format("TOML writes [{}] on a line of its own, and its keys below it",
                              rest.substr(0, colon))
                : fmt::format("TOML writes {} = …", trim(rest.substr(0, colon)))};
  }
  return {at, "expected = after the key",
          "a line is `key = value`; a key with spaces or special characters goes in quotes"};
}

}  // namespace

std::optional<SyntaxError> find_hazard(std::string_view text) {
  return HazardScanner(text).scan();
}

SyntaxError explain_syntax_error(const SourceFile& file, Span at, std::string_view description) {
  const std::string_view line = file.line(at.line);
  const auto [what, rest] = split_description(description);

  if (contains(description, "utf-8")) {
    return {at, "the file is not valid UTF-8 here", "save it as UTF-8"};
  }
  if (contains(rest, "cannot redefine") || contains(rest, "duplicate")) {
    return explain_duplicate(file, at, rest);
  }
  if (contains(what, "string")) return explain_string(at, line, rest);
  if (what == "comment") return {at, "a control character in a comment", "remove it"};
  if (what == "key") {
    return {at, "this cannot begin a name",
            "names are made of letters, digits, _ and -; anything else goes in quotes"};
  }
  if (contains(rest, "expected '='")) return explain_missing_equals(at, line);
  if (what == "table header") {
    return {at, "this table header is not complete", "a header looks like [window.my_window]"};
  }
  if (what == "inline table") {
    if (at.column > line.size()) {
      return {at, "a table in braces {…} must stand on one line, without a comma at its end",
              "for more than a line give it a header of its own, such as [stream.NAME.fields]"};
    }
    return {at, "this table in braces {…} is not well formed",
            "it looks like { name = \"value\", other = \"value\" }"};
  }
  if (what == "array") {
    return {at, "the list is not well formed: " + std::string(rest),
            "it looks like [\"a\", \"b\"]: a comma between two values, a ] at the end"};
  }
  if (what == "root table") {
    return {at, "a line cannot begin with this",
            "a line is `key = value`, `[table]` or a `# comment`"};
  }
  if (auto bare = explain_bare_value(file, at)) return *bare;
  if (contains(rest, "expected value")) {
    return {at, "the value is missing", "write one, or leave the line out"};
  }
  if (what == "value") {
    return {at, "this is no value",
            "texts, durations, sizes and expressions go in quotes: \"1m\", \"count(*)\""};
  }
  if (contains(rest, "expected a comment or whitespace")) {
    return {at, "something follows the value", "one `key = value` a line"};
  }
  return {at, what.empty() ? std::string(rest) : fmt::format("{}: {}", what, rest), {}};
}

}  // namespace streamobs::config

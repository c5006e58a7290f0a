#include "config/source_file.h"

#include <algorithm>
#include <cctype>
#include <utility>

namespace streamobs::config {

namespace {

constexpr std::size_t kExcerptCharsMax = 120;
constexpr std::string_view kSecretWords[] = {"token",   "secret", "password",  "passwd",
                                             "api_key", "apikey", "credential"};

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

bool is_continuation(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) == 0x80;
}

/// Blanks out [from, to) but keeps line ends, so that places stay what they were.
void blank(std::string& text, std::size_t from, std::size_t to) {
  for (std::size_t i = from; i < to && i < text.size(); ++i) {
    if (text[i] != '\n' && text[i] != '\r' && text[i] != ' ') text[i] = '*';
  }
}

/// Where the value that begins at `at` ends, for blanking: the closing quotes of a multi-line
/// string, else the end of the line.
std::size_t end_of_secret(std::string_view text, std::size_t at) {
  for (const std::string_view quotes : {std::string_view("\"\"\""), std::string_view("'''")}) {
    if (text.substr(at, 3) == quotes) return text.find(quotes, at + 3);
  }
  return text.find('\n', at);
}

/// Blanks every value given to a key whose name sounds like a secret, except references to one.
std::string mask_secrets(std::string text) {
  std::string lower = text;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (const std::string_view word : kSecretWords) {
    for (std::size_t at = lower.find(word); at != std::string::npos;
         at = lower.find(word, at + word.size())) {
      std::size_t i = at + word.size();
      // The end of a name: auth_token is a secret, prompt_tokens is not.
      if (i < text.size() && is_word(text[i])) continue;
      while (i < text.size() && (text[i] == ' ' || text[i] == '\t' || text[i] == '"')) ++i;
      if (i >= text.size() || (text[i] != '=' && text[i] != ':')) continue;
      ++i;
      while (i < text.size() && (text[i] == ' ' || text[i] == '\t')) ++i;
      const std::string_view value = std::string_view(text).substr(i);
      const std::size_t quote = value.starts_with('"') || value.starts_with('\'') ? 1 : 0;
      const std::string_view inner = value.substr(quote);
      if (inner.starts_with("env:") || inner.starts_with("file:")) continue;
      blank(text, i, std::min(end_of_secret(text, i), text.size()));
    }
  }
  return text;
}

/// Splits into characters; a broken byte counts as one. Control characters become '?'.
std::vector<std::string> characters(std::string_view line) {
  std::vector<std::string> out;
  for (const char c : line) {
    if (is_continuation(c) && !out.empty()) {
      out.back() += c;
    } else if (static_cast<unsigned char>(c) < 0x20 && c != '\t') {
      out.emplace_back("?");
    } else {
      out.emplace_back(1, c);
    }
  }
  return out;
}

}  // namespace

SourceFile::SourceFile(std::string_view text, std::string name)
    : name_(std::move(name)), text_(text), masked_(mask_secrets(text_)) {
  starts_.push_back(0);
  for (std::size_t i = 0; i < text_.size(); ++i) {
    if (text_[i] == '\n') starts_.push_back(i + 1);
  }
}

std::string_view SourceFile::line_of(const std::string& text, std::uint32_t number) const {
  if (number == 0 || number > starts_.size()) return {};
  const std::size_t begin = starts_[number - 1];
  std::size_t end = number < starts_.size() ? starts_[number] - 1 : text.size();
  if (end > begin && text[end - 1] == '\r') --end;
  std::string_view line(text.data() + begin, end - begin);
  if (number == 1 && line.starts_with("\xEF\xBB\xBF")) line.remove_prefix(3);
  return line;
}

std::string_view SourceFile::from(std::uint32_t number, std::uint32_t column) const {
  std::string_view rest = line(number);
  for (std::uint32_t i = 1; i < column && !rest.empty(); ++i) {
    rest.remove_prefix(1);
    while (!rest.empty() && is_continuation(rest.front())) rest.remove_prefix(1);
  }
  return rest;
}

std::string SourceFile::excerpt(const Span& span) const {
  const std::vector<std::string> chars = characters(line_of(masked_, span.line));
  if (chars.empty()) return {};
  const std::size_t caret =
      std::min<std::size_t>(span.column == 0 ? 0 : span.column - 1, chars.size());
  std::size_t begin = 0;
  if (chars.size() > kExcerptCharsMax && caret > kExcerptCharsMax / 2) {
    begin = std::min(caret - kExcerptCharsMax / 2, chars.size() - kExcerptCharsMax);
  }
  const std::size_t end = std::min(begin + kExcerptCharsMax, chars.size());

  std::string line = begin > 0 ? "…" : "";
  std::string below = begin > 0 ? " " : "";
  for (std::size_t i = begin; i < end; ++i) {
    line += chars[i];
    if (i < caret) below += chars[i] == "\t" ? '\t' : ' ';
  }
  if (end < chars.size()) line += "…";
  if (span.length == 0 || span.column == 0) return line;
  const std::size_t room = std::max<std::size_t>(end > caret ? end - caret : 0, 1);
  below.append(std::min<std::size_t>(span.length, room), '^');
  return line + "\n" + below;
}

namespace {
std::string item_of(std::string_view section, std::string_view name) {
  return std::string(section) + "." + std::string(name);
}
}  // namespace

Report::Within::Within(Report& report, std::string_view section, std::string_view name)
    : report_(report) {
  report_.item_ = item_of(section, name);
}

bool Report::has_errors_in(std::string_view section, std::string_view name) const {
  return bad_.contains(item_of(section, name));
}

void Report::error(const Span& at, std::string message, std::string hint) {
  add(Diagnostic::Severity::error, at, std::move(message), std::move(hint), true);
}

void Report::warning(const Span& at, std::string message, std::string hint) {
  add(Diagnostic::Severity::warning, at, std::move(message), std::move(hint), true);
}

void Report::error_without_excerpt(const Span& at, std::string message, std::string hint) {
  add(Diagnostic::Severity::error, at, std::move(message), std::move(hint), false);
}

void Report::add(Diagnostic::Severity severity, const Span& at, std::string message,
                 std::string hint, bool with_excerpt) {
  if (severity == Diagnostic::Severity::error) {
    ++errors_;
    if (!item_.empty()) bad_.insert(item_);
  }
  if (listed_ == kDiagnosticsMax) {
    ++unlisted_;
    return;
  }
  ++listed_;
  Diagnostic d;
  d.severity = severity;
  d.place = file_.place(at);
  d.message = std::move(message);
  d.hint = std::move(hint);
  if (with_excerpt) {
    const auto of = std::find_if(included_.begin(), included_.end(), [&](const SourceFile* file) {
      return file->name() == d.place.file;
    });
    d.excerpt = (of == included_.end() ? file_ : **of).excerpt(at);
  }
  diagnostics_.push_back(std::move(d));
}

void Report::finish() {
  if (unlisted_ == 0) return;
  Diagnostic d;
  d.place = file_.place({file_.lines(), 1, 0});
  d.message = std::to_string(unlisted_) + " more problems are not listed";
  d.hint = "is this the right file?";
  diagnostics_.push_back(std::move(d));
}

}  // namespace streamobs::config

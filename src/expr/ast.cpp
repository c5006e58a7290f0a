#include "expr/ast.h"

#include <algorithm>

namespace streamobs::expr {

NodePtr rewrite(const NodePtr& root, const std::function<NodePtr(const NodePtr&)>& replace) {
  if (root == nullptr) return nullptr;
  if (NodePtr instead = replace(root)) return instead;
  bool changed = false;
  std::vector<NodePtr> args;
  args.reserve(root->args.size());
  for (const NodePtr& arg : root->args) {
    args.push_back(rewrite(arg, replace));
    changed = changed || args.back() != arg;
  }
  const NodePtr filter = rewrite(root->filter, replace);
  if (!changed && filter == root->filter) return root;
  auto copy = std::make_shared<Node>(*root);
  copy->args = std::move(args);
  copy->filter = filter;
  return copy;
}

void walk(const NodePtr& root, const std::function<void(const Node&)>& visit) {
  if (root == nullptr) return;
  visit(*root);
  for (const NodePtr& arg : root->args) walk(arg, visit);
  walk(root->filter, visit);
}

namespace {

/// Bytes of the UTF-8 character that starts at `at`; 0 where there is none that is valid.
std::size_t character_size(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(at);
  if (lead < 0x80) return 1;
  const std::size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc2 ? 2 : 0;
  if (size == 0 || lead > 0xf4 || at + size > text.size()) return 0;
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(at + i) & 0xc0) != 0x80) return 0;
  }
  return size;
}

/// Appends `text` so that it can be printed: a control character is a blank, a byte that is not
/// UTF-8 a question mark. Returns how many characters it was.
std::size_t append_printable(std::string& out, std::string_view text) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < text.size(); ++count) {
    const std::size_t size = character_size(text, i);
    if (size == 0) {
      out += '?';
      ++i;
      continue;
    }
    const auto c = static_cast<unsigned char>(text[i]);
    if (size == 1 && (c < 0x20 || c == 0x7f)) {
      out += ' ';
    } else {
      out += text.substr(i, size);
    }
    i += size;
  }
  return count;
}

}  // namespace

Diagnostic diagnose(const SourceText& source, Span span, std::string message, std::string hint) {
  const std::string_view text = source.text;
  const std::size_t begin = std::min<std::size_t>(span.begin, text.size());
  std::size_t line_begin = 0;
  std::uint32_t line = 0;
  for (std::size_t i = 0; i < begin; ++i) {
    if (text[i] != '\n') continue;
    line_begin = i + 1;
    ++line;
  }
  std::size_t line_end = std::min(text.find('\n', begin), text.size());
  const std::size_t end = std::clamp<std::size_t>(span.end, begin, line_end);

  Diagnostic diagnostic;
  diagnostic.message = std::move(message);
  diagnostic.hint = std::move(hint);
  std::string ignored;
  const std::size_t column = append_printable(ignored, text.substr(line_begin, begin - line_begin));
  diagnostic.place = source.place;
  // Without a file the place is that within the text itself.
  const std::uint32_t first_line = std::max<std::uint32_t>(source.place.line, 1);
  const std::uint32_t first_column = std::max<std::uint32_t>(source.place.column, 1);
  diagnostic.place.line = first_line + line;
  diagnostic.place.column = static_cast<std::uint32_t>(column) + (line == 0 ? first_column : 1);

  // Of a very long line only what is near the caret is shown.
  constexpr std::size_t kBefore = 80;
  constexpr std::size_t kAfter = 120;
  std::string_view lead_dots;
  std::string_view tail_dots;
  const auto inside = [&](std::size_t i) {
    return (static_cast<unsigned char>(text[i]) & 0xc0) == 0x80;
  };
  if (begin - line_begin > kBefore) {
    line_begin = begin - kBefore;
    while (line_begin < begin && inside(line_begin)) ++line_begin;
    lead_dots = "…";
  }
  if (line_end - begin > kAfter) {
    line_end = begin + kAfter;
    while (line_end > begin && inside(line_end)) --line_end;
    tail_dots = "…";
  }
  const std::size_t mark_end = std::min(end, line_end);
  std::string& excerpt = diagnostic.excerpt;
  excerpt += lead_dots;
  const std::size_t blanks = append_printable(excerpt, text.substr(line_begin, begin - line_begin));
  const std::size_t marks =
      append_printable(excerpt, text.substr(begin, mark_end > begin ? mark_end - begin : 0));
  append_printable(excerpt, text.substr(mark_end, line_end - mark_end));
  excerpt += tail_dots;
  excerpt += '\n';
  excerpt.append(blanks + (lead_dots.empty() ? 0 : 1), ' ');
  excerpt += '^';
  if (marks > 1) excerpt.append(marks - 1, '~');
  return diagnostic;
}

}  // namespace streamobs::expr

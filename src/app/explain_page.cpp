#include "app/explain_page.h"

#include <algorithm>

namespace streamobs::app {

namespace {

constexpr std::size_t kLineWidth = 100;

}  // namespace

void Page::heading(std::string_view text) {
  if (!out_.empty()) out_ += '\n';
  out_ += text;
  out_ += '\n';
}

void Page::line(std::size_t depth, std::string_view text) {
  const std::string indent(2 * depth, ' ');
  std::string current = indent;
  bool begun = false;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (word.empty()) continue;
    if (begun && current.size() + 1 + word.size() > kLineWidth) {
      out_ += current + '\n';
      current = indent + "  ";
      begun = false;
    }
    if (begun) current += ' ';
    current += word;
    begun = true;
  }
  out_ += current + '\n';
}

std::string on_one_line(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool space = c == ' ' || c == '\n' || c == '\t' || c == '\r';
    if (!space) {
      out += c;
    } else if (!out.empty() && out.back() != ' ') {
      out += ' ';
    }
  }
  if (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

std::vector<std::string> texts_of(const std::vector<SourceText>& list) {
  std::vector<std::string> out;
  for (const SourceText& item : list) out.push_back(item.text);
  return out;
}

}  // namespace streamobs::app

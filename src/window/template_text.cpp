#include "window/template_text.h"

#include <algorithm>

namespace streamobs::window {

namespace {

constexpr std::string_view kBlanks = " \t\r\n\f\v";
/// What keeps the pieces of one masked value apart.
constexpr std::string_view kWithin = "-.:/_+,@%#";

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_alphanumeric(char c) {
  return is_digit(c) || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

bool is_path(std::string_view word) {
  if (std::string_view("\"'([").find(word.front()) != std::string_view::npos) word.remove_prefix(1);
  if (!word.starts_with('/')) return false;
  const std::size_t second = word.find('/', 1);
  return second != std::string_view::npos && second > 1 && second + 1 < word.size();
}

/// Where the letters and digits end that begin at `at`.
std::size_t end_of_run(std::string_view word, std::size_t at) {
  while (at < word.size() && is_alphanumeric(word[at])) ++at;
  return at;
}

bool has_digit(std::string_view run) {
  return std::any_of(run.begin(), run.end(), is_digit);
}

/// Where the value ends of which a piece ends at `at`.
std::size_t end_of_value(std::string_view word, std::size_t at) {
  for (;;) {
    const std::size_t next = std::min(word.find_first_not_of(kWithin, at), word.size());
    const std::size_t end = end_of_run(word, next);
    if (!has_digit(word.substr(next, end - next))) break;
    at = end;
  }
  return at < word.size() && word[at] == '%' ? at + 1 : at;
}

}  // namespace

const std::vector<std::string_view>& TemplateText::split(std::string_view message) {
  text_.clear();
  ends_.clear();
  bool cut = message.size() > kMaxBytes;
  if (cut) {
    std::size_t size = kMaxBytes;
    while (size > 0 && (static_cast<unsigned char>(message[size]) & 0xc0) == 0x80) --size;
    message = message.substr(0, size);
  }
  for (;;) {
    message.remove_prefix(std::min(message.find_first_not_of(kBlanks), message.size()));
    if (message.empty()) break;
    if (ends_.size() == kMaxWords) {
      cut = true;
      break;
    }
    const std::size_t size = std::min(message.find_first_of(kBlanks), message.size());
    mask(message.substr(0, size));
    ends_.push_back(text_.size());
    message.remove_prefix(size);
  }
  if (cut) {
    text_ += kWildcard;
    ends_.push_back(text_.size());
  }
  words_.clear();
  std::size_t begin = 0;
  for (const std::size_t end : ends_) {
    words_.push_back(std::string_view(text_).substr(begin, end - begin));
    begin = end;
  }
  return words_;
}

void TemplateText::mask(std::string_view word) {
  if (is_path(word)) {
    text_ += kWildcard;
    return;
  }
  const std::size_t begin = text_.size();
  for (std::size_t at = 0; at < word.size();) {
    if (!is_alphanumeric(word[at])) {
      text_ += word[at++];
      continue;
    }
    const std::size_t end = end_of_run(word, at);
    if (has_digit(word.substr(at, end - at))) {
      const bool is_signed = text_.size() > begin && (text_.back() == '-' || text_.back() == '+');
      if (is_signed) text_.pop_back();
      text_ += kWildcard;
      at = end_of_value(word, end);
    } else {
      text_ += word.substr(at, end - at);
      at = end;
    }
  }
}

}  // namespace streamobs::window

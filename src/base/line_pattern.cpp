#include "base/line_pattern.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include <fmt/format.h>

namespace streamobs {

namespace {

constexpr std::size_t kNowhere = std::string_view::npos;

bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

bool is_name(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           std::string_view("_.-@").find(c) != kNowhere;
  });
}

/// Where `text` ends if it stands at `at`, else kNowhere.
std::size_t end_at(std::string_view line, std::size_t at, std::string_view text) {
  for (const char c : text) {
    if (at == line.size()) return kNowhere;
    if (c == ' ') {
      if (!is_blank(line[at])) return kNowhere;
      while (at < line.size() && is_blank(line[at])) ++at;
    } else if (line[at++] != c) {
      return kNowhere;
    }
  }
  return at;
}

struct Found {
  std::size_t begin = kNowhere;
  std::size_t end = kNowhere;
};

/// The first place at or behind `from` where `text`, which is not empty, stands.
Found find(std::string_view line, std::size_t from, std::string_view text) {
  const char first = text.front();
  for (std::size_t at = from; at < line.size(); ++at) {
    if (first == ' ') {
      at = line.find_first_of(" \t", at);
    } else {
      at = line.find(first, at);
    }
    if (at == kNowhere) break;
    const std::size_t end = end_at(line, at, text);
    if (end != kNowhere) return {at, end};
    // A run of blanks that does not fit fits nowhere within either.
    if (first == ' ') at = std::min(line.find_first_not_of(" \t", at), line.size()) - 1;
  }
  return {};
}

/// Where `text` stands at the very end of the line, not in front of `from`.
Found find_at_end(std::string_view line, std::size_t from, std::string_view text) {
  std::size_t begin = line.size();
  for (std::size_t i = text.size(); i-- > 0;) {
    if (begin == from ||
        (text[i] == ' ' ? !is_blank(line[begin - 1]) : line[begin - 1] != text[i])) {
      return {};
    }
    --begin;
    while (text[i] == ' ' && begin > from && is_blank(line[begin - 1])) --begin;
  }
  return {begin, line.size()};
}

}  // namespace

/// Reads a pattern once from the left; made for one pattern.
class PatternParser {
 public:
  PatternParser(std::string_view text, LinePattern::Fault& fault) : text_(text), fault_(fault) {}

  std::optional<LinePattern> parse() {
    if (text_.size() > LinePattern::kMaxBytes) {
      return fail(0, fmt::format("a pattern has at most {} bytes", LinePattern::kMaxBytes), "");
    }
    std::string* literal = &pattern_.start_;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      const bool doubled = at_ + 1 < text_.size() && text_[at_ + 1] == c;
      if ((c == '{' || c == '}') && doubled) {
        literal->push_back(c);
        at_ += 2;
      } else if (c == '}') {
        return fail(at_, "a } without its {", "a brace itself is written }}");
      } else if (c == '{') {
        if (!pattern_.parts_.empty() && literal->empty()) {
          return fail(at_, "nothing stands between two parts, so there is no telling them apart",
                      "put what stands between them in the line there, a blank for example");
        }
        if (!read_part()) return std::nullopt;
        literal = &pattern_.parts_.back().behind;
      } else if (is_blank(c)) {
        if (literal->empty() || literal->back() != ' ') literal->push_back(' ');
        ++at_;
      } else if (static_cast<unsigned char>(c) < 0x20) {
        return fail(at_, "a line break or control character is in no line", "");
      } else {
        literal->push_back(c);
        ++at_;
      }
    }
    if (pattern_.names_.empty()) {
      return fail(0, "the pattern has no named part", "for example '{time} [{level}] {message}'");
    }
    return std::move(pattern_);
  }

 private:
  std::nullopt_t fail(std::size_t at, std::string message, std::string hint) {
    fault_ = {at, "pattern: " + std::move(message), std::move(hint)};
    return std::nullopt;
  }

  /// {name}, {_} or {+name} at at_; false after a diagnostic.
  bool read_part() {
    const std::size_t open = at_;
    const std::size_t close = text_.find('}', open);
    if (close == kNowhere) {
      fail(open, "a { without its }", "a brace itself is written {{");
      return false;
    }
    std::string_view name = text_.substr(open + 1, close - open - 1);
    LinePattern::Part part;
    part.goes_on = name.starts_with('+');
    if (part.goes_on) name.remove_prefix(1);
    if (!is_name(name)) {
      fail(open, fmt::format("\"{}\" cannot name a part", name),
           "letters, digits, _ . - and @; a brace itself is written {{");
      return false;
    }
    if (pattern_.parts_.size() == LinePattern::kMaxParts) {
      fail(open, fmt::format("a pattern has at most {} parts", LinePattern::kMaxParts), "");
      return false;
    }
    auto& names = pattern_.names_;
    const auto known = std::find(names.begin(), names.end(), name);
    if (part.goes_on) {
      const bool directly =
          known != names.end() && !pattern_.parts_.empty() &&
          pattern_.parts_.back().name == static_cast<std::size_t>(known - names.begin());
      if (!directly) {
        fail(open, fmt::format("{{+{0}}} does not stand directly behind {{{0}}}", name),
             fmt::format("write {{{0}}} {{+{0}}}, with what stands between them", name));
        return false;
      }
    } else if (known != names.end()) {
      fail(open, fmt::format("there are two parts {}", name),
           fmt::format("give one another name; to go on with the first, write {{+{}}}", name));
      return false;
    }
    if (name != "_") part.name = static_cast<std::size_t>(known - names.begin());
    if (name != "_" && !part.goes_on) names.emplace_back(name);
    pattern_.parts_.push_back(std::move(part));
    at_ = close + 1;
    return true;
  }

  std::string_view text_;
  LinePattern::Fault& fault_;
  LinePattern pattern_;
  std::size_t at_ = 0;
};

std::optional<LinePattern> LinePattern::parse(std::string_view text, Fault& fault) {
  return PatternParser(text, fault).parse();
}

bool LinePattern::cut(std::string_view line, std::string_view* parts) const {
  std::size_t at = end_at(line, 0, start_);
  if (at == kNowhere) return false;
  std::size_t begin = at;
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    const Part& part = parts_[i];
    if (!part.goes_on) begin = at;
    Found found{line.size(), line.size()};
    if (i + 1 == parts_.size() && !part.behind.empty()) {
      // Behind the last part the line has to end: "{message}" may have quotes within.
      found = find_at_end(line, at, part.behind);
    } else if (!part.behind.empty()) {
      found = find(line, at, part.behind);
    }
    if (found.begin == kNowhere) return false;
    if (part.name != kNoName) parts[part.name] = line.substr(begin, found.begin - begin);
    at = found.end;
  }
  return at == line.size();
}

}  // namespace streamobs

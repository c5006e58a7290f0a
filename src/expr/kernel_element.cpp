// tags['region']: one value of a flat JSON object, found by walking its text.
//
// Decode has validated the text, so the walk checks only that it stays inside; on text that is not
// JSON it finds nothing.
#include "base/json_text.h"
#include "expr/kernel_loops.h"
#include "expr/kernels.h"

namespace streamobs::expr::kernels {
namespace {

using Text = std::string_view;

class ObjectReader {
 public:
  explicit ObjectReader(Text json) : json_(json) {}

  bool open() { return take('{'); }
  /// Reads `"key":`; the key comes raw, between its quotes.
  bool next_key(Text& key) {
    take(',');
    return string(key) && take(':');
  }
  /// Reads a value. `quoted`: it was a string, and comes raw, between its quotes.
  bool value(Text& out, bool& quoted) {
    skip_blanks();
    quoted = at_ < json_.size() && json_[at_] == '"';
    if (quoted) return string(out);
    const std::size_t begin = at_;
    int depth = 0;
    while (at_ < json_.size()) {
      const char c = json_[at_];
      if (c == '"') {
        Text ignored;
        if (!string(ignored)) return false;
        continue;
      }
      if (c == '{' || c == '[') ++depth;
      if (c == '}' || c == ']') {
        if (depth == 0) break;
        --depth;
      }
      if (c == ',' && depth == 0) break;
      ++at_;
    }
    std::size_t end = at_;
    while (end > begin && is_blank(json_[end - 1])) --end;
    out = json_.substr(begin, end - begin);
    return !out.empty();
  }

 private:
  static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
  void skip_blanks() {
    while (at_ < json_.size() && is_blank(json_[at_])) ++at_;
  }
  bool take(char c) {
    skip_blanks();
    if (at_ == json_.size() || json_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool string(Text& out) {
    if (!take('"')) return false;
    const std::size_t begin = at_;
    while (at_ < json_.size()) {
      if (json_[at_] == '\\') {
        at_ += 2;
      } else if (json_[at_] == '"') {
        out = json_.substr(begin, at_ - begin);
        ++at_;
        return true;
      } else {
        ++at_;
      }
    }
    at_ = json_.size();
    return false;
  }

  Text json_;
  std::size_t at_ = 0;
};

/// The value of `key` in the object; false where there is none or it is null.
bool find_value(Frame& f, Text json, Text key, Text& out) {
  ObjectReader reader(json);
  if (!reader.open()) return false;
  Text name;
  while (reader.next_key(name)) {
    bool quoted = false;
    Text value;
    if (!reader.value(value, quoted)) return false;
    bool found = name == key;
    if (name.find('\\') != Text::npos && name.size() <= 6 * key.size() + 6) {
      char* const plain = f.scratch->allocate(name.size());
      found = plain != nullptr && Text(plain, unescape_json(name, plain)) == key;
    }
    if (!found) continue;
    if (!quoted) {
      out = value;
      return value != "null";
    }
    if (value.find('\\') == Text::npos) {
      out = value;
      return true;
    }
    char* const plain = f.scratch->allocate(value.size());
    if (plain == nullptr) {
      ++f.scratch->overflows;
      return false;
    }
    out = {plain, unescape_json(value, plain)};
    return true;
  }
  return false;
}

}  // namespace

void element(Frame& f) {
  const Cells<Text> map(f.args[0]);
  const Cells<Text> key(f.args[1]);
  for (std::size_t i = 0; i < f.rows; ++i) {
    f.strings[i] = {};
    if (f.is_null(i)) continue;
    Text value;
    if (find_value(f, map[i], key[i], value)) {
      f.strings[i] = value;
    } else {
      f.set_null(i);
    }
  }
}

}  // namespace streamobs::expr::kernels

// tags['region']: one value of a flat JSON object, found by walking its text.
//
// Decode has validated the text, so the walk checks only that it stays inside; on text that is not
// JSON it finds nothing.
#include <cstring>

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

unsigned hex_value(Text digits) {
  unsigned value = 0;
  for (const char c : digits) {
    const unsigned digit = c >= '0' && c <= '9'   ? static_cast<unsigned>(c - '0')
                           : c >= 'a' && c <= 'f' ? static_cast<unsigned>(c - 'a' + 10)
                           : c >= 'A' && c <= 'F' ? static_cast<unsigned>(c - 'A' + 10)
                                                  : 0;
    value = value * 16 + digit;
  }
  return value;
}

char* append_utf8(char* out, unsigned code) {
  if (code < 0x80) {
    *out++ = static_cast<char>(code);
  } else if (code < 0x800) {
    *out++ = static_cast<char>(0xc0 | (code >> 6));
    *out++ = static_cast<char>(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    *out++ = static_cast<char>(0xe0 | (code >> 12));
    *out++ = static_cast<char>(0x80 | ((code >> 6) & 0x3f));
    *out++ = static_cast<char>(0x80 | (code & 0x3f));
  } else {
    *out++ = static_cast<char>(0xf0 | (code >> 18));
    *out++ = static_cast<char>(0x80 | ((code >> 12) & 0x3f));
    *out++ = static_cast<char>(0x80 | ((code >> 6) & 0x3f));
    *out++ = static_cast<char>(0x80 | (code & 0x3f));
  }
  return out;
}

/// Undoes JSON's escapes; the result is never longer than `raw`. Returns the end.
char* unescape(Text raw, char* out) {
  for (std::size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] != '\\' || i + 1 == raw.size()) {
      *out++ = raw[i];
      continue;
    }
    const char c = raw[++i];
    switch (c) {
      case 'b':
        *out++ = '\b';
        break;
      case 'f':
        *out++ = '\f';
        break;
      case 'n':
        *out++ = '\n';
        break;
      case 'r':
        *out++ = '\r';
        break;
      case 't':
        *out++ = '\t';
        break;
      case 'u': {
        unsigned code = hex_value(raw.substr(i + 1, 4));
        i += std::min<std::size_t>(4, raw.size() - i - 1);
        if (code >= 0xd800 && code < 0xdc00 && raw.substr(i + 1).starts_with("\\u")) {
          const unsigned low = hex_value(raw.substr(i + 3, 4));
          if (low >= 0xdc00 && low < 0xe000) {
            code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
            i += std::min<std::size_t>(6, raw.size() - i - 1);
          }
        }
        // Half a surrogate pair stands for no character.
        if (code >= 0xd800 && code < 0xe000) code = 0xfffd;
        out = append_utf8(out, code);
        break;
      }
      default:
        *out++ = c;
        break;
    }
  }
  return out;
}

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
      char* const plain = f.scratch->allocate(name.size() + 4);
      found = plain != nullptr &&
              Text(plain, static_cast<std::size_t>(unescape(name, plain) - plain)) == key;
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
    char* const plain = f.scratch->allocate(value.size() + 4);
    if (plain == nullptr) {
      ++f.scratch->overflows;
      return false;
    }
    out = {plain, static_cast<std::size_t>(unescape(value, plain) - plain)};
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

#include "base/json_text.h"

#include <cstdint>

namespace streamobs {

namespace {

char* append_utf8(char* out, std::uint32_t code) {
  if (code < 0x80) {
    *out++ = static_cast<char>(code);
  } else if (code < 0x800) {
    *out++ = static_cast<char>(0xc0 | code >> 6);
    *out++ = static_cast<char>(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    *out++ = static_cast<char>(0xe0 | code >> 12);
    *out++ = static_cast<char>(0x80 | (code >> 6 & 0x3f));
    *out++ = static_cast<char>(0x80 | (code & 0x3f));
  } else {
    *out++ = static_cast<char>(0xf0 | code >> 18);
    *out++ = static_cast<char>(0x80 | (code >> 12 & 0x3f));
    *out++ = static_cast<char>(0x80 | (code >> 6 & 0x3f));
    *out++ = static_cast<char>(0x80 | (code & 0x3f));
  }
  return out;
}

/// The character of \uXXXX, or of two of them; `p` stands behind the u and is moved behind it all.
/// -1 and `p` unmoved where there are no four digits.
int read_code(const char*& p, const char* end) {
  const int code = read_hex4(p, end);
  if (code < 0) return -1;
  p += 4;
  if (is_high_surrogate(code) && end - p >= 6 && p[0] == '\\' && p[1] == 'u') {
    const int low = read_hex4(p + 2, end);
    if (is_low_surrogate(low)) {
      p += 6;
      return 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
  }
  return is_high_surrogate(code) || is_low_surrogate(code) ? 0xfffd : code;
}

char plain_of(char escape) {
  switch (escape) {
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    default:
      return escape;  // A quote, a backslash, a slash.
  }
}

}  // namespace

int read_hex4(const char* p, const char* end) {
  if (end - p < 4) return -1;
  int value = 0;
  for (int i = 0; i < 4; ++i) {
    const char c = p[i];
    const char lower = static_cast<char>(c | 0x20);
    int digit = 0;
    if (c >= '0' && c <= '9') {
      digit = c - '0';
    } else if (lower >= 'a' && lower <= 'f') {
      digit = lower - 'a' + 10;
    } else {
      return -1;
    }
    value = value * 16 + digit;
  }
  return value;
}

std::size_t unescape_json(std::string_view text, char* out) {
  const char* p = text.data();
  const char* const end = p + text.size();
  char* const begin = out;
  while (p < end) {
    if (*p != '\\' || p + 1 == end) {
      *out++ = *p++;
      continue;
    }
    const char escape = p[1];
    p += 2;
    const int code = escape == 'u' ? read_code(p, end) : -1;
    if (code >= 0) {
      out = append_utf8(out, static_cast<std::uint32_t>(code));
    } else {
      *out++ = plain_of(escape);
    }
  }
  return static_cast<std::size_t>(out - begin);
}

}  // namespace streamobs

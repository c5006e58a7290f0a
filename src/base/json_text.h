// JSON's string escapes undone: of keys and values while events are read, and of maps while
// expressions look into them. Free functions; any thread.
#pragma once

#include <cstddef>
#include <string_view>

namespace streamobs {

/// The value of four hexadecimal digits at `p`, -1 where they are not all there before `end`.
int read_hex4(const char* p, const char* end);

constexpr bool is_high_surrogate(int code) {
  return code >= 0xd800 && code < 0xdc00;
}
constexpr bool is_low_surrogate(int code) {
  return code >= 0xdc00 && code < 0xe000;
}

/// Writes what stands between a JSON string's quotes to `out`, escapes undone; returns the size,
/// which is never more than text.size(). Where `text` is no JSON it stays within bounds: an escape
/// that is none stands for the characters behind its backslash, half a surrogate pair for U+FFFD.
std::size_t unescape_json(std::string_view text, char* out);

}  // namespace streamobs

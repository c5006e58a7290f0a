// Characters in UTF-8 text that is known to be valid. On text that is not, nothing breaks: a byte
// that continues nothing counts as part of the character before it.
#pragma once

#include <cstdint>
#include <string_view>

namespace streamobs::expr {

inline bool continues_character(char c) {
  return (static_cast<unsigned char>(c) & 0xc0) == 0x80;
}

inline std::int64_t count_characters(std::string_view text) {
  std::int64_t count = 0;
  for (const char c : text) count += !continues_character(c);
  return count;
}

/// Where the character that starts at or before `at` ends.
inline std::size_t next_character(std::string_view text, std::size_t at) {
  ++at;
  while (at < text.size() && continues_character(text[at])) ++at;
  return at;
}

/// The byte at which character number `index` (from 0) starts; the size where there is none.
inline std::size_t character_offset(std::string_view text, std::int64_t index) {
  std::size_t at = 0;
  for (; index > 0 && at < text.size(); --index) at = next_character(text, at);
  return at;
}

}  // namespace streamobs::expr

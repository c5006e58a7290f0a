#include "decode/line_reader.h"

#include <cstring>

#include "base/short_text.h"
#include "decode/json_reader.h"
#include "event/dead_letter.h"

namespace streamobs::decode {

void LineReader::read(const char* p, const char* end) {
  while (p < end) {
    const void* const found = std::memchr(p, '\n', static_cast<std::size_t>(end - p));
    const char* const line_end = found != nullptr ? static_cast<const char*>(found) : end;
    const char* const text_end = line_end > p && line_end[-1] == '\r' ? line_end - 1 : line_end;
    if (std::string_view(p, static_cast<std::size_t>(text_end - p)).find_first_not_of(" \t") ==
        std::string_view::npos) {
      collector_.count_lines(1);
    } else {
      read_line(p, text_end);
    }
    p = line_end + 1;
  }
}

void LineReader::read_line(const char* begin, const char* end) {
  const std::string_view line(begin, static_cast<std::size_t>(end - begin));
  if (collector_.refuse_if_too_long(begin, end)) return;
  if (line.find('\0') != std::string_view::npos || !is_utf8(line)) {
    collector_.refuse(begin, end, reason::bad_utf8, "the line is not UTF-8, or has a NUL");
    return;
  }
  for (Token& token : tokens_) token.kind = Token::Kind::absent;
  if (read_parts(line)) {
    collector_.take(tokens_.data(), begin, end);
  } else {
    collector_.refuse(begin, end, fault_.reason, fault_.detail);
  }
}

bool LineReader::fault(std::string_view reason, std::string_view detail) {
  fault_.reason = reason;
  fault_.detail = detail;
  return false;
}

void LineReader::set(std::uint32_t slot, std::string_view text, bool padded) {
  if (slot == FieldIndex::kNone) return;
  Token& token = tokens_[slot];
  token = {};
  token.kind = text.empty() ? Token::Kind::null : Token::Kind::text;
  token.padded = padded;
  token.text = text;
}

char* LineReader::room_for(std::string_view escaped) {
  return writer_.batch().text.allocate(escaped.size() + ShortText::kMax);
}

}  // namespace streamobs::decode

#include "decode/json_block.h"

#include <cstring>

#include "event/dead_letter.h"

namespace streamobs::decode {

namespace {

const char* find_newline(const char* p, const char* end) {
  const void* const found = std::memchr(p, '\n', static_cast<std::size_t>(end - p));
  return found != nullptr ? static_cast<const char*>(found) : end;
}

const char* skip_blanks(const char* p, const char* end) {
  while (p < end && (*p == ' ' || *p == '\t' || *p == '\r')) ++p;
  return p;
}

const char* skip_byte_order_mark(const char* p, const char* end) {
  return end - p >= 3 && std::memcmp(p, "\xef\xbb\xbf", 3) == 0 ? p + 3 : p;
}

}  // namespace

JsonBlock::JsonBlock(const FieldIndex& index, JsonReader& reader, Shapes& shapes,
                     BatchWriter& writer, EventCollector& collector, Refusal& refusal,
                     bool use_shapes)
    : reader_(reader),
      shapes_(shapes),
      writer_(writer),
      collector_(collector),
      refusal_(refusal),
      use_shapes_(use_shapes),
      tokens_(index.slots()) {}

void JsonBlock::read_any(const char* p, const char* end) {
  p = skip_byte_order_mark(p, end);
  const char* const first = JsonReader::skip_space(p, end);
  if (first < end && *first == '[') {
    read_array(first, end);
  } else if (!read_single(first, end)) {
    read_lines(p, end);
  }
}

/// The body as one event, if its first object goes on over a line's end and nothing follows it.
bool JsonBlock::read_single(const char* p, const char* end) {
  const char* const line_end = find_newline(p, end);
  if (p == end || *p != '{' || line_end == end) return false;
  Token whole;
  const char* const object_end = reader_.read_value(p, end, 1, whole);
  if (object_end == nullptr || object_end <= line_end) return false;
  if (JsonReader::skip_space(object_end, end) != end) return false;
  if (!collector_.refuse_if_too_long(p, object_end)) read_element(p, end);
  return true;
}

void JsonBlock::read_lines(const char* p, const char* end) {
  p = skip_byte_order_mark(p, end);
  while (p < end) {
    if (use_shapes_ && !collector_.sees_all()) {
      p = shapes_.read_lines(p, end, collector_.max_event_bytes());
      if (p == end) return;
    } else if (const char* const behind = read_by_shape(p, end);
               behind != nullptr && (behind == end || *behind == '\n')) {
      collector_.accept(p, behind);
      p = behind + 1;
      continue;
    }
    const char* const line_end = find_newline(p, end);
    read_line(p, line_end);
    p = line_end + 1;
  }
}

/// The event at `p` in the writer's row, and what is behind it; null if the plain reader must see
/// it.
inline const char* JsonBlock::read_by_shape(const char* p, const char* end) {
  if (!use_shapes_) return nullptr;
  writer_.prepare_row();
  const char* const behind = shapes_.read(p, end);
  if (behind == nullptr) return nullptr;
  return static_cast<std::size_t>(behind - p) <= collector_.max_event_bytes() ? behind : nullptr;
}

void JsonBlock::read_line(const char* begin, const char* end) {
  if (use_shapes_) writer_.reset_row();
  begin = skip_blanks(begin, end);
  while (end > begin && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r')) --end;
  if (begin == end) {
    collector_.count_lines(1);
    return;
  }
  if (collector_.refuse_if_too_long(begin, end)) return;
  const char* const object_end = reader_.read_event(begin, end, tokens_.data());
  if (object_end == nullptr) {
    collector_.refuse(begin, end);
  } else if (object_end != end) {
    collector_.refuse(begin, end, reason::not_json, "something follows the object on its line");
  } else {
    take(begin, end);
  }
}

/// The plain reader's event becomes a row, and the shapes learn from it, or a dead letter.
void JsonBlock::take(const char* begin, const char* end) {
  if (collector_.take(tokens_.data(), begin, end) && use_shapes_) shapes_.learn(begin, end);
}

/// `p` stands at the bracket. Every element is an event, judged by itself, as a line would be.
void JsonBlock::read_array(const char* p, const char* end) {
  p = JsonReader::skip_space(p + 1, end);
  if (p < end && *p == ']') {
    p = JsonReader::skip_space(p + 1, end);
    if (p != end) collector_.refuse(p, end, reason::not_json, "something follows the array");
    return;
  }
  for (;;) {
    p = JsonReader::skip_space(p, end);
    if (p == end) {
      collector_.refuse(p, end, reason::not_json, "the array is not closed");
      return;
    }
    p = read_element(p, end);
    if (p == nullptr) return;
    p = JsonReader::skip_space(p, end);
    if (p == end) {
      collector_.refuse(p, end, reason::not_json, "the array is not closed");
      return;
    }
    if (*p == ']') {
      p = JsonReader::skip_space(p + 1, end);
      if (p != end) collector_.refuse(p, end, reason::not_json, "something follows the array");
      return;
    }
    if (*p != ',') {
      collector_.refuse(p, end, reason::not_json,
                        "expected ',' or ']' after an event; the rest of the array is refused");
      return;
    }
    ++p;
  }
}

/// Takes or refuses the element at `p` and returns what is behind it; null if its end cannot be
/// found, and then the rest of the array has been refused with it.
const char* JsonBlock::read_element(const char* p, const char* end) {
  if (const char* const behind = read_by_shape(p, end); behind != nullptr) {
    collector_.accept(p, behind);
    return behind;
  }
  if (use_shapes_) writer_.reset_row();
  const char* element_end = reader_.read_event(p, end, tokens_.data());
  if (element_end != nullptr) {
    if (!collector_.refuse_if_too_long(p, element_end)) {
      take(p, element_end);
    }
    return element_end;
  }
  element_end = end_of_broken(p, end);
  if (element_end == nullptr) {
    refusal_.detail += "; the rest of the array is refused with it";
    collector_.refuse(p, end);
    return nullptr;
  }
  if (!collector_.refuse_if_too_long(p, element_end)) collector_.refuse(p, element_end);
  return element_end;
}

/// Where a value that is not JSON probably ends: before the next comma or closing bracket that is
/// in no string and no bracket of its own.
const char* JsonBlock::end_of_broken(const char* p, const char* end) const {
  const char* const begin = p;
  std::size_t depth = 0;
  for (; p < end; ++p) {
    switch (*p) {
      case '"':
        for (++p; p < end && *p != '"'; ++p) {
          if (*p == '\\') ++p;
        }
        if (p >= end) return nullptr;
        break;
      case '{':
      case '[':
        ++depth;
        break;
      case '}':
      case ']':
        if (depth == 0) return p;
        if (--depth == 0 && *begin == '{') return p + 1;
        break;
      case ',':
        if (depth == 0) return p;
        break;
      default:
        break;
    }
  }
  return nullptr;
}

}  // namespace streamobs::decode

#include "decode/logfmt_reader.h"

#include <algorithm>

#include <fmt/format.h>

#include "event/dead_letter.h"

namespace streamobs::decode {

namespace {

constexpr std::string_view kBlanks = " \t";
constexpr std::size_t kExcerptMax = 64;

}  // namespace

bool LogfmtReader::read_parts(std::string_view line) {
  bool any_value = false;
  for (;;) {
    line.remove_prefix(std::min(line.find_first_not_of(kBlanks), line.size()));
    if (line.empty()) break;
    const std::size_t key_size = std::min(line.find_first_of(" \t=\""), line.size());
    const std::string_view key = line.substr(0, key_size);
    line.remove_prefix(key_size);
    if (key.empty() || line.starts_with('"')) {
      return fault(reason::not_a_record, "expected key=value or key=\"value\"");
    }
    const std::uint32_t slot = slot_of(key);
    if (is_set(slot)) {
      return fault(reason::duplicate_key,
                   fmt::format("the key {} is there twice", key.substr(0, kExcerptMax)));
    }
    if (!line.starts_with('=')) {
      set(slot, "true", false);
      continue;
    }
    line.remove_prefix(1);
    any_value = true;
    std::string_view value;
    if (line.starts_with('"')) {
      if (!read_quoted(line, value)) return false;
    } else {
      const std::size_t size = std::min(line.find_first_of(kBlanks), line.size());
      value = line.substr(0, size);
      line.remove_prefix(size);
    }
    set(slot, value);
  }
  return any_value || fault(reason::not_a_record, "no key has a value: expected key=value");
}

bool LogfmtReader::read_quoted(std::string_view& line, std::string_view& value) {
  line.remove_prefix(1);
  std::size_t size = 0;
  bool escaped = false;
  for (; size < line.size() && line[size] != '"'; ++size) {
    if (line[size] != '\\' || size + 1 == line.size()) continue;
    ++size;
    escaped = true;
  }
  if (size >= line.size()) return fault(reason::not_a_record, "a quote is not closed");
  value = line.substr(0, size);
  line.remove_prefix(size + 1);
  if (!line.empty() && kBlanks.find(line.front()) == std::string_view::npos) {
    return fault(reason::not_a_record, "something follows a closing quote");
  }
  if (!escaped) return true;
  char* const plain = room_for(value);
  char* out = plain;
  for (std::size_t i = 0; i < value.size(); ++i) {
    constexpr std::string_view kEscapes = "\"\\nrt";
    constexpr std::string_view kMeanings = "\"\\\n\r\t";
    const std::size_t escape = value[i] == '\\' && i + 1 < value.size()
                                   ? kEscapes.find(value[i + 1])
                                   : std::string_view::npos;
    if (escape == std::string_view::npos) {
      *out++ = value[i];
    } else {
      *out++ = kMeanings[escape];
      ++i;
    }
  }
  value = {plain, static_cast<std::size_t>(out - plain)};
  return true;
}

}  // namespace streamobs::decode

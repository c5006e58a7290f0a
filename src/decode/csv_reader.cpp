#include "decode/csv_reader.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "base/short_text.h"
#include "decode/json_reader.h"
#include "event/dead_letter.h"

namespace streamobs::decode {

namespace {

constexpr std::size_t kPadding = ShortText::kMax;

std::string_view view(const char* begin, const char* end) {
  return {begin, static_cast<std::size_t>(end - begin)};
}

const char* find_newline(const char* p, const char* end) {
  const void* const found = std::memchr(p, '\n', static_cast<std::size_t>(end - p));
  return found != nullptr ? static_cast<const char*>(found) : end;
}

const char* without_return(const char* begin, const char* end) {
  return end > begin && end[-1] == '\r' ? end - 1 : end;
}

bool is_clean(std::string_view text) {
  return text.find('\0') == std::string_view::npos && is_utf8(text);
}

const char* read_quoted(const char* p, const char* end, TextArena& text, Token& cell) {
  const char* const begin = ++p;
  bool doubled = false;
  for (;;) {
    const void* const quote = std::memchr(p, '"', static_cast<std::size_t>(end - p));
    if (quote == nullptr) return nullptr;
    p = static_cast<const char*>(quote);
    if (p + 1 >= end || p[1] != '"') break;
    doubled = true;
    p += 2;
  }
  cell.kind = Token::Kind::text;
  cell.text = view(begin, p);
  if (doubled) {
    char* const plain = text.allocate(cell.text.size() + kPadding);
    char* out = plain;
    for (const char* from = begin; from < p; ++from) {
      *out++ = *from;
      if (*from == '"') ++from;
    }
    cell.text = view(plain, out);
  }
  ++p;
  if (p == end || *p == ',' || *p == '\n') return p;
  if (*p == '\r' && (p + 1 == end || p[1] == '\n')) return p;
  return nullptr;
}

/// The cell at `p`, up to the comma, the line's end or the end; null if its quotes are broken.
const char* read_cell(const char* p, const char* end, TextArena& text, Token& cell) {
  if (p < end && *p == '"') return read_quoted(p, end, text, cell);
  const char* const begin = p;
  while (p < end && *p != ',' && *p != '\n') ++p;
  const char* text_end = p;
  if (p == end || *p == '\n') {
    text_end = without_return(begin, p);
    p = text_end;
  }
  cell.kind = text_end == begin ? Token::Kind::null : Token::Kind::text;
  cell.text = view(begin, text_end);
  return p;
}

}  // namespace

CsvHeader read_csv_header(std::string_view record, const FieldIndex& index, TextArena& text) {
  CsvHeader header;
  if (record.starts_with("\xef\xbb\xbf")) record.remove_prefix(3);
  while (!record.empty() && (record.back() == '\n' || record.back() == '\r'))
    record.remove_suffix(1);
  // Cells are read as in any record; the copy gives them their padding.
  const std::string copy = std::string(record) + std::string(kPadding, '\0');
  const char* p = copy.data();
  const char* const end = p + record.size();
  for (;;) {
    Token cell;
    p = read_cell(p, end, text, cell);
    if (p == nullptr) {
      header.fault = "the header has a quote that is not closed";
      return header;
    }
    const std::uint32_t slot = index.find(cell.text).slot;
    if (slot != FieldIndex::kNone &&
        std::find(header.slots.begin(), header.slots.end(), slot) != header.slots.end()) {
      header.fault = fmt::format("the header names {} twice", cell.text);
    }
    header.slots.push_back(slot);
    if (p == end || *p != ',') break;
    ++p;
  }
  const std::size_t other = record.find_first_of(";\t|");
  if (header.slots.size() == 1 && header.slots[0] == FieldIndex::kNone &&
      other != std::string_view::npos) {
    header.fault = fmt::format(
        "the header is one cell with {} in it, and cells are separated by commas: write the file "
        "with commas",
        record[other] == '\t' ? "tabs" : fmt::format("'{}'", record[other]));
  }
  return header;
}

CsvReader::CsvReader(const FieldIndex& index, BatchWriter& writer, EventCollector& collector)
    : index_(index), writer_(writer), collector_(collector), tokens_(index.slots()) {}

void CsvReader::read(const char* p, const char* end, const std::string* header) {
  if (end - p >= 3 && std::memcmp(p, "\xef\xbb\xbf", 3) == 0) p += 3;
  if (header != nullptr) {
    if (header_text_ != *header || header_.slots.empty()) read_header(*header);
  } else {
    const char* const line_end = find_newline(p, end);
    read_header(view(p, line_end));
    collector_.count_lines(1);
    p = line_end == end ? end : line_end + 1;
  }
  clean_ = is_clean(view(p, end));
  while (p < end) {
    const char* const line_end = find_newline(p, end);
    if (without_return(p, line_end) == p) {
      collector_.count_lines(1);
      p = line_end + 1;
      continue;
    }
    p = read_record(p, end);
  }
}

void CsvReader::read_header(std::string_view record) {
  header_text_ = record;
  header_ = read_csv_header(record, index_, writer_.batch().text);
}

/// Takes or refuses the record at `p`; returns where the next one starts.
const char* CsvReader::read_record(const char* p, const char* end) {
  const char* const begin = p;
  const auto refuse_line = [&](std::string_view reason, std::string_view detail) {
    const char* const line_end = find_newline(begin, end);
    const char* const text_end = without_return(begin, line_end);
    if (!collector_.refuse_if_too_long(begin, text_end)) {
      collector_.refuse(begin, text_end, reason, detail);
    }
    return line_end == end ? end : line_end + 1;
  };
  for (Token& token : tokens_) token.kind = Token::Kind::absent;
  std::size_t cells = 0;
  for (;; ++p) {
    Token cell;
    p = read_cell(p, end, writer_.batch().text, cell);
    if (p == nullptr) {
      return refuse_line(reason::not_a_record, "a quote is not closed, or something follows it");
    }
    if (cells < header_.slots.size() && header_.slots[cells] != FieldIndex::kNone) {
      tokens_[header_.slots[cells]] = cell;
    }
    ++cells;
    if (p == end || *p != ',') break;
  }
  const char* const text_end = p;
  if (p < end && *p == '\r') ++p;
  if (p < end) ++p;  // The newline.

  if (collector_.refuse_if_too_long(begin, text_end)) {
  } else if (!header_.fault.empty()) {
    collector_.refuse(begin, text_end, reason::not_a_record, header_.fault);
  } else if (!clean_ && !is_clean(view(begin, text_end))) {
    collector_.refuse(begin, text_end, reason::bad_utf8, "the record is not UTF-8, or has a NUL");
  } else if (cells != header_.slots.size()) {
    collector_.refuse(
        begin, text_end, reason::not_a_record,
        fmt::format("expected {} cells as in the header, got {}", header_.slots.size(), cells));
  } else {
    collector_.take(tokens_.data(), begin, text_end);
  }
  const char* const last = p < end || (p > begin && p[-1] == '\n') ? p - 1 : p;
  collector_.count_lines(static_cast<std::uint64_t>(std::count(begin, last, '\n')));
  return p;
}

}  // namespace streamobs::decode

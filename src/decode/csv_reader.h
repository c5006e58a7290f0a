// CSV as RFC 4180 has it: a header, cells by comma, quotes that may hold commas, quotes and line
// ends. LF and CRLF are taken; a byte order mark in front is skipped.
//
// Part of a decoder, on its strand. An empty cell is null; an empty cell in quotes is the empty
// string (and null in a field of any other type). A quote within an unquoted cell is taken as it
// is. Where a quote is never closed, its line is refused and reading goes on with the next one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "decode/event_collector.h"
#include "decode/field_index.h"
#include "decode/token.h"
#include "event/event_batch.h"

namespace streamobs::decode {

/// What a file's first record says of its columns.
struct CsvHeader {
  std::vector<std::uint32_t> slots;  ///< Of each column of the file; kNone: not declared.
  std::string fault;                 ///< Why no record can be read with it; empty: none.
};
/// `text` takes what had to be unquoted.
CsvHeader read_csv_header(std::string_view record, const FieldIndex& index, TextArena& text);

class CsvReader {
 public:
  /// All of them outlive the reader.
  CsvReader(const FieldIndex& index, BatchWriter& writer, EventCollector& collector);

  /// Reads a block's records. `header` is the file's first record; if it is null, the block's own
  /// first record is the header.
  void read(const char* p, const char* end, const std::string* header);

 private:
  void read_header(std::string_view record);
  const char* read_record(const char* p, const char* end);

  const FieldIndex& index_;
  BatchWriter& writer_;
  EventCollector& collector_;
  std::string header_text_;  ///< The record that `header_` was made from.
  CsvHeader header_;
  std::vector<Token> tokens_;
  bool clean_ = false;  ///< The whole block is UTF-8 without NUL.
};

}  // namespace streamobs::decode

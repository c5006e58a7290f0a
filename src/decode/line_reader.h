// What the formats of plain lines share: one event a line, blank lines passed over, a line that is
// no text refused. A format says what stands in a line, by the paths that the stream's fields are
// taken from.
//
// Part of a decoder, on its strand.
#pragma once

#include <string_view>
#include <vector>

#include "decode/event_collector.h"
#include "decode/field_index.h"
#include "decode/token.h"

namespace streamobs::decode {

class LineReader {
 public:
  /// All of them outlive the reader.
  LineReader(const FieldIndex& index, BatchWriter& writer, EventCollector& collector)
      : index_(index), writer_(writer), collector_(collector), tokens_(index.slots()) {}
  virtual ~LineReader() = default;
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  void read(const char* p, const char* end);

 protected:
  /// Sets the tokens of one line, which is UTF-8 without NUL, not blank, and has no line break.
  /// False: it is not of this format, for what has been given to fault().
  virtual bool read_parts(std::string_view line) = 0;

  /// For `return fault(…)`. The reason is one of event/dead_letter.h's.
  bool fault(std::string_view reason, std::string_view detail);
  /// The token of a slot that nothing wants is not set. Empty text is null.
  void set(std::uint32_t slot, std::string_view text, bool padded = true);
  bool is_set(std::uint32_t slot) const {
    return slot != FieldIndex::kNone && tokens_[slot].kind != Token::Kind::absent;
  }
  std::uint32_t slot_of(std::string_view path) const { return index_.find(path).slot; }
  /// Room for the plain text of an escaped one, which is no longer; lives as long as the batch.
  char* room_for(std::string_view escaped);

 private:
  void read_line(const char* begin, const char* end);

  const FieldIndex& index_;
  BatchWriter& writer_;
  EventCollector& collector_;
  std::vector<Token> tokens_;
  Refusal fault_;
};

}  // namespace streamobs::decode

// Finds the events in a block of JSON: one object, an array of them, or one object a line.
//
// Part of a decoder, on its strand. Which of the three a request body is shows in its bytes: it
// starts with '[' and is an array; or its first object goes on over the end of the first line and
// ends with the body, and is the only event; or else each line is an event. A byte order mark in
// front is skipped. Blank lines are no events.
#pragma once

#include <vector>

#include "decode/event_collector.h"
#include "decode/json_reader.h"
#include "decode/shapes.h"

namespace streamobs::decode {

class JsonBlock {
 public:
  /// All of them outlive this.
  JsonBlock(const FieldIndex& index, JsonReader& reader, Shapes& shapes, BatchWriter& writer,
            EventCollector& collector, Refusal& refusal, bool use_shapes);

  /// Any of the three forms.
  void read_any(const char* p, const char* end);
  /// One object a line.
  void read_lines(const char* p, const char* end);

 private:
  void read_array(const char* p, const char* end);
  bool read_single(const char* p, const char* end);
  void read_line(const char* begin, const char* end);
  const char* read_by_shape(const char* p, const char* end);
  void take(const char* begin, const char* end);
  const char* read_element(const char* p, const char* end);
  const char* end_of_broken(const char* p, const char* end) const;

  JsonReader& reader_;
  Shapes& shapes_;
  BatchWriter& writer_;
  EventCollector& collector_;
  Refusal& refusal_;
  bool use_shapes_;
  std::vector<Token> tokens_;  ///< One for each slot.
};

}  // namespace streamobs::decode

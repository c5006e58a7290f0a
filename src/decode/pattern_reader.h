// Lines cut by the stream's patterns (line_pattern.h): the first that fits a line says what its
// parts are; the stream's fields are taken by the parts' names.
//
// Part of a decoder, on its strand.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/line_pattern.h"
#include "decode/line_reader.h"

namespace streamobs::decode {

class PatternReader final : public LineReader {
 public:
  /// All of them outlive the reader.
  PatternReader(const std::vector<LinePattern>& patterns, const FieldIndex& index,
                BatchWriter& writer, EventCollector& collector);

 private:
  bool read_parts(std::string_view line) override;

  const std::vector<LinePattern>& patterns_;
  std::vector<std::vector<std::uint32_t>> slots_;  ///< Of each pattern's names.
  std::vector<std::string_view> parts_;
};

}  // namespace streamobs::decode

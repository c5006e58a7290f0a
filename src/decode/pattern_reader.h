// Lines cut by the stream's patterns (line_pattern.h): the first that fits a line says what its
// parts are; the stream's fields are taken by the parts' names.
//
// Part of a decoder, on its strand.
#pragma once

#include <cstdint>
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

  /// `earlier`: patterns of before, one a line, for lines that none of the stream's own fits; null:
  /// there are none.
  void read(const char* p, const char* end, const std::string* earlier);

 private:
  struct Cutter {
    LinePattern pattern;
    std::vector<std::uint32_t> slots;  ///< Of the pattern's names.
  };
  bool read_parts(std::string_view line) override;
  bool read_by(const std::vector<Cutter>& cutters, std::string_view line);
  void add(LinePattern pattern, std::vector<Cutter>& cutters) const;

  std::vector<Cutter> own_;
  std::vector<Cutter> earlier_;  ///< Of the block that is read.
  std::vector<std::string_view> parts_;
};

}  // namespace streamobs::decode

// Lines of logfmt: key=value key="a value" flag.
//
// A key is what stands in front of '='; a value reaches to the next blank, or stands in quotes, in
// which \" \\ \n \r \t are taken back and other escapes stay as they are. "key=" and key="" are
// null, a key alone is true. Fields are taken by their key, which may have dots in it. A line in
// which no key has a value is no event, and neither is one with a wanted key twice.
//
// Part of a decoder, on its strand.
#pragma once

#include <string_view>

#include "decode/line_reader.h"

namespace streamobs::decode {

class LogfmtReader final : public LineReader {
 public:
  using LineReader::LineReader;

 private:
  bool read_parts(std::string_view line) override;
  bool read_quoted(std::string_view& line, std::string_view& value);
};

}  // namespace streamobs::decode

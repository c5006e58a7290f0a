// A value as it stands in the event, before anybody has said what type it should have.
//
// Tokens point into the block (or, for joined CSV cells, into the batch's text) and live no longer
// than one event.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace streamobs::decode {

struct Token {
  enum class Kind : std::uint8_t {
    absent,
    null,
    boolean,  ///< `true` or `false`.
    number,   ///< A number literal of JSON.
    string,   ///< Between the quotes, still escaped if `escaped`.
    object,   ///< With its braces; validated.
    array,    ///< With its brackets; validated.
    text,     ///< A cell of a CSV file or access log: whatever type it can be read as.
  };
  Kind kind = Kind::absent;
  bool escaped = false;
  /// Text from whose start on ShortText::kMax bytes can be read.
  bool padded = true;
  std::string_view text;
};

/// Why an event is refused. Kept by the decoder and reused; `detail` keeps its memory.
struct Refusal {
  std::string_view reason;
  std::string detail;
};

}  // namespace streamobs::decode

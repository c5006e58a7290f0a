// Takes the chunks off a body with Transfer-Encoding: chunked; Beast's parser does the work.
//
// One for each such request; belongs to the connection's strand. Synchronous: the connection reads,
// this eats. Chunk headers and trailers are bounded by the connection's read buffer, into which
// each must fit; extensions and trailers are checked for form and then forgotten.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>

#include "base/block_buffer.h"
#include "http/head.h"

namespace streamobs::http {

class ChunkedDecoder {
 public:
  /// Appends to `out`, which must outlive it. A body over `bytes_max` is refused with 413.
  ChunkedDecoder(BlockBuffer& out, std::size_t bytes_max);
  ~ChunkedDecoder();
  ChunkedDecoder(const ChunkedDecoder&) = delete;
  ChunkedDecoder& operator=(const ChunkedDecoder&) = delete;

  /// Eats what it can of `bytes` and says how much in `eaten`; the rest must be given again, with
  /// more behind it.
  std::optional<Refusal> feed(std::string_view bytes, std::size_t& eaten);
  bool done() const;

 private:
  class Parser;
  const std::size_t bytes_max_;
  std::unique_ptr<Parser> parser_;
};

}  // namespace streamobs::http

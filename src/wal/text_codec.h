// Text as bytes: lengths as a column of numbers, then all of it together, through LZ4 where that
// saves at least an eighth. The byte format is in docs/wal-format.md, "Record payloads".
//
// Encoders and decoders own their scratch memory: one for each lane, not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/pod_vector.h"
#include "event/event_batch.h"
#include "wal/integer_codec.h"

namespace streamobs::wal {

class TextEncoder {
 public:
  /// Appends `size` texts. How many there are is not written.
  void put(std::string& out, const std::string_view* texts, std::size_t size);
  /// Appends one long text.
  void put_long(std::string& out, std::string_view text);

 private:
  /// Fills compressed_; 0 if LZ4 would not.
  std::size_t compress(std::string_view text);

  IntegerEncoder integers_;
  PodVector<std::int64_t> lengths_;
  PodVector<char> joined_;
  PodVector<char> compressed_;
  std::unique_ptr<char[]> lz4_state_;
};

class TextDecoder {
 public:
  /// Reads `size` texts; they live in `arena`.
  bool get(ByteReader& in, std::size_t size, TextArena& arena, std::string_view* texts);
  /// Reads what put_long() wrote; it lives in `arena`.
  bool get_long(ByteReader& in, TextArena& arena, std::string_view& text);

 private:
  IntegerDecoder integers_;
  PodVector<std::int64_t> lengths_;
};

}  // namespace streamobs::wal

// The frame of a small file that is written and read whole, such as a manifest: 8 bytes that say
// what it is, u32 version, the content, u32 CRC-32C of all of it. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/crc32c.h"

namespace streamobs {

/// The head; the content is to be put behind it.
inline std::string begin_frame(std::string_view magic, std::uint32_t version) {
  std::string out(magic);
  put_u32(out, version);
  return out;
}

inline void end_frame(std::string& out) {
  put_u32(out, crc32c(out));
}

struct FramedBytes {
  std::uint32_t version = 0;
  std::string_view content;  ///< Points into what was read.
};

/// Nothing where that is not what begin_frame() and end_frame() of this magic made.
inline std::optional<FramedBytes> read_frame(std::string_view bytes, std::string_view magic) {
  constexpr std::size_t kNumberBytes = 4;
  if (bytes.size() < magic.size() + 2 * kNumberBytes || !bytes.starts_with(magic)) return {};
  const std::string_view covered = bytes.substr(0, bytes.size() - kNumberBytes);
  if (ByteReader(bytes.substr(covered.size())).u32() != crc32c(covered)) return {};
  const std::string_view behind = covered.substr(magic.size());
  return FramedBytes{ByteReader(behind).u32(), behind.substr(kNumberBytes)};
}

}  // namespace streamobs

// CRC-32C (Castagnoli; RFC 3720, appendix B.4): the checksum of everything the engine writes to
// disk itself. Uses the processor's own instruction where it has one. Pure; any thread.
#pragma once

#include <cstdint>
#include <string_view>

namespace streamobs {

/// The checksum of `bytes` behind bytes whose checksum was `before`, so that
/// crc32c(b, crc32c(a)) == crc32c(a + b).
std::uint32_t crc32c(std::string_view bytes, std::uint32_t before = 0);

namespace detail {
/// The same without the instruction; what crc32c() is tested against.
std::uint32_t crc32c_portable(std::string_view bytes, std::uint32_t before = 0);
}  // namespace detail

}  // namespace streamobs

// The byte format of segments: docs/wal-format.md says what each number means.
//
// Plain structs and pure functions from and to bytes; any thread. The numbers are frozen.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/clock.h"

namespace streamobs::wal {

inline constexpr std::uint32_t kLogVersion = 1;
inline constexpr std::size_t kSegmentHeaderBytes = 64;
inline constexpr std::size_t kFrameHeaderBytes = 40;
inline constexpr std::size_t kFrameAlignment = 8;
inline constexpr std::size_t kChunkHeaderBytes = 48;
inline constexpr std::size_t kSealedEndBytes = 48;

/// Nothing larger can be appended.
inline constexpr std::uint64_t kPayloadBytesMax = std::uint64_t{256} << 20;
/// Frames are gathered until a chunk of a sealed segment has this much.
inline constexpr std::size_t kChunkBytes = std::size_t{1} << 20;

enum class SegmentForm : std::uint8_t { raw, sealed };

struct SegmentHeader {
  SegmentForm form = SegmentForm::raw;
  std::uint32_t version = kLogVersion;
  std::uint64_t log_id = 0;
  std::uint64_t number = 0;
  std::uint64_t first_sequence = 0;
  Timestamp created_at = 0;
  std::uint32_t origin = 0;  ///< origin_of(log_id, number).
};

struct FrameHeader {
  std::uint8_t type = 0;
  std::uint32_t payload_bytes = 0;
  std::uint32_t payload_crc = 0;
  std::uint64_t sequence = 0;
  std::uint64_t durable_sequence = 0;
};

struct ChunkHeader {
  std::uint32_t records = 0;
  std::uint32_t raw_bytes = 0;
  std::uint32_t compressed_bytes = 0;
  std::uint64_t first_sequence = 0;
  std::uint64_t raw_offset = 0;
  std::uint32_t crc = 0;
};

struct SealedEnd {
  std::uint32_t chunks = 0;
  std::uint64_t records = 0;
  std::uint64_t last_sequence = 0;
  std::uint64_t raw_bytes = 0;
  std::uint64_t file_bytes = 0;
};

/// What ties a frame to its segment and log.
std::uint32_t origin_of(std::uint64_t log_id, std::uint64_t segment_number);

/// Bytes of a frame in a raw segment, padding included.
constexpr std::uint64_t frame_bytes(std::uint64_t payload_bytes) {
  return (kFrameHeaderBytes + payload_bytes + kFrameAlignment - 1) & ~(kFrameAlignment - 1);
}

/// Each writes exactly the bytes of its kind to `out`.
void encode(const SegmentHeader& header, char* out);
void encode(const FrameHeader& header, std::uint32_t origin, char* out);
void encode(const ChunkHeader& header, std::uint32_t origin, char* out);
void encode(const SealedEnd& end, std::uint32_t origin, char* out);

/// Each looks at exactly the bytes of its kind; nothing if they are not a good one. The payload's
/// checksum is the caller's to check. A header of a newer version decodes; look at `version`.
std::optional<SegmentHeader> decode_segment_header(const char* bytes);
std::optional<FrameHeader> decode_frame_header(const char* bytes, std::uint32_t origin);
std::optional<ChunkHeader> decode_chunk_header(const char* bytes, std::uint32_t origin);
std::optional<SealedEnd> decode_sealed_end(const char* bytes, std::uint32_t origin);

/// Whether a frame header may begin here: the magic alone, to scan quickly.
bool has_frame_magic(const char* bytes);

/// Whether all bytes are zero.
bool all_zero(std::string_view bytes);

}  // namespace streamobs::wal

#include "wal/format.h"

#include <bit>
#include <cstring>
#include <type_traits>

#include "base/crc32c.h"

namespace streamobs::wal {

namespace {

static_assert(std::endian::native == std::endian::little,
              "the log is little-endian and copied as it stands in memory");

constexpr char kRawMagic[] = "SOBSWLOG";
constexpr char kSealedMagic[] = "SOBSSEAL";
constexpr std::uint32_t kFrameMagic = 0x4D415246;
constexpr std::uint32_t kChunkMagic = 0x4B4E4843;
constexpr std::uint32_t kEndMagic = 0x444E4553;

template <class T>
void put(char* out, std::size_t offset, T value) {
  static_assert(std::is_integral_v<T>);
  std::memcpy(out + offset, &value, sizeof(T));
}

template <class T>
T get(const char* bytes, std::size_t offset) {
  T value{};
  std::memcpy(&value, bytes + offset, sizeof(T));
  return value;
}

/// The last four bytes of every header are the checksum of those before.
void put_crc(char* out, std::size_t header_bytes, std::uint32_t seed) {
  put(out, header_bytes - 4, crc32c(std::string_view(out, header_bytes - 4), seed));
}

bool crc_is_good(const char* bytes, std::size_t header_bytes, std::uint32_t seed) {
  return get<std::uint32_t>(bytes, header_bytes - 4) ==
         crc32c(std::string_view(bytes, header_bytes - 4), seed);
}

}  // namespace

std::uint32_t origin_of(std::uint64_t log_id, std::uint64_t segment_number) {
  char bytes[16];
  put(bytes, 0, log_id);
  put(bytes, 8, segment_number);
  return crc32c(std::string_view(bytes, sizeof bytes));
}

void encode(const SegmentHeader& header, char* out) {
  std::memset(out, 0, kSegmentHeaderBytes);
  std::memcpy(out, header.form == SegmentForm::raw ? kRawMagic : kSealedMagic, 8);
  put(out, 8, header.version);
  put(out, 16, header.log_id);
  put(out, 24, header.number);
  put(out, 32, header.first_sequence);
  put(out, 40, header.created_at);
  put(out, 56, origin_of(header.log_id, header.number));
  put_crc(out, kSegmentHeaderBytes, 0);
}

std::optional<SegmentHeader> decode_segment_header(const char* bytes) {
  SegmentHeader header;
  if (std::memcmp(bytes, kRawMagic, 8) == 0) {
    header.form = SegmentForm::raw;
  } else if (std::memcmp(bytes, kSealedMagic, 8) == 0) {
    header.form = SegmentForm::sealed;
  } else {
    return std::nullopt;
  }
  if (!crc_is_good(bytes, kSegmentHeaderBytes, 0)) return std::nullopt;
  header.version = get<std::uint32_t>(bytes, 8);
  header.log_id = get<std::uint64_t>(bytes, 16);
  header.number = get<std::uint64_t>(bytes, 24);
  header.first_sequence = get<std::uint64_t>(bytes, 32);
  header.created_at = get<Timestamp>(bytes, 40);
  header.origin = get<std::uint32_t>(bytes, 56);
  if (header.origin != origin_of(header.log_id, header.number)) return std::nullopt;
  if (header.log_id == 0 || header.number == 0 || header.first_sequence == 0) return std::nullopt;
  return header;
}

void encode(const FrameHeader& header, std::uint32_t origin, char* out) {
  put(out, 0, kFrameMagic);
  put(out, 4, header.type);
  put(out, 5, std::uint8_t{0});
  put(out, 6, std::uint16_t{0});
  put(out, 8, header.payload_bytes);
  put(out, 12, header.payload_crc);
  put(out, 16, header.sequence);
  put(out, 24, header.durable_sequence);
  put(out, 32, origin);
  put_crc(out, kFrameHeaderBytes, origin);
}

std::optional<FrameHeader> decode_frame_header(const char* bytes, std::uint32_t origin) {
  if (!has_frame_magic(bytes)) return std::nullopt;
  if (get<std::uint32_t>(bytes, 32) != origin) return std::nullopt;
  if (!crc_is_good(bytes, kFrameHeaderBytes, origin)) return std::nullopt;
  FrameHeader header;
  header.type = get<std::uint8_t>(bytes, 4);
  header.payload_bytes = get<std::uint32_t>(bytes, 8);
  header.payload_crc = get<std::uint32_t>(bytes, 12);
  header.sequence = get<std::uint64_t>(bytes, 16);
  header.durable_sequence = get<std::uint64_t>(bytes, 24);
  if (header.type == 0 || get<std::uint8_t>(bytes, 5) != 0 || get<std::uint16_t>(bytes, 6) != 0 ||
      header.payload_bytes > kPayloadBytesMax || header.sequence == 0 ||
      header.durable_sequence >= header.sequence) {
    return std::nullopt;
  }
  return header;
}

void encode(const ChunkHeader& header, std::uint32_t origin, char* out) {
  put(out, 0, kChunkMagic);
  put(out, 4, header.records);
  put(out, 8, header.raw_bytes);
  put(out, 12, header.compressed_bytes);
  put(out, 16, header.first_sequence);
  put(out, 24, header.raw_offset);
  put(out, 32, header.crc);
  put(out, 36, origin);
  put(out, 40, std::uint32_t{0});
  put_crc(out, kChunkHeaderBytes, origin);
}

std::optional<ChunkHeader> decode_chunk_header(const char* bytes, std::uint32_t origin) {
  if (get<std::uint32_t>(bytes, 0) != kChunkMagic) return std::nullopt;
  if (get<std::uint32_t>(bytes, 36) != origin) return std::nullopt;
  if (!crc_is_good(bytes, kChunkHeaderBytes, origin)) return std::nullopt;
  ChunkHeader header;
  header.records = get<std::uint32_t>(bytes, 4);
  header.raw_bytes = get<std::uint32_t>(bytes, 8);
  header.compressed_bytes = get<std::uint32_t>(bytes, 12);
  header.first_sequence = get<std::uint64_t>(bytes, 16);
  header.raw_offset = get<std::uint64_t>(bytes, 24);
  header.crc = get<std::uint32_t>(bytes, 32);
  // Bounds what a reader takes memory for, should a checksum be right by intent.
  if (header.records == 0 || header.raw_bytes > frame_bytes(kPayloadBytesMax) + kChunkBytes ||
      header.compressed_bytes > frame_bytes(kPayloadBytesMax) + 2 * kChunkBytes) {
    return std::nullopt;
  }
  return header;
}

void encode(const SealedEnd& end, std::uint32_t origin, char* out) {
  put(out, 0, kEndMagic);
  put(out, 4, end.chunks);
  put(out, 8, end.records);
  put(out, 16, end.last_sequence);
  put(out, 24, end.raw_bytes);
  put(out, 32, end.file_bytes);
  put(out, 40, origin);
  put_crc(out, kSealedEndBytes, origin);
}

std::optional<SealedEnd> decode_sealed_end(const char* bytes, std::uint32_t origin) {
  if (get<std::uint32_t>(bytes, 0) != kEndMagic) return std::nullopt;
  if (get<std::uint32_t>(bytes, 40) != origin) return std::nullopt;
  if (!crc_is_good(bytes, kSealedEndBytes, origin)) return std::nullopt;
  SealedEnd end;
  end.chunks = get<std::uint32_t>(bytes, 4);
  end.records = get<std::uint64_t>(bytes, 8);
  end.last_sequence = get<std::uint64_t>(bytes, 16);
  end.raw_bytes = get<std::uint64_t>(bytes, 24);
  end.file_bytes = get<std::uint64_t>(bytes, 32);
  return end;
}

bool has_frame_magic(const char* bytes) {
  return get<std::uint32_t>(bytes, 0) == kFrameMagic;
}

bool all_zero(std::string_view bytes) {
  // The first eight are zero and each byte is like the one eight before it.
  const std::size_t first = bytes.size() < 8 ? bytes.size() : 8;
  for (std::size_t i = 0; i < first; ++i) {
    if (bytes[i] != 0) return false;
  }
  return bytes.size() <= 8 || std::memcmp(bytes.data(), bytes.data() + 8, bytes.size() - 8) == 0;
}

}  // namespace streamobs::wal

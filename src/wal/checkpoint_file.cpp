#include "wal/checkpoint_file.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <lz4.h>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/framed_bytes.h"

namespace streamobs::wal {

namespace {

// Frozen.
constexpr std::string_view kManifestMagic = "SOBSCKPT";
constexpr std::string_view kPartMagic = "SOBSPART";
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kChunkBytes = 1 << 20;
constexpr std::size_t kPartHeadBytes = 24;
constexpr std::size_t kChunkHeadBytes = 12;
constexpr std::size_t kGenerationDigits = 20;
constexpr std::string_view kManifestEnding = ".manifest";
constexpr std::string_view kPartEnding = ".part";
/// LZ4 cannot make more out of a byte.
constexpr std::uint64_t kExpansionMax = 255;
/// Far more than any manifest has: one line for each operator of the engine.
constexpr std::uint64_t kManifestBytesMax = std::uint64_t{64} << 20;

std::string part_head(std::uint64_t generation, std::uint32_t number) {
  std::string head(kPartMagic);
  put_u32(head, kVersion);
  put_u32(head, number);
  put_u64(head, generation);
  return head;
}

/// The checksum of a chunk: of its head's two sizes and its bytes, behind the part's head, so that
/// the chunk of another file does not pass.
std::uint32_t chunk_crc(std::string_view head, std::string_view sizes, std::string_view bytes) {
  return crc32c(bytes, crc32c(sizes, crc32c(head)));
}

}  // namespace

std::string encode_manifest(const Manifest& manifest) {
  std::string out = begin_frame(kManifestMagic, kVersion);
  put_u64(out, manifest.generation);
  put_u64(out, manifest.log_id);
  put_u64(out, manifest.position);
  put_varint(out, manifest.parts.size());
  for (const PartEntry& part : manifest.parts) {
    put_text(out, part.name);
    put_varint(out, part.bytes);
    put_varint(out, part.stored_bytes);
    put_u32(out, part.crc32c);
  }
  end_frame(out);
  return out;
}

Result<Manifest> decode_manifest(std::string_view bytes) {
  const Error damaged = fail(ErrorCode::corrupt, "the manifest is damaged");
  const std::optional<FramedBytes> frame = read_frame(bytes, kManifestMagic);
  if (!frame) return damaged;
  if (frame->version != kVersion) {
    return fail(ErrorCode::invalid,
                fmt::format("the manifest is of version {}, this program knows version {}",
                            frame->version, kVersion));
  }
  ByteReader in(frame->content);
  Manifest manifest;
  manifest.generation = in.u64();
  manifest.log_id = in.u64();
  manifest.position = in.u64();
  manifest.parts.resize(in.count());
  for (PartEntry& part : manifest.parts) {
    part.name = in.text();
    part.bytes = in.varint();
    part.stored_bytes = in.varint();
    part.crc32c = in.u32();
  }
  if (!in.ok() || !in.at_end()) return damaged;
  return manifest;
}

std::string manifest_name(std::uint64_t generation) {
  return fmt::format("{:0{}}{}", generation, kGenerationDigits, kManifestEnding);
}

std::string part_name(std::uint64_t generation, std::size_t number) {
  return fmt::format("{:0{}}.{:04}{}", generation, kGenerationDigits, number, kPartEnding);
}

std::uint64_t generation_of(std::string_view name) {
  const std::string_view rest = name.substr(std::min(name.size(), kGenerationDigits));
  const bool ours = rest == kManifestEnding || rest == ".manifest.tmp" ||
                    (rest.starts_with('.') && rest.ends_with(kPartEnding));
  if (!ours) return 0;
  std::uint64_t generation = 0;
  const char* const end = name.data() + kGenerationDigits;
  const auto [stop, error] = std::from_chars(name.data(), end, generation);
  return error == std::errc() && stop == end ? generation : 0;
}

bool is_manifest(std::string_view name) {
  return name.ends_with(kManifestEnding);
}

Result<Manifest> read_manifest(FileSystem& files, const std::string& directory,
                               std::uint64_t generation) {
  const std::string path = directory + "/" + manifest_name(generation);
  auto bytes = files.read_file(path, kManifestBytesMax);
  if (!bytes) return bytes.error();
  auto manifest = decode_manifest(*bytes);
  if (!manifest) {
    return fail(manifest.error().code, fmt::format("{}: {}", path, manifest.error().message));
  }
  if (manifest->generation != generation) {
    return fail(ErrorCode::corrupt, fmt::format("{} is the manifest of another checkpoint", path));
  }
  return manifest;
}

Result<> write_part(FileSystem& files, const std::string& path, std::uint64_t generation,
                    std::uint32_t number, std::string_view content, PartEntry& entry) {
  auto file = files.create(path);
  if (!file) return file.error();
  const std::string head = part_head(generation, number);
  if (auto written = (*file)->write_at(0, head); !written) return written;
  entry.bytes = content.size();
  entry.stored_bytes = head.size();
  entry.crc32c = crc32c(head);
  std::string compressed(static_cast<std::size_t>(LZ4_compressBound(kChunkBytes)), '\0');
  for (; !content.empty(); content.remove_prefix(std::min(content.size(), kChunkBytes))) {
    const std::string_view chunk = content.substr(0, kChunkBytes);
    const int size =
        LZ4_compress_default(chunk.data(), compressed.data(), static_cast<int>(chunk.size()),
                             static_cast<int>(compressed.size()));
    // What does not become smaller is stored as it is, and its two sizes are the same.
    const bool pays = size > 0 && static_cast<std::size_t>(size) < chunk.size();
    const std::string_view stored =
        pays ? std::string_view(compressed.data(), static_cast<std::size_t>(size)) : chunk;
    std::string chunk_head;
    put_u32(chunk_head, static_cast<std::uint32_t>(chunk.size()));
    put_u32(chunk_head, static_cast<std::uint32_t>(stored.size()));
    put_u32(chunk_head, chunk_crc(head, chunk_head, stored));
    const std::array<std::string_view, 2> pieces = {chunk_head, stored};
    if (auto written = (*file)->write_at(entry.stored_bytes, pieces); !written) return written;
    entry.stored_bytes += chunk_head.size() + stored.size();
    entry.crc32c = crc32c(stored, crc32c(chunk_head, entry.crc32c));
  }
  return (*file)->sync_data();
}

namespace {

/// Reads a part's file piece by piece.
class PartReader {
 public:
  PartReader(File& file, std::uint64_t bytes) : file_(file), left_(bytes) {}

  std::uint64_t left() const { return left_; }
  std::uint32_t crc() const { return crc_; }
  /// The next `size` bytes; false if the file ends before.
  Result<bool> next(std::size_t size, std::string& into) {
    if (size > left_) return false;
    into.resize(size);
    const auto read = file_.read_at(at_, into);
    if (!read) return read.error();
    if (*read != size) return false;
    at_ += size;
    left_ -= size;
    crc_ = crc32c(into, crc_);
    return true;
  }

 private:
  File& file_;
  std::uint64_t at_ = 0;
  std::uint64_t left_;
  std::uint32_t crc_ = 0;
};

/// Appends the content of the next chunk to `content`, which may grow up to `bytes_max`.
Result<bool> read_chunk(PartReader& reader, std::string_view head, std::uint64_t bytes_max,
                        std::string& scratch, std::string& content) {
  std::string chunk_head;
  auto there = reader.next(kChunkHeadBytes, chunk_head);
  if (!there || !*there) return there;
  ByteReader in(chunk_head);
  const std::uint32_t bytes = in.u32();
  const std::uint32_t stored = in.u32();
  const std::uint32_t crc = in.u32();
  if (bytes == 0 || bytes > kChunkBytes || stored > bytes) return false;
  if (bytes > bytes_max - content.size()) return false;
  there = reader.next(stored, scratch);
  if (!there || !*there) return there;
  if (crc != chunk_crc(head, std::string_view(chunk_head).substr(0, 8), scratch)) return false;
  if (stored == bytes) {
    content += scratch;
    return true;
  }
  const std::size_t at = content.size();
  content.resize(at + bytes);
  return LZ4_decompress_safe(scratch.data(), content.data() + at, static_cast<int>(stored),
                             static_cast<int>(bytes)) == static_cast<int>(bytes);
}

}  // namespace

Result<std::string> read_part(FileSystem& files, const std::string& path, std::uint64_t generation,
                              std::uint32_t number, const PartEntry& entry) {
  const Error damaged = fail(ErrorCode::corrupt, fmt::format("{} is damaged", path));
  auto file = files.open_for_reading(path);
  if (!file) return file.error();
  const auto size = (*file)->size();
  if (!size) return size.error();
  if (*size != entry.stored_bytes || entry.bytes / kExpansionMax > entry.stored_bytes) {
    return damaged;
  }
  PartReader reader(**file, *size);
  std::string head;
  auto good = reader.next(kPartHeadBytes, head);
  if (!good) return good.error();
  if (!*good || head != part_head(generation, number)) return damaged;
  std::string content;
  content.reserve(static_cast<std::size_t>(entry.bytes));
  std::string scratch;
  while (reader.left() != 0) {
    good = read_chunk(reader, head, entry.bytes, scratch, content);
    if (!good) return good.error();
    if (!*good) return damaged;
  }
  if (content.size() != entry.bytes || reader.crc() != entry.crc32c) return damaged;
  return content;
}

}  // namespace streamobs::wal

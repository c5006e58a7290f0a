#include "app/backup_manifest.h"

#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/framed_bytes.h"

namespace streamobs::app {

namespace {

// Frozen.
constexpr std::string_view kMagic = "SOBSBKUP";
constexpr std::uint32_t kVersion = 1;

/// Whether a path can only lead to where a backup has its files: nothing else is ever written.
bool is_path_of_ours(std::string_view path) {
  if (path == backup_name::database) return true;
  for (const std::string_view directory : backup_name::directories) {
    if (!path.starts_with(directory) || path.size() < directory.size() + 2) continue;
    if (path[directory.size()] != '/') continue;
    const std::string_view name = path.substr(directory.size() + 1);
    return name.front() != '.' && name.find('/') == std::string_view::npos &&
           name.find('\0') == std::string_view::npos;
  }
  return false;
}

Error damaged() {
  return fail(ErrorCode::corrupt, "it is damaged or is no manifest of a backup");
}

}  // namespace

std::uint64_t bytes_of(const BackupManifest& manifest) {
  std::uint64_t bytes = 0;
  for (const BackupFile& file : manifest.files) bytes += file.sum.bytes;
  return bytes;
}

std::string encode(const BackupManifest& manifest) {
  std::string out = begin_frame(kMagic, kVersion);
  put_signed(out, manifest.made_at);
  put_text(out, manifest.version);
  put_u64(out, manifest.log_id);
  put_varint(out, manifest.checkpoint_position);
  put_varint(out, manifest.database_position);
  put_varint(out, manifest.first_record);
  put_varint(out, manifest.last_record);
  put_varint(out, manifest.files.size());
  for (const BackupFile& file : manifest.files) {
    put_text(out, file.path);
    put_varint(out, file.sum.bytes);
    put_u32(out, file.sum.crc32c);
  }
  end_frame(out);
  return out;
}

Result<BackupManifest> decode_backup_manifest(std::string_view bytes) {
  const std::optional<FramedBytes> frame = read_frame(bytes, kMagic);
  if (!frame) return damaged();
  if (frame->version != kVersion) {
    return fail(ErrorCode::invalid,
                fmt::format("it is of version {}, and this streamobs knows version {}: run the "
                            "streamobs that made the backup, or a newer one",
                            frame->version, kVersion));
  }
  ByteReader in(frame->content);
  BackupManifest manifest;
  manifest.made_at = in.signed_varint();
  manifest.version = in.text();
  manifest.log_id = in.u64();
  manifest.checkpoint_position = in.varint();
  manifest.database_position = in.varint();
  manifest.first_record = in.varint();
  manifest.last_record = in.varint();
  const std::size_t files = in.count();
  for (std::size_t i = 0; i < files && in.ok(); ++i) {
    BackupFile file;
    file.path = in.text();
    file.sum.bytes = in.varint();
    file.sum.crc32c = in.u32();
    const bool in_order = manifest.files.empty() || manifest.files.back().path < file.path;
    if (!in_order || !is_path_of_ours(file.path)) return damaged();
    manifest.files.push_back(std::move(file));
  }
  if (!in.ok() || !in.at_end()) return damaged();
  return manifest;
}

}  // namespace streamobs::app

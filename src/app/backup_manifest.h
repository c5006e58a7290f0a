// What a backup consists of: its files with sizes and checksums, and what is in them. The file
// `backup.manifest` is written last, so a backup without a sound one is none.
//
// Plain values and functions; any thread. Byte format: docs/wal-format.md, "Backup".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/file_copy.h"
#include "base/result.h"

namespace streamobs::app {

/// Names within a backup, the same as in a data directory.
namespace backup_name {
inline constexpr const char* manifest = "backup.manifest";
inline constexpr const char* database = "streamobs.db";
inline constexpr const char* checkpoint = "checkpoint";
inline constexpr const char* log = "wal";
/// Batches that cannot be replayed: their events are nowhere else once the log is trimmed.
inline constexpr const char* set_aside = "set-aside";
/// The directories among these.
inline constexpr const char* directories[] = {checkpoint, log, set_aside};
}  // namespace backup_name

struct BackupFile {
  std::string path;  ///< "streamobs.db", or "wal/NAME" and the like.
  FileSum sum;
  friend bool operator==(const BackupFile&, const BackupFile&) = default;
};

struct BackupManifest {
  Timestamp made_at = 0;
  std::string version;                    ///< Of the streamobs that made it.
  std::uint64_t log_id = 0;               ///< 0: the data directory had no log (`replay`).
  std::uint64_t checkpoint_position = 0;  ///< 0: none.
  std::uint64_t database_position = 0;
  std::uint64_t first_record = 0;  ///< Of the log, oldest …
  std::uint64_t last_record = 0;   ///< … and newest; one less if it holds none.
  std::vector<BackupFile> files;   ///< By path.
  friend bool operator==(const BackupManifest&, const BackupManifest&) = default;
};

std::uint64_t bytes_of(const BackupManifest& manifest);

std::string encode(const BackupManifest& manifest);
/// `corrupt` where it is not what encode() wrote, `invalid` where a newer version wrote it.
Result<BackupManifest> decode_backup_manifest(std::string_view bytes);

}  // namespace streamobs::app

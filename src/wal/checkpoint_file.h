// The files of a checkpoint: parts in checksummed, compressed chunks, and the manifest that names
// them. Byte format: docs/wal-format.md, "Checkpoint". Used by CheckpointStore, on its thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "base/result.h"

namespace streamobs::wal {

struct PartEntry {
  std::string name;                ///< "windows/requests"; the file is named after its number.
  std::uint64_t bytes = 0;         ///< Of the part.
  std::uint64_t stored_bytes = 0;  ///< Of its file.
  std::uint32_t crc32c = 0;        ///< Of its file.
  friend bool operator==(const PartEntry&, const PartEntry&) = default;
};

struct Manifest {
  std::uint64_t generation = 0;
  std::uint64_t log_id = 0;
  std::uint64_t position = 0;
  std::vector<PartEntry> parts;  ///< The i-th is in the part file numbered i.
  friend bool operator==(const Manifest&, const Manifest&) = default;
};

std::string encode_manifest(const Manifest& manifest);
/// corrupt where it is not what encode_manifest() wrote; invalid where a newer version wrote it.
Result<Manifest> decode_manifest(std::string_view bytes);

std::string manifest_name(std::uint64_t generation);
std::string part_name(std::uint64_t generation, std::size_t number);
/// The generation a file of a checkpoint belongs to, by its name; 0: it is no such file.
std::uint64_t generation_of(std::string_view name);
bool is_manifest(std::string_view name);

/// Reads the manifest of a generation in a checkpoint directory. Errors name the file; `not_found`
/// where it is not there (any more).
Result<Manifest> read_manifest(FileSystem& files, const std::string& directory,
                               std::uint64_t generation);

/// Writes and syncs a part's file; fills in sizes and checksum.
Result<> write_part(FileSystem& files, const std::string& path, std::uint64_t generation,
                    std::uint32_t number, std::string_view content, PartEntry& entry);
/// Reads it back, every checksum tested.
Result<std::string> read_part(FileSystem& files, const std::string& path, std::uint64_t generation,
                              std::uint32_t number, const PartEntry& entry);

}  // namespace streamobs::wal

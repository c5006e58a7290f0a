// Copying and checking whole files in blocks, with their checksum: what backups are made of.
//
// Plain functions that block; any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/file_system.h"
#include "base/result.h"

namespace streamobs {

/// What tells whether a file is the one that was written.
struct FileSum {
  std::uint64_t bytes = 0;
  std::uint32_t crc32c = 0;
  friend bool operator==(const FileSum&, const FileSum&) = default;
};

/// Told of each block that was read, in bytes; an error from it ends the work, which then fails
/// with that error. Empty: nobody wants to know.
using OnBytes = std::function<Result<>(std::uint64_t bytes)>;

/// Reads the whole file.
Result<FileSum> sum_of_file(FileSystem& files, const std::string& path, const OnBytes& on_bytes);

/// Copies the first `bytes_max` bytes of an open file (fewer if it is shorter) to a new file `to`,
/// synced when this returns; its name is the caller's to make durable. Gives what was read. What a
/// failure leaves under `to` is the caller's to remove.
Result<FileSum> copy_file(FileSystem& files, File& from, std::uint64_t bytes_max,
                          const std::string& to, const OnBytes& on_bytes);

}  // namespace streamobs

// The one seam between the engine and the disk: what the log and its checkpoints do to files goes
// through here, so that a test can lose what was not synced, fill the disk or break a call.
//
// A FileSystem lives for the whole process (or test) and may be used from any thread. A File is
// used by one thread at a time and closes itself. Nothing here is durable before sync_data() (the
// bytes and the size of a file) and sync_directory() (which names exist). Interrupted calls and
// short writes are dealt with below this seam: a call does all of its work or fails.
//
// Errors: `no_space` for a full disk or quota, `not_found` for a name that does not exist, `io` for
// everything else; each names the operation, the path and the system's own words.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace streamobs {

class File {
 public:
  virtual ~File() = default;

  /// Writes all pieces one behind the other from `offset` on.
  virtual Result<> write_at(std::uint64_t offset, std::span<const std::string_view> pieces) = 0;
  Result<> write_at(std::uint64_t offset, std::string_view bytes) {
    return write_at(offset, std::span<const std::string_view>(&bytes, 1));
  }

  /// Fills `into` from `offset` on; gives how many bytes there were, fewer only at the file's end.
  virtual Result<std::size_t> read_at(std::uint64_t offset, std::span<char> into) = 0;

  /// The bytes written so far and the size are on disk when this returns. After a failure nobody
  /// knows what is: never call it again for the same bytes and believe the answer.
  virtual Result<> sync_data() = 0;

  /// Takes disk space for the first `bytes` of the file and makes it that long if it is shorter;
  /// what was never written reads as zeros. Writing there later does not run out of space.
  virtual Result<> allocate(std::uint64_t bytes) = 0;

  /// As write_at(), past the page cache where the file system lets us: it costs the disk's time and
  /// hardly the processor's. `offset` and the address are multiples of kBlockBytes; what is left of
  /// `bytes` behind the last whole block goes the ordinary way.
  virtual Result<> write_blocks(std::uint64_t offset, std::span<const char> bytes) {
    return write_at(offset, std::string_view(bytes.data(), bytes.size()));
  }
  static constexpr std::size_t kBlockBytes = 4096;

  /// Zeros, by write_blocks().
  Result<> write_zeros(std::uint64_t offset, std::uint64_t bytes);

  virtual Result<> truncate(std::uint64_t bytes) = 0;
  virtual Result<std::uint64_t> size() = 0;
};

class FileSystem {
 public:
  virtual ~FileSystem() = default;

  /// A new file for reading and writing, readable by its owner only. An old one of that name is
  /// emptied.
  virtual Result<std::unique_ptr<File>> create(const std::string& path) = 0;
  virtual Result<std::unique_ptr<File>> open_for_reading(const std::string& path) = 0;
  virtual Result<std::unique_ptr<File>> open_for_writing(const std::string& path) = 0;

  /// Atomic; replaces what has the new name.
  virtual Result<> rename(const std::string& from, const std::string& to) = 0;
  virtual Result<> remove(const std::string& path) = 0;

  /// Names of the entries (no "." and ".."), sorted.
  virtual Result<std::vector<std::string>> list(const std::string& directory) = 0;
  /// Also those above it; fine if it exists. Its own name is durable when this returns.
  virtual Result<> make_directory(const std::string& directory) = 0;
  /// Names made, renamed and removed in it so far are durable when this returns.
  virtual Result<> sync_directory(const std::string& directory) = 0;

  virtual Result<bool> exists(const std::string& path) = 0;
  virtual Result<std::uint64_t> file_size(const std::string& path) = 0;
  /// When the file was last written.
  virtual Result<Timestamp> modified_at(const std::string& path) = 0;
  /// What an ordinary user may still write to the disk that holds `path`.
  virtual Result<std::uint64_t> free_bytes(const std::string& path) = 0;

  /// The whole file; `too_large` beyond `bytes_max`.
  Result<std::string> read_file(const std::string& path,
                                std::uint64_t bytes_max = std::uint64_t{1} << 30);
  /// Replaces the file in one step: written beside it as PATH.tmp, synced, renamed, and the
  /// directory synced.
  Result<> write_file(const std::string& path, std::string_view bytes);
};

/// The part of a path before its last '/'; "." if there is none.
std::string directory_of(const std::string& path);

}  // namespace streamobs

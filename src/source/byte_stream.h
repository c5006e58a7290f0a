// Where the bytes of a source come from: a plain file, a gzip file, a pipe.
//
// Synchronous; the shells call it on the blocking pool, one call at a time. A stream lives as long
// as the reader that cuts it into blocks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

#include "base/result.h"

namespace streamobs::source {

class ByteStream {
 public:
  struct Read {
    std::size_t bytes = 0;
    bool at_end = false;  ///< Nothing more for now: the file's end. A pipe may say neither.
  };

  virtual ~ByteStream() = default;
  /// Up to `max` bytes into `to`. No bytes and not at_end: nothing has come yet, ask again. A pipe
  /// waits a little for bytes if it `may_wait`.
  virtual Result<Read> read(char* to, std::size_t max, bool may_wait) = 0;
  /// Passes over the next `bytes`; returns how many, fewer where the stream is seen to end before.
  /// As slow as reading them, unless the stream knows better.
  virtual Result<std::uint64_t> skip(std::uint64_t bytes);
  /// Bytes taken from the file itself (compressed ones, where it is), for progress.
  virtual std::uint64_t raw_bytes() const = 0;
};

/// Which file it is, whatever it is called at the moment.
struct FileIdentity {
  dev_t device = 0;
  ino_t inode = 0;
  auto operator<=>(const FileIdentity&) const = default;
};

/// An open file descriptor; closes it.
class FileHandle {
 public:
  FileHandle() = default;
  explicit FileHandle(int fd) : fd_(fd) {}
  FileHandle(FileHandle&& other) noexcept;
  FileHandle& operator=(FileHandle&& other) noexcept;
  ~FileHandle();
  int get() const { return fd_; }
  /// Another descriptor of the same open file.
  FileHandle duplicate() const;

 private:
  int fd_ = -1;
};

/// What the system says of a path or an open file.
struct FileFacts {
  FileIdentity identity;
  std::uint64_t size = 0;
  bool regular = true;
  bool unlinked = false;  ///< No name leads to it any more.
};
std::optional<FileFacts> facts_of(const std::string& path);
std::optional<FileFacts> facts_of(const FileHandle& file);
std::optional<FileFacts> facts_of(int fd);

/// Opens a file for reading. Errors: not_found, or io with the path and the system's words; a
/// directory is `invalid`.
Result<FileHandle> open_file(const std::string& path);

/// A regular file, read at a position of the stream's own: several streams may share an open file.
/// At its end it can be asked again: it may have grown.
class FileStream final : public ByteStream {
 public:
  FileStream(FileHandle file, std::string path) : file_(std::move(file)), path_(std::move(path)) {}
  Result<Read> read(char* to, std::size_t max, bool may_wait) override;
  Result<std::uint64_t> skip(std::uint64_t bytes) override;
  std::uint64_t raw_bytes() const override { return position_; }
  int fd() const { return file_.get(); }

 private:
  FileHandle file_;
  std::string path_;
  std::uint64_t position_ = 0;
};

/// A pipe or terminal: waits at most `patience_ms` for bytes, so that its reader can be stopped.
class PipeStream final : public ByteStream {
 public:
  PipeStream(FileHandle file, std::string name, int patience_ms)
      : file_(std::move(file)), name_(std::move(name)), patience_ms_(patience_ms) {}
  Result<Read> read(char* to, std::size_t max, bool may_wait) override;
  std::uint64_t raw_bytes() const override { return position_; }

 private:
  FileHandle file_;
  std::string name_;
  int patience_ms_;
  std::uint64_t position_ = 0;
};

/// Inflates gzip, one member after another. A file cut short or damaged is `corrupt`; what came
/// before the damage has been handed out by then.
class GzipStream final : public ByteStream {
 public:
  GzipStream(std::unique_ptr<ByteStream> compressed, std::string path);
  ~GzipStream() override;
  Result<Read> read(char* to, std::size_t max, bool may_wait) override;
  std::uint64_t raw_bytes() const override { return compressed_->raw_bytes(); }

 private:
  struct Inflater;
  Error damaged(const char* what) const;
  Result<bool> refill(bool may_wait);

  std::unique_ptr<ByteStream> compressed_;
  std::string path_;
  std::unique_ptr<Inflater> inflater_;
  std::vector<char> input_;
  bool input_ended_ = false;
  bool between_members_ = true;
  bool any_member_ = false;
};

bool is_gzip(const std::string& path);
/// What stands behind a path that has been opened: gzip if the path ends in ".gz", a pipe if it is
/// one, else a plain file.
std::unique_ptr<ByteStream> make_stream(FileHandle file, bool regular, const std::string& path);

}  // namespace streamobs::source

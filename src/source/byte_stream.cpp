#include "source/byte_stream.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

namespace streamobs::source {
namespace {

/// How long a pipe that a path names is waited for at a time.
constexpr int kPipePatienceMs = 100;
constexpr std::size_t kSkipBytes = 256 << 10;

Error failed(const char* verb, const std::string& path, int error) {
  const ErrorCode code = error == ENOENT || error == ENOTDIR ? ErrorCode::not_found : ErrorCode::io;
  return fail(code, fmt::format("cannot {} {}: {}", verb, path, std::strerror(error)));
}

FileFacts facts_from(const struct stat& status) {
  FileFacts facts;
  facts.identity = {status.st_dev, status.st_ino};
  facts.size = static_cast<std::uint64_t>(status.st_size);
  facts.regular = S_ISREG(status.st_mode);
  facts.unlinked = status.st_nlink == 0;
  return facts;
}

}  // namespace

FileHandle::FileHandle(FileHandle&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
FileHandle& FileHandle::operator=(FileHandle&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}
FileHandle::~FileHandle() {
  if (fd_ >= 0) ::close(fd_);
}

FileHandle FileHandle::duplicate() const {
  return FileHandle(::fcntl(fd_, F_DUPFD_CLOEXEC, 3));
}

std::optional<FileFacts> facts_of(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return std::nullopt;
  return facts_from(status);
}

std::optional<FileFacts> facts_of(int fd) {
  struct stat status{};
  if (::fstat(fd, &status) != 0) return std::nullopt;
  return facts_from(status);
}

std::optional<FileFacts> facts_of(const FileHandle& file) {
  return facts_of(file.get());
}

Result<std::uint64_t> ByteStream::skip(std::uint64_t bytes) {
  std::vector<char> dropped(std::min<std::uint64_t>(bytes, kSkipBytes));
  std::uint64_t skipped = 0;
  while (skipped < bytes) {
    const std::size_t wanted = std::min<std::uint64_t>(bytes - skipped, dropped.size());
    const Result<Read> read = this->read(dropped.data(), wanted, true);
    if (!read) return read.error();
    skipped += read->bytes;
    if (read->at_end) break;
  }
  return skipped;
}

Result<FileHandle> open_file(const std::string& path) {
  FileHandle file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return failed("open", path, errno);
  struct stat status{};
  if (::fstat(file.get(), &status) != 0) return failed("open", path, errno);
  if (S_ISDIR(status.st_mode)) {
    return fail(ErrorCode::invalid,
                fmt::format("{} is a directory; name its files, as in {}/*.ndjson", path, path));
  }
  if (S_ISREG(status.st_mode)) ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
  return file;
}

Result<ByteStream::Read> FileStream::read(char* to, std::size_t max, bool) {
  while (true) {
    const ssize_t bytes = ::pread(file_.get(), to, max, static_cast<off_t>(position_));
    if (bytes >= 0) {
      position_ += static_cast<std::uint64_t>(bytes);
      return Read{static_cast<std::size_t>(bytes), bytes == 0};
    }
    if (errno != EINTR) return failed("read", path_, errno);
  }
}

Result<std::uint64_t> FileStream::skip(std::uint64_t bytes) {
  position_ += bytes;
  return bytes;
}

Result<ByteStream::Read> PipeStream::read(char* to, std::size_t max, bool may_wait) {
  struct pollfd waiting{};
  waiting.fd = file_.get();
  waiting.events = POLLIN;
  const int ready = ::poll(&waiting, 1, may_wait ? patience_ms_ : 0);
  if (ready == 0 || (ready < 0 && errno == EINTR)) return Read{};
  if (ready < 0) return failed("wait for", name_, errno);
  const ssize_t bytes = ::read(file_.get(), to, max);
  if (bytes < 0 && (errno == EAGAIN || errno == EINTR)) return Read{};
  if (bytes < 0) return failed("read", name_, errno);
  position_ += static_cast<std::uint64_t>(bytes);
  return Read{static_cast<std::size_t>(bytes), bytes == 0};
}

bool is_gzip(const std::string& path) {
  return path.ends_with(".gz");
}

std::unique_ptr<ByteStream> make_stream(FileHandle file, bool regular, const std::string& path) {
  std::unique_ptr<ByteStream> stream;
  if (regular) {
    stream = std::make_unique<FileStream>(std::move(file), path);
  } else {
    stream = std::make_unique<PipeStream>(std::move(file), path, kPipePatienceMs);
  }
  if (is_gzip(path)) stream = std::make_unique<GzipStream>(std::move(stream), path);
  return stream;
}

}  // namespace streamobs::source

#include "source/byte_stream.h"

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

Error failed(const char* verb, const std::string& path, int error) {
  const ErrorCode code = error == ENOENT || error == ENOTDIR ? ErrorCode::not_found : ErrorCode::io;
  return fail(code, fmt::format("cannot {} {}: {}", verb, path, std::strerror(error)));
}

/// read(2) that EINTR does not disturb.
Result<std::size_t> read_some(int fd, char* to, std::size_t max, const std::string& path) {
  while (true) {
    const ssize_t bytes = ::read(fd, to, max);
    if (bytes >= 0) return static_cast<std::size_t>(bytes);
    if (errno != EINTR) return failed("read", path, errno);
  }
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
  const Result<std::size_t> bytes = read_some(file_.get(), to, max, path_);
  if (!bytes) return bytes.error();
  position_ += *bytes;
  return Read{*bytes, *bytes == 0};
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

Result<std::unique_ptr<ByteStream>> open_stream(const std::string& path) {
  Result<FileHandle> file = open_file(path);
  if (!file) return file.error();
  struct stat status{};
  if (::fstat(file->get(), &status) != 0) return failed("open", path, errno);
  std::unique_ptr<ByteStream> stream;
  if (S_ISREG(status.st_mode)) {
    stream = std::make_unique<FileStream>(std::move(*file), path);
  } else {
    stream = std::make_unique<PipeStream>(std::move(*file), path, kPipePatienceMs);
  }
  if (path.ends_with(".gz")) stream = std::make_unique<GzipStream>(std::move(stream), path);
  return stream;
}

}  // namespace streamobs::source

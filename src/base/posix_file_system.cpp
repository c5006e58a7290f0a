#include "base/posix_file_system.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <fmt/format.h>

#include "base/failpoint.h"

namespace streamobs {

namespace {

/// From errno.
Error failed(std::string_view operation, const std::string& path, int number = errno) {
  ErrorCode code = ErrorCode::io;
  if (number == ENOSPC || number == EDQUOT) code = ErrorCode::no_space;
  if (number == ENOENT) code = ErrorCode::not_found;
  const char* hint = code == ErrorCode::no_space ? "; free some space on that disk" : "";
  return fail(code,
              fmt::format("cannot {} {}: {}{}", operation, path, std::strerror(number), hint));
}

/// Repeats a call that a signal interrupted.
template <class Call>
auto retried(Call&& call) {
  for (;;) {
    const auto result = call();
    if (result >= 0 || errno != EINTR) return result;
  }
}

class PosixFile final : public File {
 public:
  PosixFile(int descriptor, std::string path) : fd_(descriptor), path_(std::move(path)) {}
  PosixFile(const PosixFile&) = delete;
  PosixFile& operator=(const PosixFile&) = delete;
  ~PosixFile() override { ::close(fd_); }

  Result<> write_at(std::uint64_t offset, std::span<const std::string_view> pieces) override {
    failpoint("file.write");
    if (!past_cache(false)) return failed("set flags of", path_);
    std::size_t next = 0;     // The first piece not fully written …
    std::size_t skipped = 0;  // … and how much of it is.
    while (next < pieces.size()) {
      std::array<iovec, 256> vectors;
      std::size_t count = 0;
      for (std::size_t i = next; i < pieces.size() && count < vectors.size(); ++i) {
        const std::string_view piece = i == next ? pieces[i].substr(skipped) : pieces[i];
        if (piece.empty() && i != next) continue;
        vectors[count++] = {const_cast<char*>(piece.data()), piece.size()};
      }
      const ssize_t written = retried([&] {
        return ::pwritev(fd_, vectors.data(), static_cast<int>(count), static_cast<off_t>(offset));
      });
      if (written < 0) return failed("write to", path_);
      offset += static_cast<std::uint64_t>(written);
      auto left = static_cast<std::size_t>(written);
      while (next < pieces.size() && left >= pieces[next].size() - skipped) {
        left -= pieces[next].size() - skipped;
        skipped = 0;
        ++next;
      }
      skipped += left;
      if (written == 0 && next < pieces.size()) return failed("write to", path_, EIO);
    }
    return {};
  }

  Result<std::size_t> read_at(std::uint64_t offset, std::span<char> into) override {
    if (!past_cache(false)) return failed("set flags of", path_);
    std::size_t done = 0;
    while (done < into.size()) {
      const ssize_t got = retried([&] {
        return ::pread(fd_, into.data() + done, into.size() - done,
                       static_cast<off_t>(offset + done));
      });
      if (got < 0) return failed("read", path_);
      if (got == 0) break;
      done += static_cast<std::size_t>(got);
    }
    return done;
  }

  Result<> sync_data() override {
    failpoint("file.sync_data");
    // Not repeated on EINTR: Linux does not interrupt it, and whatever it says instead of success
    // means that nobody knows what is on disk.
    if (::fdatasync(fd_) != 0) return failed("sync", path_);
    return {};
  }

  Result<> allocate(std::uint64_t bytes) override {
    failpoint("file.allocate");
    const int result = retried([&] { return ::fallocate(fd_, 0, 0, static_cast<off_t>(bytes)); });
    if (result == 0) return {};
    if (errno != EOPNOTSUPP && errno != ENOSYS) return failed("allocate space for", path_);
    return fill(bytes);
  }

  Result<> write_blocks(std::uint64_t offset, std::span<const char> bytes) override {
    failpoint("file.write");
    std::size_t done = 0;
    const std::size_t whole = bytes.size() / kBlockBytes * kBlockBytes;
    while (done < whole && past_cache(true)) {
      const ssize_t written = retried([&] {
        return ::pwrite(fd_, bytes.data() + done, whole - done, static_cast<off_t>(offset + done));
      });
      if (written == 0) errno = EIO;
      if (written <= 0) {
        const bool lasting = errno == ENOSPC || errno == EDQUOT || errno == EIO;
        if (lasting) return failed("write to", path_);
        // Whatever else this file system dislikes in it, the ordinary way may do.
        knows_direct_ = false;
        break;
      }
      done += static_cast<std::size_t>(written);
    }
    if (done == bytes.size()) return {};
    return write_at(offset + done, std::string_view(bytes.data() + done, bytes.size() - done));
  }

  Result<> truncate(std::uint64_t bytes) override {
    if (retried([&] { return ::ftruncate(fd_, static_cast<off_t>(bytes)); }) != 0) {
      return failed("truncate", path_);
    }
    return {};
  }

  Result<std::uint64_t> size() override {
    struct stat status{};
    if (::fstat(fd_, &status) != 0) return failed("look at", path_);
    return static_cast<std::uint64_t>(status.st_size);
  }

 private:
  /// Where the file system knows no fallocate: zeros take the space as well.
  Result<> fill(std::uint64_t bytes) {
    const auto end = size();
    if (!end) return end.error();
    if (*end >= bytes) return {};
    // To a block's start the ordinary way; from there on in blocks.
    const std::uint64_t start =
        std::min(bytes, (*end + kBlockBytes - 1) / kBlockBytes * kBlockBytes);
    if (auto written = write_at(*end, std::string(start - *end, '\0')); !written) return written;
    return write_zeros(start, bytes - start);
  }
  /// Whether writes go past the page cache from now on, or through it, as `wanted`.
  bool past_cache(bool wanted) {
    if (direct_ == wanted) return true;
    if (wanted && !knows_direct_) return false;
    const int flags = ::fcntl(fd_, F_GETFL);
    const int changed = wanted ? flags | O_DIRECT : flags & ~O_DIRECT;
    if (flags < 0 || ::fcntl(fd_, F_SETFL, changed) != 0) {
      knows_direct_ = false;  // A file system without it.
      return false;
    }
    direct_ = wanted;
    return true;
  }

  // The base class's overload for one piece stays visible.
  using File::write_at;

  int fd_;
  std::string path_;
  bool direct_ = false;  ///< O_DIRECT is set.
  bool knows_direct_ = true;
};

class PosixFileSystem final : public FileSystem {
 public:
  Result<std::unique_ptr<File>> create(const std::string& path) override {
    return open(path, O_RDWR | O_CREAT | O_TRUNC, "create");
  }
  Result<std::unique_ptr<File>> open_for_reading(const std::string& path) override {
    return open(path, O_RDONLY, "open");
  }
  Result<std::unique_ptr<File>> open_for_writing(const std::string& path) override {
    return open(path, O_RDWR, "open");
  }

  Result<> rename(const std::string& from, const std::string& to) override {
    failpoint("file.rename");
    if (::rename(from.c_str(), to.c_str()) != 0)
      return failed("rename to " + to + " the file", from);
    return {};
  }

  Result<> remove(const std::string& path) override {
    failpoint("file.remove");
    if (::unlink(path.c_str()) != 0) return failed("remove", path);
    return {};
  }

  Result<std::vector<std::string>> list(const std::string& directory) override {
    DIR* handle = ::opendir(directory.c_str());
    if (handle == nullptr) return failed("list", directory);
    const std::unique_ptr<DIR, int (*)(DIR*)> closer(handle, ::closedir);
    std::vector<std::string> names;
    for (;;) {
      errno = 0;
      const dirent* entry = ::readdir(handle);
      if (entry == nullptr) break;
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
    }
    if (errno != 0) return failed("list", directory);
    std::sort(names.begin(), names.end());
    return names;
  }

  Result<> make_directory(const std::string& directory) override {
    if (::mkdir(directory.c_str(), 0700) == 0) return sync_directory(directory_of(directory));
    if (errno == ENOENT) {
      const std::string above = directory_of(directory);
      if (above == directory) return failed("make directory", directory, ENOENT);
      if (auto made = make_directory(above); !made) return made;
      if (::mkdir(directory.c_str(), 0700) == 0) return sync_directory(above);
    }
    if (errno != EEXIST) return failed("make directory", directory);
    struct stat status{};
    if (::stat(directory.c_str(), &status) != 0) return failed("look at", directory);
    if (!S_ISDIR(status.st_mode)) return failed("make directory", directory, ENOTDIR);
    // It may have been made by a process that died before this:
    return sync_directory(directory_of(directory));
  }

  Result<> sync_directory(const std::string& directory) override {
    failpoint("file.sync_directory");
    const int descriptor =
        retried([&] { return ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
    if (descriptor < 0) return failed("open directory", directory);
    const int result = ::fsync(descriptor);
    const int number = errno;
    ::close(descriptor);
    if (result != 0) return failed("sync directory", directory, number);
    return {};
  }

  Result<bool> exists(const std::string& path) override {
    struct stat status{};
    if (::stat(path.c_str(), &status) == 0) return true;
    if (errno == ENOENT || errno == ENOTDIR) return false;
    return failed("look at", path);
  }

  Result<std::uint64_t> file_size(const std::string& path) override {
    struct stat status{};
    if (::stat(path.c_str(), &status) != 0) return failed("look at", path);
    return static_cast<std::uint64_t>(status.st_size);
  }

  Result<Timestamp> modified_at(const std::string& path) override {
    struct stat status{};
    if (::stat(path.c_str(), &status) != 0) return failed("look at", path);
    return Timestamp{status.st_mtim.tv_sec} * kSecond + status.st_mtim.tv_nsec / 1000;
  }

  Result<std::uint64_t> free_bytes(const std::string& path) override {
    struct statvfs status{};
    if (::statvfs(path.c_str(), &status) != 0) return failed("look at the disk of", path);
    return std::uint64_t{status.f_bavail} * status.f_frsize;
  }

 private:
  static Result<std::unique_ptr<File>> open(const std::string& path, int flags,
                                            std::string_view operation) {
    const int descriptor = retried([&] { return ::open(path.c_str(), flags | O_CLOEXEC, 0600); });
    if (descriptor < 0) return failed(operation, path);
    return std::unique_ptr<File>(std::make_unique<PosixFile>(descriptor, path));
  }
};

}  // namespace

FileSystem& posix_file_system() {
  static PosixFileSystem files;
  return files;
}

}  // namespace streamobs

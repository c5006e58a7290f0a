#include "store/data_dir.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

namespace streamobs::store {

namespace {

Error because(const std::string& what, const std::string& hint) {
  return fail(ErrorCode::io, fmt::format("{}: {}. {}", what, std::strerror(errno), hint));
}

std::string holder(int lock) {
  char text[32] = {};
  const ssize_t size = ::pread(lock, text, sizeof text - 1, 0);
  return size > 0 ? fmt::format("process {}", std::string(text, static_cast<std::size_t>(size)))
                  : "another process";
}

/// Makes sure that a power failure does not take away the name of a directory that was just made.
Result<> sync_directory(const std::string& path) {
  const int directory = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = directory >= 0 && ::fsync(directory) == 0;
  const Error failed = synced ? Error() : because("cannot sync " + path, "Check the disk");
  if (directory >= 0) ::close(directory);
  if (!synced) return failed;
  return {};
}

/// Makes the directory closed to others from its first moment on, and its parents as mkdir does.
Result<> make_directory(const std::string& given) {
  std::filesystem::path path = std::filesystem::path(given).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  std::error_code error;
  if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path(), error);
  if (error) errno = error.value();
  const bool made = !error && ::mkdir(path.c_str(), 0700) == 0;
  if (!made && (error || errno != EEXIST)) {
    return because("cannot make the data directory " + given, "Choose another data_dir");
  }
  if (!made) return {};
  return sync_directory(path.has_parent_path() ? path.parent_path().string() : ".");
}

}  // namespace

Result<DataDir> DataDir::open(const std::string& path) {
  if (Result<> made = make_directory(path); made.has_error()) return made.error();
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) {
    return because("cannot look at the data directory " + path, "Check its owner");
  }
  if (!S_ISDIR(info.st_mode)) {
    errno = ENOTDIR;
    return because("cannot use the data directory " + path, "Choose another data_dir");
  }
  if ((info.st_mode & 022) != 0) {
    return fail(ErrorCode::invalid,
                fmt::format("the data directory {} can be written by other users (mode {:o}). "
                            "Run: chmod go-w {}",
                            path, info.st_mode & 0777, path));
  }
  const std::string lock_path = path + "/lock";
  const int lock = ::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0) return because("cannot write in the data directory " + path, "Check its owner");
  if (::flock(lock, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) {
      const Error failed = because("cannot lock " + lock_path, "Is the file system a network one?");
      ::close(lock);
      return failed;
    }
    const std::string who = holder(lock);
    ::close(lock);
    return fail(ErrorCode::unavailable,
                fmt::format("the data directory {} is in use by {}. Stop it, or give this one a "
                            "data directory of its own with --data-dir",
                            path, who));
  }
  const std::string pid = fmt::format("{}", ::getpid());
  if (::ftruncate(lock, 0) != 0 ||
      ::pwrite(lock, pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    const Error failed = because("cannot write " + lock_path, "Is the disk full?");
    ::close(lock);
    return failed;
  }
  return DataDir(path, lock);
}

DataDir::DataDir(DataDir&& other) noexcept
    : path_(std::move(other.path_)), lock_(std::exchange(other.lock_, -1)) {}

DataDir& DataDir::operator=(DataDir&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(lock_, other.lock_);
  return *this;
}

DataDir::~DataDir() {
  if (lock_ >= 0) ::close(lock_);
}

}  // namespace streamobs::store

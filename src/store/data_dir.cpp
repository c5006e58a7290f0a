#include "store/data_dir.h"

#include <cerrno>
#include <csignal>
#include <cstdlib>
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

std::string lock_path_in(const std::string& path) {
  return path + "/lock";
}

std::string holder(int lock) {
  char text[32] = {};
  const ssize_t size = ::pread(lock, text, sizeof text - 1, 0);
  const long pid = size > 0 ? std::strtol(text, nullptr, 10) : 0;
  // Who only looks does not write itself down: then it is still the one before.
  const bool alive = pid > 0 && (::kill(static_cast<pid_t>(pid), 0) == 0 || errno != ESRCH);
  return alive ? fmt::format("process {}", pid)
               : "another process, such as a `streamobs doctor` that looks at it";
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

Result<> check_directory(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) {
    const bool there = errno != ENOENT;
    const Error failed = because("cannot look at the data directory " + path, "Check its owner");
    return fail(there ? failed.code : ErrorCode::not_found, failed.message);
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
  return {};
}

/// Or closes it.
Result<> take_lock(const std::string& path, int lock, int kind) {
  if (::flock(lock, kind | LOCK_NB) == 0) return {};
  if (errno != EWOULDBLOCK) {
    const Error failed = because(fmt::format("cannot lock {}", lock_path_in(path)),
                                 "Is the file system a network one?");
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

}  // namespace

Result<DataDir> DataDir::look(const std::string& path) {
  if (Result<> checked = check_directory(path); checked.has_error()) return checked.error();
  const int lock = ::open(lock_path_in(path).c_str(), O_RDONLY | O_CLOEXEC);
  if (lock < 0 && errno == ENOENT) return DataDir(path, -1);
  if (lock < 0) return because("cannot read in the data directory " + path, "Check its owner");
  if (Result<> taken = take_lock(path, lock, LOCK_SH); taken.has_error()) return taken.error();
  return DataDir(path, lock);
}

Result<DataDir> DataDir::open(const std::string& path) {
  if (Result<> made = make_directory(path); made.has_error()) return made.error();
  if (Result<> checked = check_directory(path); checked.has_error()) return checked.error();
  const int lock = ::open(lock_path_in(path).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0) return because("cannot write in the data directory " + path, "Check its owner");
  if (Result<> taken = take_lock(path, lock, LOCK_EX); taken.has_error()) return taken.error();
  const std::string pid = fmt::format("{}", ::getpid());
  if (::ftruncate(lock, 0) != 0 ||
      ::pwrite(lock, pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    const Error failed = because("cannot write " + lock_path_in(path), "Is the disk full?");
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

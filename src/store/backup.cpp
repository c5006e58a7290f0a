#include "store/backup.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "store/sqlite.h"

namespace streamobs::store {

namespace {

Error because(const std::string& what) {
  const bool full = errno == ENOSPC || errno == EDQUOT;
  return fail(full ? ErrorCode::unavailable : ErrorCode::io,
              fmt::format("{}: {}", what, std::strerror(errno)));
}

Result<> sync_path(const std::string& path, int flags) {
  const int file = ::open(path.c_str(), flags | O_CLOEXEC);
  if (file < 0) return because("cannot open " + path);
  const bool synced = ::fsync(file) == 0;
  const Error failed = synced ? Error() : because("cannot sync " + path);
  ::close(file);
  if (!synced) return failed;
  return {};
}

Result<> copy(const std::string& database, const std::string& part, Duration busy_timeout) {
  // Made first, empty, so that nobody else can read it at any moment.
  const int made = ::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (made < 0) return because("cannot make " + part);
  ::close(made);
  const Result<Connection> reader =
      Connection::open(database, Connection::Mode::read_only, busy_timeout);
  if (reader.has_error()) return reader.error();
  const Result<> copied = reader->execute("VACUUM INTO " + quoted_text(part));
  if (copied.has_error()) return copied;
  return sync_path(part, O_RDONLY);
}

}  // namespace

Result<> back_up(const std::string& database, const std::string& path, Duration busy_timeout) {
  struct stat info{};
  if (::lstat(path.c_str(), &info) == 0) {
    return fail(ErrorCode::invalid,
                fmt::format("{} exists already: choose another name for the backup", path));
  }
  const std::string part = path + ".part";  // One of an attempt that was cut short may be there.
  ::unlink(part.c_str());
  const Result<> copied = copy(database, part, busy_timeout);
  if (copied.has_error()) {
    ::unlink(part.c_str());
    return copied;
  }
  if (::rename(part.c_str(), path.c_str()) != 0) {
    const Error failed = because(fmt::format("cannot rename {} to {}", part, path));
    ::unlink(part.c_str());
    return failed;
  }
  const std::string directory = std::filesystem::path(path).parent_path().string();
  return sync_path(directory.empty() ? "." : directory, O_RDONLY | O_DIRECTORY);
}

}  // namespace streamobs::store

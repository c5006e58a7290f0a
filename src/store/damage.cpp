#include "store/damage.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "base/clock.h"
#include "base/log.h"

namespace streamobs::store {

namespace {

std::string note_path(const std::string& database) {
  return database + ".damaged";
}

bool exists(const std::string& path) {
  struct stat info{};
  return ::lstat(path.c_str(), &info) == 0;
}

/// A name that is still free: an earlier damaged database is never written over.
std::string free_name(const std::string& database) {
  const std::string name = fmt::format("{}.corrupt-{}", database, SystemClock().now() / kSecond);
  if (!exists(name)) return name;
  for (int n = 2;; ++n) {
    const std::string other = fmt::format("{}-{}", name, n);
    if (!exists(other)) return other;
  }
}

}  // namespace

void note_damage(const std::string& database, std::string_view what) {
  const int file = ::open(note_path(database).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  // The note's being there is what counts; what it says is for people.
  if (file < 0 || ::write(file, what.data(), what.size()) < 0) {
    log::warn("the damage to the database could not be noted beside it",
              {{"file", note_path(database)}, {"error", std::strerror(errno)}});
  }
  if (file >= 0) ::close(file);
}

bool damage_noted(const std::string& database) {
  return exists(note_path(database));
}

Result<> set_aside(const std::string& database, std::string_view why) {
  const std::string aside = free_name(database);
  log::error(
      "the database is damaged. It is set aside and a new one is started: earlier results "
      "are only in the file set aside (`sqlite3 FILE .recover` may save some of them)",
      {{"database", database}, {"set_aside", aside}, {"error", why}});
  // The journal first: a database without its journal is a smaller loss than a new database beside
  // the journal of another.
  for (const char* suffix : {"-wal", "-shm", ""}) {
    if (::rename((database + suffix).c_str(), (aside + suffix).c_str()) != 0 && errno != ENOENT) {
      return fail(ErrorCode::io,
                  fmt::format("the damaged database {} cannot be moved to {}: {}. Move it by hand",
                              database + suffix, aside + suffix, std::strerror(errno)));
    }
  }
  if (::unlink(note_path(database).c_str()) != 0 && errno != ENOENT) {
    return fail(ErrorCode::io,
                fmt::format("{} cannot be removed: {}", note_path(database), std::strerror(errno)));
  }
  return {};
}

}  // namespace streamobs::store

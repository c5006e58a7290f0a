#include "store/snapshot.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <future>
#include <memory>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include "store/damage.h"
#include "store/migrations.h"

namespace streamobs::store {

namespace {

constexpr Duration kBusyTimeout = 5 * kSecond;
/// Some 4 MiB a step, so that progress shows and the copy can be ended.
constexpr int kPagesPerStep = 1'024;
/// How soon a check that is to end is ended.
constexpr auto kAskEvery = std::chrono::milliseconds(50);

Error because(const std::string& what) {
  const bool full = errno == ENOSPC || errno == EDQUOT;
  return fail(full ? ErrorCode::no_space : ErrorCode::io,
              fmt::format("{}: {}", what, std::strerror(errno)));
}

/// Empty, and closed to others from its first moment on.
Result<> make_file(const std::string& path) {
  const int made = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (made < 0) return because("cannot make " + path);
  ::close(made);
  return {};
}

Result<> sync_file(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return because("cannot open " + path);
  const bool synced = ::fsync(file) == 0;
  const Error failed = synced ? Error() : because("cannot sync " + path);
  ::close(file);
  if (!synced) return failed;
  return {};
}

/// Nobody else has the copy, so it is never busy: what may be tried again is a full disk.
Error as_our_own(const Error& error) {
  if (error.code != ErrorCode::unavailable) return error;
  return fail(ErrorCode::no_space, error.message);
}

struct FinishBackup {
  void operator()(sqlite3_backup* backup) const { sqlite3_backup_finish(backup); }
};

Result<> copy_pages(const Connection& from, const Connection& to, std::uint64_t page_bytes,
                    const Snapshot::OnBytes& on_bytes) {
  const std::unique_ptr<sqlite3_backup, FinishBackup> backup(
      sqlite3_backup_init(to.get(), "main", from.get(), "main"));
  if (backup == nullptr) return to.error("beginning to copy the database");
  for (int left_before = -1;;) {
    const int code = sqlite3_backup_step(backup.get(), kPagesPerStep);
    if (code != SQLITE_OK && code != SQLITE_DONE) {
      // Neither connection learns of it before the backup is finished.
      return fail(
          (code & 0xff) == SQLITE_FULL      ? ErrorCode::no_space
          : (code & 0xff) == SQLITE_CORRUPT ? ErrorCode::corrupt
                                            : ErrorCode::io,
          fmt::format("SQLite, copying the database: {} (code {})", sqlite3_errstr(code), code));
    }
    const int left = sqlite3_backup_remaining(backup.get());
    if (left_before < 0) left_before = sqlite3_backup_pagecount(backup.get());
    if (on_bytes) {
      const auto pages = static_cast<std::uint64_t>(std::max(0, left_before - left));
      if (const Result<> told = on_bytes(pages * page_bytes); told.has_error()) return told;
    }
    left_before = left;
    if (code == SQLITE_DONE) return {};
  }
}

}  // namespace

Result<Snapshot> Snapshot::take(const std::string& database) {
  struct stat info{};
  if (::stat(database.c_str(), &info) != 0) {
    const ErrorCode code = errno == ENOENT ? ErrorCode::not_found : ErrorCode::io;
    return fail(code, because("cannot open the database " + database).message);
  }
  if (damage_noted(database)) {
    return fail(ErrorCode::corrupt,
                fmt::format("the database {} is damaged, as {}.damaged says. Start the engine: it "
                            "sets it aside and rebuilds what the log holds",
                            database, database));
  }
  Result<Connection> connection =
      Connection::open(database, Connection::Mode::read_only, kBusyTimeout);
  if (connection.has_error()) return connection.error();
  Snapshot snapshot(std::move(*connection));
  const Connection& reader = snapshot.connection_;
  // From the first read on, the transaction sees one commit and no later one.
  if (const Result<> begun = reader.execute("BEGIN"); begun.has_error()) return begun.error();
  if (const auto version = check_version(reader); version.has_error()) return version.error();
  const Result<std::int64_t> tables =
      reader.query_int("SELECT count(*) FROM sqlite_master WHERE name = 'streamobs_log'");
  if (tables.has_error()) return tables.error();
  if (*tables == 0) {
    return fail(ErrorCode::unavailable,
                fmt::format("the database {} is not complete yet: an engine is making it at this "
                            "moment, or an older streamobs has made it. Try again once an engine "
                            "of this version runs",
                            database));
  }
  const Result<LogPosition> position = read_log_position(reader);
  if (position.has_error()) return position.error();
  snapshot.position_ = *position;
  const Result<std::int64_t> pages = reader.query_int("PRAGMA page_count");
  if (pages.has_error()) return pages.error();
  const Result<std::int64_t> page_bytes = reader.query_int("PRAGMA page_size");
  if (page_bytes.has_error()) return page_bytes.error();
  snapshot.bytes_ = static_cast<std::uint64_t>(*pages) * static_cast<std::uint64_t>(*page_bytes);
  return snapshot;
}

Result<> Snapshot::copy_to(const std::string& path, const OnBytes& on_bytes) const {
  if (const Result<> made = make_file(path); made.has_error()) return made;
  {
    const Result<Connection> copy =
        Connection::open(path, Connection::Mode::read_write, kBusyTimeout);
    if (copy.has_error()) return copy.error();
    // Nobody looks at it before it is whole and synced.
    const Result<> prepared = copy->execute(
        "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF");
    if (prepared.has_error()) return as_our_own(prepared.error());
    const Result<std::int64_t> page_bytes = connection_.query_int("PRAGMA page_size");
    if (page_bytes.has_error()) return page_bytes.error();
    const Result<> copied =
        copy_pages(connection_, *copy, static_cast<std::uint64_t>(*page_bytes), on_bytes);
    if (copied.has_error()) return copied;
    // It has the journal mode of the original, in which nobody could read it without writing.
    if (const Result<> set = copy->execute("PRAGMA journal_mode = DELETE"); set.has_error()) {
      return as_our_own(set.error());
    }
  }
  return sync_file(path);
}

Result<> check_copy(const std::string& path, const std::function<Result<>()>& go_on) {
  const Result<Connection> copy = Connection::open(path, Connection::Mode::read_only, kBusyTimeout);
  if (copy.has_error()) return copy.error();
  // Beside us: SQLite 3.40 asks no progress handler while it walks the pages, which is most of the
  // work, and looks for an interrupt there.
  auto checking = std::async(std::launch::async, [&connection = *copy] {
    return connection.query_text("PRAGMA integrity_check(1)");
  });
  Result<> told;
  do {
    if (told.has_value()) told = go_on();
    // More than once: an interrupt from before the statement runs is forgotten.
    if (told.has_error()) sqlite3_interrupt(copy->get());
  } while (checking.wait_for(kAskEvery) != std::future_status::ready);
  const Result<std::string> checked = checking.get();
  if (told.has_error()) return told;
  if (checked.has_error()) return checked.error();
  if (*checked == "ok") return {};
  return fail(ErrorCode::corrupt, "SQLite's integrity_check: " + *checked);
}

}  // namespace streamobs::store

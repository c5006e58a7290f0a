#include "store/sqlite.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <limits>
#include <sys/stat.h>

#include <fmt/format.h>

namespace streamobs::store {

namespace {

using SteadyTime = std::chrono::steady_clock::time_point;

/// How much of a statement stands in an error message.
constexpr std::size_t kSqlShown = 80;

/// Where the disk is full SQLite does not always say so: growing the -shm file fails as an error of
/// its own, and a quota as a plain failed write.
bool is_disk_full(sqlite3* connection, int code) {
  if ((code & 0xff) == SQLITE_FULL || code == SQLITE_IOERR_SHMSIZE) return true;
  if ((code & 0xff) != SQLITE_IOERR) return false;
  // What a sync has lost is lost, whatever the reason: trying again would only hide it.
  if (code == SQLITE_IOERR_FSYNC || code == SQLITE_IOERR_DIR_FSYNC) return false;
  const int number = sqlite3_system_errno(connection);
  return number == ENOSPC || number == EDQUOT;
}

ErrorCode code_of(int sqlite_code) {
  switch (sqlite_code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
      return ErrorCode::unavailable;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return ErrorCode::corrupt;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
      return ErrorCode::io;
    default:
      return ErrorCode::internal;
  }
}

Error error_of(sqlite3* connection, std::string_view doing) {
  const int code = sqlite3_extended_errcode(connection);
  if (code == SQLITE_INTERRUPT) {
    return fail(ErrorCode::unavailable,
                "the query took too long and was stopped. Ask for a shorter time (from, to), fewer "
                "windows or fewer rows");
  }
  const char* more = doing.size() > kSqlShown ? "…" : "";
  return fail(is_disk_full(connection, code) ? ErrorCode::unavailable : code_of(code),
              fmt::format("SQLite, {}{}: {} (code {})", doing.substr(0, kSqlShown), more,
                          sqlite3_errmsg(connection), code));
}

std::string in_quotes(std::string_view text, char quote) {
  std::string out(1, quote);
  for (const char c : text) {
    if (c == quote) out += quote;
    out += c;
  }
  return out + quote;
}

std::string as_uri(std::string_view path) {
  std::string uri = path.starts_with('/') ? "file://" : "file:";
  for (const char c : path) {
    const bool special = c == '%' || c == '?' || c == '#';
    uri += special ? fmt::format("%{:02x}", static_cast<unsigned char>(c)) : std::string(1, c);
  }
  return uri;
}

bool has_content(const std::string& path) {
  struct stat info{};
  return ::stat(path.c_str(), &info) == 0 && info.st_size != 0;
}

/// `immutable` reads the file alone, and so is only right where the journal is empty. Otherwise by
/// SQLite's own way to the disk without locks, and, as locking_mode has it, with the journal's
/// index in our memory in the place of a -shm. (`nolock=1` would do without the journal.) What
/// another journal mode has left in a -journal would have to be undone first, and that is not for a
/// look.
Result<> open_to_look(const std::string& path, sqlite3** connection) {
  const bool journal = has_content(path + "-wal") || has_content(path + "-journal");
  const std::string uri = as_uri(path) + (journal ? "?vfs=unix-none" : "?immutable=1");
  const int code =
      sqlite3_open_v2(uri.c_str(), connection,
                      SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI, nullptr);
  if (code != SQLITE_OK) return error_of(*connection, "opening " + path);
  const char* exclusive = "PRAGMA locking_mode = EXCLUSIVE";
  if (journal && sqlite3_exec(*connection, exclusive, nullptr, nullptr, nullptr) != SQLITE_OK) {
    return error_of(*connection, exclusive);
  }
  return {};
}

Result<> open_to_use(const std::string& path, bool writes, sqlite3** connection) {
  const int flags = (writes ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY) |
                    SQLITE_OPEN_NOMUTEX;
  const int code = sqlite3_open_v2(path.c_str(), connection, flags, nullptr);
  if (code != SQLITE_OK) return error_of(*connection, "opening " + path);
  return {};
}

}  // namespace

/// When the running statement must be done; looked at by SQLite every few thousand steps.
struct Connection::Deadline {
  Duration limit = 0;
  SteadyTime at{};
};

std::string quoted(std::string_view name) {
  return in_quotes(name, '"');
}

std::string quoted_text(std::string_view text) {
  return in_quotes(text, '\'');
}

std::int64_t row_limit(std::size_t rows) {
  constexpr std::size_t kMost = std::numeric_limits<std::int64_t>::max();
  return static_cast<std::int64_t>(std::min(rows, kMost));
}

Result<bool> Statement::step() {
  switch (sqlite3_step(get())) {
    case SQLITE_ROW:
      return true;
    case SQLITE_DONE:
      return false;
    default:
      return error_of(sqlite3_db_handle(get()), sqlite3_sql(get()));
  }
}

Result<> Statement::run() {
  while (true) {
    const Result<bool> row = step();
    if (row.has_error() || !*row) {
      reset();
      if (row.has_error()) return row.error();
      return {};
    }
  }
}

Result<std::int64_t> Statement::run_counted() {
  const Result<> done = run();
  if (done.has_error()) return done.error();
  return sqlite3_changes64(sqlite3_db_handle(get()));
}

std::string Statement::text_at(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(get(), column));
  return text == nullptr
             ? std::string()
             : std::string(text, static_cast<std::size_t>(sqlite3_column_bytes(get(), column)));
}

std::string Statement::blob_at(int column) const {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(get(), column));
  return bytes == nullptr
             ? std::string()
             : std::string(bytes, static_cast<std::size_t>(sqlite3_column_bytes(get(), column)));
}

Result<Connection> Connection::open(const std::string& path, Mode mode, Duration busy_timeout) {
  Connection connection;
  sqlite3* raw = nullptr;
  const Result<> opened = mode == Mode::look_only
                              ? open_to_look(path, &raw)
                              : open_to_use(path, mode == Mode::read_write, &raw);
  connection.connection_.reset(raw);
  if (opened.has_error()) return opened.error();
  sqlite3_extended_result_codes(raw, 1);
  sqlite3_busy_timeout(raw, static_cast<int>(busy_timeout / kMillisecond));
  if (mode != Mode::read_write) {
    // It could not anyway: said twice that a reader neither checkpoints nor writes.
    sqlite3_wal_autocheckpoint(raw, 0);
    sqlite3_db_config(raw, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  }
  return connection;
}

Result<Statement> Connection::prepare(std::string_view sql) const {
  sqlite3_stmt* raw = nullptr;
  const int code = sqlite3_prepare_v3(get(), sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &raw, nullptr);
  if (code != SQLITE_OK) return error(sql);
  Statement statement;
  statement.statement_.reset(raw);
  if (deadline_)
    deadline_->at = std::chrono::steady_clock::now() + std::chrono::microseconds(deadline_->limit);
  return statement;
}

Result<> Connection::prepare_all(std::initializer_list<Wanted> all) const {
  for (const Wanted& wanted : all) {
    Result<Statement> statement = prepare(wanted.sql);
    if (statement.has_error()) return statement.error();
    *wanted.into = std::move(*statement);
  }
  return {};
}

Result<> Connection::execute(const std::string& sql) const {
  if (sqlite3_exec(get(), sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) return error(sql);
  return {};
}

Result<std::int64_t> Connection::query_int(std::string_view sql) const {
  Result<Statement> statement = prepare(sql);
  if (statement.has_error()) return statement.error();
  const Result<bool> row = statement->step();
  if (row.has_error()) return row.error();
  return *row ? statement->int_at(0) : 0;
}

Result<std::string> Connection::query_text(std::string_view sql) const {
  Result<Statement> statement = prepare(sql);
  if (statement.has_error()) return statement.error();
  const Result<bool> row = statement->step();
  if (row.has_error()) return row.error();
  return *row ? statement->text_at(0) : std::string();
}

Result<> Connection::sync_journal() const {
  // By SQLite's own handle: the first sync of a new journal also syncs its directory.
  sqlite3_file* journal = nullptr;
  const int found = sqlite3_file_control(get(), "main", SQLITE_FCNTL_JOURNAL_POINTER,
                                         static_cast<void*>(&journal));
  if (found != SQLITE_OK || journal == nullptr || journal->pMethods == nullptr) {
    return fail(ErrorCode::internal, "the database has no journal to be synced");
  }
  const int code = journal->pMethods->xSync(journal, SQLITE_SYNC_NORMAL);
  if (code == SQLITE_OK) return {};
  int number = 0;
  journal->pMethods->xFileControl(journal, SQLITE_FCNTL_LAST_ERRNO, &number);
  return fail(ErrorCode::io,
              fmt::format("the database's journal cannot be synced to the disk: {} (code {})",
                          number != 0 ? std::strerror(number) : sqlite3_errstr(code), code));
}

void Connection::limit_time(Duration limit) {
  deadline_ = std::make_shared<Deadline>();
  deadline_->limit = limit;
  const auto expired = [](void* context) -> int {
    return std::chrono::steady_clock::now() > static_cast<Deadline*>(context)->at ? 1 : 0;
  };
  sqlite3_progress_handler(get(), 10'000, expired, deadline_.get());
}

Error Connection::error(std::string_view doing) const {
  return error_of(get(), doing);
}

}  // namespace streamobs::store

#include "store/inspection.h"

#include <algorithm>
#include <sys/stat.h>
#include <utility>

#include <fmt/format.h>

#include "store/migrations.h"

namespace streamobs::store {

namespace {

constexpr Duration kBusyTimeout = 5 * kSecond;

/// SQLite tells up to a hundred mistakes in one text, a line each, beneath a heading.
std::string first_of(std::string_view mistakes) {
  if (mistakes.starts_with("***"))
    mistakes.remove_prefix(std::min(mistakes.find('\n'), mistakes.size() - 1) + 1);
  const std::size_t end = mistakes.find('\n');
  std::string first(mistakes.substr(0, end));
  if (end == std::string_view::npos) return first;
  const auto more =
      std::count(mistakes.begin() + static_cast<std::ptrdiff_t>(end), mistakes.end(), '\n');
  return fmt::format("{} (and {} more)", first, more);
}

}  // namespace

Inspection::Marks Inspection::marks_of(const std::string& path) {
  Marks marks{};
  std::size_t at = 0;
  for (const char* suffix : {"", "-wal"}) {
    struct stat info{};
    const bool there = ::stat((path + suffix).c_str(), &info) == 0;
    marks[at++] = there ? info.st_size : 0;
    marks[at++] = there ? info.st_mtim.tv_sec : 0;
    marks[at++] = there ? info.st_mtim.tv_nsec : 0;
  }
  return marks;
}

Result<Inspection> Inspection::open(const std::string& path) {
  return begin(path, Connection::Mode::read_only);
}

Result<Inspection> Inspection::look(const std::string& path) {
  return begin(path, Connection::Mode::look_only);
}

Result<Inspection> Inspection::begin(const std::string& path, Connection::Mode mode) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) {
    return fail(ErrorCode::not_found, fmt::format("there is no database {}", path));
  }
  const Marks marks = marks_of(path);
  Result<Connection> connection = Connection::open(path, mode, kBusyTimeout);
  if (connection.has_error()) return connection.error();
  // Of its cache nothing is asked twice.
  if (const Result<> set = connection->execute("PRAGMA cache_size = -2048"); set.has_error()) {
    return set.error();
  }
  const Result<std::int64_t> version = check_version(*connection);
  if (version.has_error()) return version.error();
  Inspection inspection(path, marks, std::move(*connection));
  Result<Statement> names = inspection.connection_.prepare(
      "SELECT 'sqlite_schema' UNION ALL SELECT name FROM sqlite_schema WHERE type = 'table'");
  if (names.has_error()) return names.error();
  while (true) {
    const Result<bool> row = names->step();
    if (row.has_error()) return row.error();
    if (!*row) break;
    inspection.tables_.push_back(names->text_at(0));
  }
  return inspection;
}

Result<LogPosition> Inspection::position() const {
  const Result<std::int64_t> tables =
      connection_.query_int("SELECT count(*) FROM sqlite_schema WHERE name = 'streamobs_log'");
  if (tables.has_error()) return tables.error();
  if (*tables == 0) {
    return fail(ErrorCode::unavailable,
                fmt::format("the database {} is not complete: no engine of this version has "
                            "finished making it",
                            path_));
  }
  return read_log_position(connection_);
}

Result<std::optional<std::string>> Inspection::check(const std::string& table) const {
  Result<Statement> statement =
      connection_.prepare(fmt::format("PRAGMA quick_check({})", quoted(table)));
  std::optional<std::string> mistake;
  Result<> done;
  if (statement.has_error()) {
    done = statement.error();
  } else {
    // Further mistakes of the same table tell nobody more.
    const Result<bool> row = statement->step();
    if (row.has_error()) {
      done = row.error();
    } else if (*row && statement->text_at(0) != "ok") {
      mistake = first_of(statement->text_at(0));
    }
  }
  // SQLite gives up at a page that it cannot even walk over, and says so as a failure.
  if (done.has_error() && done.error().code == ErrorCode::corrupt) {
    mistake = done.error().message;
  } else if (done.has_error()) {
    return done.error();
  }
  return mistake;
}

}  // namespace streamobs::store

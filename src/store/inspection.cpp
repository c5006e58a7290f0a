#include "store/inspection.h"

#include <sys/stat.h>
#include <utility>

#include <fmt/format.h>

#include "store/migrations.h"

namespace streamobs::store {

namespace {

constexpr Duration kBusyTimeout = 5 * kSecond;

}  // namespace

Result<Inspection> Inspection::open(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) {
    return fail(ErrorCode::not_found, fmt::format("there is no database {}", path));
  }
  Result<Connection> connection = Connection::open(path, Connection::Mode::read_only, kBusyTimeout);
  if (connection.has_error()) return connection.error();
  // Of its cache nothing is asked twice.
  if (const Result<> set = connection->execute("PRAGMA cache_size = -2048"); set.has_error()) {
    return set.error();
  }
  const Result<std::int64_t> version = check_version(*connection);
  if (version.has_error()) return version.error();
  Inspection inspection(std::move(*connection));
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
      mistake = statement->text_at(0);
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

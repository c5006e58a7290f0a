#include "store/foreign_names.h"

#include <optional>

#include <fmt/format.h>

namespace streamobs::store {

namespace {

/// What bears a name: a table, a view, an index.
struct Bearer {
  std::string type;
  std::string sql;
};

Result<std::optional<Bearer>> bearer_of(const Connection& connection, const std::string& name) {
  Result<Statement> select = connection.prepare(
      "SELECT type, coalesce(sql, '') FROM sqlite_master WHERE name = ?1 COLLATE NOCASE AND type "
      "<> 'trigger'");  // Triggers have names of their own.
  if (select.has_error()) return select.error();
  select->bind(1, std::string_view(name));
  const Result<bool> row = select->step();
  if (row.has_error()) return row.error();
  if (!*row) return std::optional<Bearer>();
  return std::optional<Bearer>({select->text_at(0), select->text_at(1)});
}

Error in_the_way(const Connection& connection, const Bearer& bearer, const std::string& name,
                 const std::string& whose) {
  const Result<std::string> path =
      connection.query_text("SELECT file FROM pragma_database_list WHERE name = 'main'");
  return fail(ErrorCode::invalid,
              fmt::format("the database {} has {} {} \"{}\" that is not of streamobs's making, and "
                          "{} needs that name. Rename or drop it there, or call the {} otherwise",
                          path.has_value() ? *path : "", bearer.type == "index" ? "an" : "a",
                          bearer.type, name, whose, whose.substr(0, whose.find(' '))));
}

}  // namespace

Result<> drop_own_view(const Connection& connection, const std::string& name,
                       const std::string& whose) {
  const auto bearer = bearer_of(connection, name);
  if (bearer.has_error()) return bearer.error();
  if (!bearer->has_value()) return {};
  // A window's view reads the window's table, a united one bears its mark (united_view.cpp).
  const std::string& sql = (*bearer)->sql;
  const bool ours = (*bearer)->type == "view" && (sql.find("FROM \"window_") != std::string::npos ||
                                                  sql.find("/* streamobs: ") != std::string::npos);
  if (!ours) return in_the_way(connection, **bearer, name, whose);
  return connection.execute("DROP VIEW " + quoted(name));
}

Result<bool> has_own_table(const Connection& connection, const std::string& name,
                           const std::string& whose) {
  const auto bearer = bearer_of(connection, name);
  if (bearer.has_error()) return bearer.error();
  if (!bearer->has_value()) return false;
  Result<Statement> columns = connection.prepare(
      "SELECT count(*) FROM pragma_table_info(?1) WHERE name IN ('window_start', '_key', 'closed', "
      "'revision')");
  if (columns.has_error()) return columns.error();
  columns->bind(1, std::string_view(name));
  const Result<bool> row = columns->step();
  if (row.has_error()) return row.error();
  const bool ours = (*bearer)->type == "table" && columns->int_at(0) == 4;
  if (!ours) return in_the_way(connection, **bearer, name, whose);
  return true;
}

}  // namespace streamobs::store

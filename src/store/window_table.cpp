#include "store/window_table.h"

#include <map>
#include <optional>

#include <fmt/format.h>

#include "base/decimal.h"
#include "base/log.h"

namespace streamobs::store {

namespace {

/// The declared type doubles as our note of the column's exact type: SQLite keeps it as written and
/// takes its affinity from it.
std::string column_type(DataType type) {
  switch (type.kind) {
    case Kind::boolean: return "BOOLEAN INTEGER";
    case Kind::integer: return "INTEGER";
    case Kind::decimal: return fmt::format("DECIMAL_{} INTEGER", type.scale);
    case Kind::floating: return "REAL";
    case Kind::timestamp: return "TIMESTAMP INTEGER";
    case Kind::interval: return "INTERVAL INTEGER";
    default: return "TEXT";
  }
}

void bind_value(Statement& statement, int i, const Value& value) {
  if (value.null) {
    statement.bind_null(i);
  } else if (is_text(value.type.kind)) {
    statement.bind(i, std::string_view(value.text));
  } else if (value.type.kind == Kind::floating) {
    statement.bind(i, value.floating);
  } else {
    statement.bind(i, value.integer);
  }
}

Value value_at(const Statement& statement, int column, DataType type) {
  Value value = Value::of_null(type);
  if (statement.is_null(column)) return value;
  value.null = false;
  if (is_text(type.kind)) {
    value.text = statement.text_at(column);
  } else if (type.kind == Kind::floating) {
    value.floating = statement.float_at(column);
  } else {
    value.integer = statement.int_at(column);
  }
  return value;
}

/// How a column shows in the view: times as text, decimals as numbers.
std::string shown(const std::string& name, DataType type) {
  const std::string column = quoted(name);
  switch (type.kind) {
    case Kind::timestamp: return time_sql(column) + " AS " + column;
    case Kind::decimal:
      if (type.scale == 0) return column;
      // Correctly rounded for up to 15 digits, which is what a SQLite number can hold.
      return fmt::format("({} / {}.0) AS {}", column, power_of_ten(type.scale), column);
    default: return column;
  }
}

/// A group's identity in the primary key: every value with its length, so that no two groups meet;
/// NULL is unlike the empty string, and the overflow group unlike a key of that name.
void encode_key(const WindowRow& row, std::string& out) {
  out.clear();
  if (row.overflow) {
    out = "*";
    return;
  }
  for (const Value& key : row.keys) {
    if (key.null) {
      out += "n;";
      continue;
    }
    const std::string text = key.to_string();
    fmt::format_to(std::back_inserter(out), "{}:{};", text.size(), text);
  }
}

}  // namespace

std::string time_sql(const std::string& column) {
  // Whole seconds as strftime has them; microseconds only where there are some.
  return fmt::format(
      "(strftime('%Y-%m-%dT%H:%M:%S', ({0} - (({0} % 1000000) + 1000000) % 1000000) / 1000000, "
      "'unixepoch') || CASE WHEN {0} % 1000000 = 0 THEN 'Z' ELSE rtrim(printf('.%06d', (({0} % "
      "1000000) + 1000000) % 1000000), '0') || 'Z' END)",
      column);
}

Result<bool> WindowTable::fits(const Connection& connection,
                               std::vector<const ResultColumn*>& missing) const {
  std::map<std::string, std::string> there;
  std::size_t keys_there = 0;
  Result<Statement> info =
      connection.prepare(fmt::format("SELECT name, type FROM pragma_table_info({})", quoted(table())));
  if (info.has_error()) return info.error();
  while (true) {
    const Result<bool> row = info->step();
    if (row.has_error()) return row.error();
    if (!*row) break;
    there[info->text_at(0)] = info->text_at(1);
    if (info->text_at(0).starts_with("key.")) ++keys_there;
  }
  if (there.empty()) return false;
  if (keys_there != schema_->keys.size()) return false;
  for (const ResultColumn& key : schema_->keys) {
    const auto column = there.find("key." + key.name);
    if (column == there.end() || column->second != column_type(key.type)) return false;
  }
  for (const ResultColumn& metric : schema_->metrics) {
    const auto column = there.find(metric.name);
    if (column == there.end()) {
      missing.push_back(&metric);
    } else if (column->second != column_type(metric.type)) {
      return false;
    }
  }
  return true;
}

Result<> WindowTable::set_aside(const Connection& connection) const {
  for (int n = 1;; ++n) {
    const std::string name = fmt::format("{}_old{}", table(), n);
    const auto taken = connection.query_int(
        fmt::format("SELECT count(*) FROM sqlite_master WHERE name = '{}'", name));
    if (taken.has_error()) return taken.error();
    if (*taken != 0) continue;
    log::warn("the keys or types of a window have changed; its earlier rows are kept in a table "
              "of their own",
              {{"window", schema_->window}, {"table", name}});
    return connection.execute(
        fmt::format("ALTER TABLE {} RENAME TO {}", quoted(table()), quoted(name)));
  }
}

std::string WindowTable::create_view_sql() const {
  std::string columns = time_sql("window_start") + " AS window_start, " + time_sql("window_end") +
                        " AS window_end";
  for (const ResultColumn& key : schema_->keys) {
    std::string column = shown("key." + key.name, key.type);
    if (column.find(" AS ") != std::string::npos) column.resize(column.rfind(" AS "));
    columns += ", " + column + " AS " + quoted(key.name);
  }
  for (const ResultColumn& metric : schema_->metrics) columns += ", " + shown(metric.name, metric.type);
  return fmt::format("CREATE VIEW {} AS SELECT {}, closed, revision FROM {}",
                     quoted(schema_->window), columns, quoted(table()));
}

Result<> WindowTable::create(const Connection& connection) {
  std::vector<const ResultColumn*> missing;
  const auto exists = connection.query_int(
      fmt::format("SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = '{}'", table()));
  if (exists.has_error()) return exists.error();
  bool create_table = *exists == 0;
  std::string sql = fmt::format("DROP VIEW IF EXISTS {};", quoted(schema_->window));
  if (const Result<> dropped = connection.execute(sql); dropped.has_error()) return dropped;
  if (!create_table) {
    const Result<bool> good = fits(connection, missing);
    if (good.has_error()) return good.error();
    if (!*good) {
      missing.clear();
      create_table = true;
      if (const Result<> aside = set_aside(connection); aside.has_error()) return aside;
    }
  }
  sql.clear();
  if (create_table) {
    sql = fmt::format(
        "CREATE TABLE {} (window_start INTEGER NOT NULL, _key TEXT NOT NULL, "
        "window_end INTEGER NOT NULL, closed INTEGER NOT NULL, revision INTEGER NOT NULL, "
        "overflow INTEGER NOT NULL, state BLOB",
        quoted(table()));
    for (const ResultColumn& key : schema_->keys) {
      sql += fmt::format(", {} {}", quoted("key." + key.name), column_type(key.type));
    }
    for (const ResultColumn& metric : schema_->metrics) {
      sql += fmt::format(", {} {}", quoted(metric.name), column_type(metric.type));
    }
    sql += ", PRIMARY KEY (window_start, _key)) WITHOUT ROWID;";
  }
  for (const ResultColumn* metric : missing) {
    sql += fmt::format("ALTER TABLE {} ADD COLUMN {} {};", quoted(table()), quoted(metric->name),
                       column_type(metric->type));
  }
  sql += create_view_sql();
  return connection.execute(sql);
}

Result<> WindowTable::prepare(const Connection& connection) {
  std::string names = "window_start, _key, window_end, closed, revision, overflow, state";
  std::string values = "?1, ?2, ?3, ?4, ?5, ?6, ?7";
  std::string updates =
      "window_end = excluded.window_end, closed = excluded.closed, revision = excluded.revision, "
      "state = excluded.state";
  int parameter = 8;
  const auto add = [&](const std::string& column) {
    names += ", " + quoted(column);
    values += fmt::format(", ?{}", parameter++);
  };
  for (const ResultColumn& key : schema_->keys) add("key." + key.name);
  for (const ResultColumn& metric : schema_->metrics) {
    add(metric.name);
    updates += fmt::format(", {0} = excluded.{0}", quoted(metric.name));
  }
  // The same row again changes nothing, a later revision replaces an earlier one, and what was
  // closed is not opened again by a row of the same revision.
  const std::string sql = fmt::format(
      "INSERT INTO {0} ({1}) VALUES ({2}) ON CONFLICT (window_start, _key) DO UPDATE SET {3} "
      "WHERE (excluded.revision, excluded.closed) >= ({0}.revision, {0}.closed)",
      quoted(table()), names, values, updates);
  Result<Statement> statement = connection.prepare(sql);
  if (statement.has_error()) return statement.error();
  upsert_ = std::move(*statement);
  return {};
}

Result<> WindowTable::write(const WindowRow& row) {
  encode_key(row, key_buffer_);
  upsert_.bind(1, row.start);
  upsert_.bind(2, std::string_view(key_buffer_));
  upsert_.bind(3, row.end);
  upsert_.bind(4, std::int64_t{row.closed});
  upsert_.bind(5, std::int64_t{row.revision});
  upsert_.bind(6, std::int64_t{row.overflow});
  upsert_.bind_blob(7, row.state);
  int parameter = 8;
  for (const Value& key : row.keys) bind_value(upsert_, parameter++, key);
  for (const Value& metric : row.metrics) bind_value(upsert_, parameter++, metric);
  return upsert_.run();
}

Result<std::vector<WindowRow>> WindowTable::rows(const Connection& connection,
                                                 const WindowQuery& query) const {
  std::string where = "1";
  if (query.from) where += fmt::format(" AND window_start >= {}", *query.from);
  if (query.to) where += fmt::format(" AND window_start < {}", *query.to);
  std::string filters;
  int parameter = 0;
  for (const auto& [name, value] : query.keys) {
    std::optional<DataType> type;
    for (const ResultColumn& key : schema_->keys) {
      if (key.name == name) type = key.type;
    }
    if (!type) return fail(ErrorCode::invalid, fmt::format("'{}' is not a key of this window", name));
    ++parameter;
    const std::string column = quoted("key." + name);
    switch (type->kind) {
      case Kind::boolean:
        filters += fmt::format(" AND CASE {} WHEN 1 THEN 'true' ELSE 'false' END = ?{}", column, parameter);
        break;
      case Kind::timestamp: filters += fmt::format(" AND {} = ?{}", time_sql(column), parameter); break;
      case Kind::decimal:
        filters += fmt::format(" AND {} = round(CAST(?{} AS REAL) * {})", column, parameter,
                               power_of_ten(type->scale));
        break;
      case Kind::floating: filters += fmt::format(" AND {} = CAST(?{} AS REAL)", column, parameter); break;
      default: filters += fmt::format(" AND CAST({} AS TEXT) = ?{}", column, parameter);
    }
  }
  if (query.windows) {
    // The newest N windows that have a row under these very filters.
    where += fmt::format(
        " AND window_start >= coalesce((SELECT min(window_start) FROM (SELECT DISTINCT window_start "
        "FROM {} WHERE {}{} ORDER BY window_start DESC LIMIT {})), -9223372036854775808)",
        quoted(table()), where, filters, *query.windows);
  }
  std::string columns = "window_start, window_end, closed, revision, overflow";
  for (const ResultColumn& key : schema_->keys) columns += ", " + quoted("key." + key.name);
  for (const ResultColumn& metric : schema_->metrics) columns += ", " + quoted(metric.name);
  std::string order = "window_start DESC, overflow";
  for (const ResultColumn& key : schema_->keys) order += ", " + quoted("key." + key.name);
  Result<Statement> select =
      connection.prepare(fmt::format("SELECT {} FROM {} WHERE {}{} ORDER BY {} LIMIT {}", columns,
                                     quoted(table()), where, filters, order, query.limit));
  if (select.has_error()) return select.error();
  for (std::size_t i = 0; i < query.keys.size(); ++i) {
    select->bind(static_cast<int>(i) + 1, std::string_view(query.keys[i].second));
  }
  std::vector<WindowRow> rows;
  while (true) {
    const Result<bool> more = select->step();
    if (more.has_error()) return more.error();
    if (!*more) return rows;
    WindowRow row;
    row.start = select->int_at(0);
    row.end = select->int_at(1);
    row.closed = select->int_at(2) != 0;
    row.revision = static_cast<std::uint32_t>(select->int_at(3));
    row.overflow = select->int_at(4) != 0;
    int column = 5;  // The state stays where it is: nobody who reads rows needs it.

    for (const ResultColumn& key : schema_->keys) row.keys.push_back(value_at(*select, column++, key.type));
    for (const ResultColumn& metric : schema_->metrics) {
      row.metrics.push_back(value_at(*select, column++, metric.type));
    }
    rows.push_back(std::move(row));
  }
}

}  // namespace streamobs::store

// How a window's table and view are made, and an older table is brought to the schema.
#include <map>
#include <utility>

#include <fmt/format.h>

#include "base/decimal.h"
#include "base/log.h"
#include "event/result_json.h"
#include "store/foreign_names.h"
#include "store/window_table.h"

namespace streamobs::store {

namespace {

/// The declared type doubles as our note of the column's exact type: SQLite keeps it as written and
/// takes its affinity from it.
std::string column_type(DataType type) {
  switch (type.kind) {
    case Kind::boolean:
      return "BOOLEAN INTEGER";
    case Kind::integer:
      return "INTEGER";
    case Kind::decimal:
      return fmt::format("DECIMAL_{} INTEGER", type.scale);
    case Kind::floating:
      return "REAL";
    case Kind::timestamp:
      return "TIMESTAMP INTEGER";
    case Kind::interval:
      return "INTERVAL INTEGER";
    default:
      return "TEXT";
  }
}

/// How windows of one size follow one another.
std::string shape_of(const WindowSchema& schema) {
  if (schema.gap != 0) return fmt::format("gap {}", schema.gap);
  return fmt::format("step {}", schema.step());
}

/// What the view shows for a column: times as text, decimals as numbers.
std::string shown(const std::string& column, DataType type) {
  switch (type.kind) {
    case Kind::timestamp:
      return time_sql(column);
    case Kind::decimal:
      // The double nearest to the exact value, up to 2^53 units; the table has every digit.
      return type.scale == 0 ? column
                             : fmt::format("({} / {}.0)", column, power_of_ten(type.scale));
    default:
      return column;
  }
}

Result<bool> has_table(const Connection& connection, const std::string& name) {
  const Result<std::int64_t> count = connection.query_int(
      fmt::format("SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = {} "
                  "COLLATE NOCASE",
                  quoted_text(name)));
  if (count.has_error()) return count.error();
  return *count != 0;
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

std::string key_column(const ResultColumn& key) {
  return quoted("key." + key.name);
}

Result<std::vector<ResultColumn>> WindowTable::missing_metrics(const Connection& connection,
                                                               bool& fits) const {
  std::map<std::string, std::string, NameLess> there;
  std::string keys_there;
  Result<Statement> info = connection.prepare("SELECT name, type FROM pragma_table_info(?1)");
  if (info.has_error()) return info.error();
  const std::string name = table();
  info->bind(1, std::string_view(name));
  while (true) {
    const Result<bool> row = info->step();
    if (row.has_error()) return row.error();
    if (!*row) break;
    there[info->text_at(0)] = info->text_at(1);
    if (info->text_at(0).starts_with("key.")) {
      keys_there += info->text_at(0) + ' ' + info->text_at(1) + ',';
    }
  }
  // The keys' order counts: a group's identity is made of their values in this order.
  std::string keys_wanted;
  for (const ResultColumn& key : schema_->keys) {
    keys_wanted += "key." + key.name + ' ' + column_type(key.type) + ',';
  }
  fits = keys_there == keys_wanted;
  std::vector<ResultColumn> missing;
  for (const ResultColumn& metric : schema_->metrics) {
    const auto column = there.find(metric.name);
    if (column == there.end()) {
      missing.push_back(metric);
    } else if (column->second != column_type(metric.type)) {
      fits = false;
    }
  }
  // Windows of another size would stand among the old ones, and over those that start as they do.
  const Result<std::int64_t> other_size = connection.query_int(
      fmt::format("SELECT count(*) FROM streamobs_window WHERE name = {} AND (size <> {} OR "
                  "shape NOT IN ('', {}))",
                  quoted_text(schema_->window), schema_->size, quoted_text(shape_of(*schema_))));
  if (other_size.has_error()) return other_size.error();
  if (*other_size != 0) fits = false;
  return missing;
}

Result<> WindowTable::keep_old(const Connection& connection) const {
  for (int n = 1;; ++n) {
    // No window and no window's table can have a name that begins so.
    const std::string of = resolution_ == Resolution::raw ? schema_->window : table().substr(10);
    const std::string name = fmt::format("streamobs_old_{}_{}", of, n);
    const Result<bool> taken = has_table(connection, name);
    if (taken.has_error()) return taken.error();
    if (*taken) continue;
    log::warn(
        "the keys, a type or the size (hop, gap) of a window has changed; its earlier rows are "
        "kept in a table of their own",
        {{"window", schema_->window}, {"table", name}});
    return connection.execute(
        fmt::format("ALTER TABLE {} RENAME TO {}", quoted(table()), quoted(name)));
  }
}

std::string WindowTable::create_table_sql() const {
  std::string sql = fmt::format(
      "CREATE TABLE {} (window_start INTEGER NOT NULL, _key TEXT NOT NULL, "
      "window_end INTEGER NOT NULL, closed INTEGER NOT NULL, revision INTEGER NOT NULL, "
      "overflow INTEGER NOT NULL",
      quoted(table()));
  for (const ResultColumn& key : schema_->keys) {
    sql += fmt::format(", {} {}", key_column(key), column_type(key.type));
  }
  for (const ResultColumn& metric : schema_->metrics) {
    sql += fmt::format(", {} {}", quoted(metric.name), column_type(metric.type));
  }
  // The state last: a long one spills over to other pages, and what is read stands before it.
  return sql + ", state BLOB, PRIMARY KEY (window_start, _key)) WITHOUT ROWID;";
}

std::string WindowTable::create_view_sql() const {
  std::string columns = fmt::format("{} AS window_start, {} AS window_end",
                                    time_sql("window_start"), time_sql("window_end"));
  for (const ResultColumn& key : schema_->keys) {
    columns += fmt::format(", iif(overflow, '{}', {}) AS {}", kOverflowKey,
                           shown(key_column(key), key.type), quoted(key.name));
  }
  for (const ResultColumn& metric : schema_->metrics) {
    columns +=
        fmt::format(", {} AS {}", shown(quoted(metric.name), metric.type), quoted(metric.name));
  }
  return fmt::format("CREATE VIEW {} AS SELECT {}, closed, revision FROM {};",
                     quoted(schema_->window), columns, quoted(table()));
}

Result<> WindowTable::create(const Connection& connection) {
  const std::string whose = "window " + schema_->window;
  if (resolution_ == Resolution::raw) {
    const Result<> dropped = drop_own_view(connection, schema_->window, whose);
    if (dropped.has_error()) return dropped;
  }
  Result<bool> exists = has_own_table(connection, table(), whose);
  if (exists.has_error()) return exists.error();
  std::string sql;
  if (*exists) {
    bool fits = false;
    const Result<std::vector<ResultColumn>> missing = missing_metrics(connection, fits);
    if (missing.has_error()) return missing.error();
    if (!fits) {
      if (const Result<> kept = keep_old(connection); kept.has_error()) return kept;
      exists = false;
    } else {
      for (const ResultColumn& metric : *missing) {
        sql += fmt::format("ALTER TABLE {} ADD COLUMN {} {};", quoted(table()), quoted(metric.name),
                           column_type(metric.type));
      }
    }
  }
  if (!*exists) {
    sql += create_table_sql();
    for (const char* noted : {"streamobs_progress", "streamobs_retention"}) {
      sql += fmt::format("DELETE FROM {} WHERE name = {};", noted, quoted_text(table()));
    }
  }
  if (resolution_ != Resolution::raw) return connection.execute(sql);
  sql += fmt::format(
      "INSERT OR REPLACE INTO streamobs_window (name, size, shape) VALUES ({}, {}, {});",
      quoted_text(schema_->window), schema_->size, quoted_text(shape_of(*schema_)));
  return connection.execute(sql + create_view_sql());
}

}  // namespace streamobs::store

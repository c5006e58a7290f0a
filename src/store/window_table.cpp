#include "store/window_table.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/decimal.h"
#include "base/duration.h"
#include "base/log.h"
#include "event/result_json.h"

namespace streamobs::store {

namespace {

/// Columns before the keys in what select() asks for.
constexpr int kFixedColumns = 5;

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

std::string key_column(const ResultColumn& key) {
  return quoted("key." + key.name);
}

/// The value of a type whose text form this is; none where no value reads so.
std::optional<Value> value_of_text(DataType type, const std::string& text) {
  Value value = Value::of_null(type);
  value.null = false;
  const char* end = text.data() + text.size();
  if (is_text(type.kind)) {
    value.text = text;
  } else if (type.kind == Kind::boolean) {
    value.integer = text == "true" ? 1 : 0;
  } else if (type.kind == Kind::floating) {
    if (std::from_chars(text.data(), end, value.floating).ec != std::errc()) return std::nullopt;
  } else if (type.kind == Kind::interval) {
    const Result<Duration> duration = parse_duration(text);
    if (duration.has_error()) return std::nullopt;
    value.integer = *duration;
  } else {
    std::string digits = text;
    if (type.kind == Kind::decimal) std::erase(digits, '.');
    end = digits.data() + digits.size();
    if (std::from_chars(digits.data(), end, value.integer).ec != std::errc()) return std::nullopt;
  }
  // Anything read loosely above does not come out the same.
  if (value.to_string() != text) return std::nullopt;
  return value;
}

/// SQL that holds where a key's text form is the parameter's, as the API compares open windows.
std::string key_filter(const ResultColumn& key, const std::string& wanted, int parameter,
                       Value& bound) {
  bound = Value::of_string(wanted);
  std::string same;
  if (key.type.kind == Kind::timestamp) {
    same = fmt::format("{} = ?{}", time_sql(key_column(key)), parameter);
  } else if (std::optional<Value> value = value_of_text(key.type, wanted)) {
    bound = std::move(*value);
    same = fmt::format("{} = ?{}", key_column(key), parameter);
  } else {
    same = fmt::format("?{} IS NULL", parameter);  // No value reads so: no row.
  }
  const char* overflow = wanted == kOverflowKey ? "overflow OR" : "NOT overflow AND";
  return fmt::format(" AND ({} {})", overflow, same);
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

std::string WindowTable::table() const {
  if (resolution_ == Resolution::raw) return "window_" + schema_->window;
  // No window and no window's table can have a name that begins so.
  return fmt::format("streamobs_{}_{}", to_text(resolution_), schema_->window);
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
  if (resolution_ == Resolution::raw) {
    const Result<> dropped =
        connection.execute(fmt::format("DROP VIEW IF EXISTS {}", quoted(schema_->window)));
    if (dropped.has_error()) return dropped;
  }
  Result<bool> exists = has_table(connection, table());
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
  std::string sql = fmt::format(
      "INSERT INTO {0} ({1}) VALUES ({2}) ON CONFLICT (window_start, _key) DO UPDATE SET {3}",
      quoted(table()), names, values, updates);
  // Merged rows are read, added to and written back: one that turns out to lack a part loses the
  // figures it had.
  if (resolution_ == Resolution::raw) {
    sql += fmt::format(" WHERE (excluded.revision, excluded.closed) >= ({0}.revision, {0}.closed)",
                       quoted(table()));
  }
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

Result<WindowTable::Condition> WindowTable::condition_of(const WindowQuery& query) const {
  Condition condition;
  std::string filters;
  for (const auto& [name, wanted] : query.keys) {
    const std::string& key_name = name;
    const auto same = [&key_name](const ResultColumn& key) { return key.name == key_name; };
    const auto key = std::find_if(schema_->keys.begin(), schema_->keys.end(), same);
    if (key == schema_->keys.end()) {
      return fail(ErrorCode::invalid,
                  fmt::format("'{}' is not a key of window {}", name, schema_->window));
    }
    const int parameter = static_cast<int>(condition.bound.size()) + 1;
    filters += key_filter(*key, wanted, parameter, condition.bound.emplace_back());
  }
  std::string where = "1";
  if (query.from) where += fmt::format(" AND window_start >= {}", *query.from);
  if (query.to) where += fmt::format(" AND window_start < {}", *query.to);
  condition.where = where + filters;
  if (query.windows) {
    // The newest N windows that have a row under these very filters.
    condition.where += fmt::format(
        " AND window_start >= coalesce((SELECT min(window_start) FROM (SELECT DISTINCT "
        "window_start "
        "FROM {} WHERE {}{} ORDER BY window_start DESC LIMIT {})), -9223372036854775808)",
        quoted(table()), where, filters, row_limit(*query.windows));
  }
  return condition;
}

Result<Statement> WindowTable::select(const Connection& connection, const std::string& columns,
                                      const Condition& condition, const std::string& behind) const {
  std::string all = "window_start, window_end, closed, revision, overflow";
  for (const ResultColumn& key : schema_->keys) all += ", " + key_column(key);
  Result<Statement> select = connection.prepare(fmt::format(
      "SELECT {}{} FROM {} WHERE {} {}", all, columns, quoted(table()), condition.where, behind));
  if (select.has_error()) return select.error();
  for (std::size_t i = 0; i < condition.bound.size(); ++i) {
    bind_value(*select, static_cast<int>(i) + 1, condition.bound[i]);
  }
  return select;
}

/// What select() asks for whatever the columns behind it are.
WindowRow WindowTable::row_at(const Statement& select) const {
  WindowRow row;
  row.start = select.int_at(0);
  row.end = select.int_at(1);
  row.closed = select.int_at(2) != 0;
  row.revision = static_cast<std::uint32_t>(select.int_at(3));
  row.overflow = select.int_at(4) != 0;
  int column = kFixedColumns;
  for (const ResultColumn& key : schema_->keys) {
    row.keys.push_back(value_at(select, column++, key.type));
  }
  return row;
}

std::string WindowTable::metric_columns() const {
  std::string columns;
  for (const ResultColumn& metric : schema_->metrics) columns += ", " + quoted(metric.name);
  return columns;
}

/// Where metric_columns() are what stands behind.
void WindowTable::read_metrics(const Statement& select, WindowRow& row) const {
  int column = kFixedColumns + static_cast<int>(schema_->keys.size());
  for (const ResultColumn& metric : schema_->metrics) {
    row.metrics.push_back(value_at(select, column++, metric.type));
  }
}

Result<std::vector<WindowRow>> WindowTable::rows(const Connection& connection,
                                                 const WindowQuery& query) const {
  const Result<Condition> condition = condition_of(query);
  if (condition.has_error()) return condition.error();
  std::string order = "ORDER BY window_start DESC, overflow";
  for (const ResultColumn& key : schema_->keys) order += ", " + key_column(key);
  // The state stays where it is: nobody who reads rows needs it.
  Result<Statement> select =
      this->select(connection, metric_columns(), *condition,
                   fmt::format("{} LIMIT {}", order, row_limit(query.limit)));
  if (select.has_error()) return select.error();
  return rows_with_metrics(*select);
}

Result<> WindowTable::scan(const Connection& connection, const WindowQuery& query,
                           const OnRow& on_row) const {
  WindowQuery of_all = query;
  of_all.windows.reset();
  const Result<Condition> condition = condition_of(of_all);
  if (condition.has_error()) return condition.error();
  // In the primary key's own order, so that nothing is sorted and little is in memory.
  Result<Statement> select = this->select(connection, metric_columns() + ", state", *condition,
                                          "ORDER BY window_start DESC, _key DESC");
  if (select.has_error()) return select.error();
  const int state =
      kFixedColumns + static_cast<int>(schema_->keys.size() + schema_->metrics.size());
  while (true) {
    const Result<bool> more = select->step();
    if (more.has_error()) return more.error();
    if (!*more) return {};
    WindowRow row = row_at(*select);
    read_metrics(*select, row);
    row.state = select->blob_at(state);
    if (!on_row(row)) return {};
  }
}

std::string WindowTable::key_of(const WindowRow& row) {
  std::string key;
  encode_key(row, key);
  return key;
}

Result<std::vector<WindowRow>> WindowTable::rows_behind(const Connection& connection,
                                                        Timestamp start, const std::string& key,
                                                        Timestamp before, std::size_t limit) const {
  const Condition condition = condition_behind(start, key, before);
  Result<Statement> select =
      this->select(connection, ", state", condition,
                   fmt::format("ORDER BY window_start, _key LIMIT {}", row_limit(limit)));
  if (select.has_error()) return select.error();
  return rows_with_state(*select);
}

Result<std::vector<WindowRow>> WindowTable::results_behind(const Connection& connection,
                                                           Timestamp start, const std::string& key,
                                                           Timestamp before,
                                                           std::size_t limit) const {
  const Condition condition = condition_behind(start, key, before);
  Result<Statement> select =
      this->select(connection, metric_columns(), condition,
                   fmt::format("ORDER BY window_start, _key LIMIT {}", row_limit(limit)));
  if (select.has_error()) return select.error();
  return rows_with_metrics(*select);
}

WindowTable::Condition WindowTable::condition_behind(Timestamp start, const std::string& key,
                                                     Timestamp before) {
  Condition condition;
  condition.where =
      fmt::format("(window_start, _key) > ({}, ?1) AND window_start < {}", start, before);
  condition.bound.push_back(Value::of_string(key));
  return condition;
}

Result<std::optional<WindowRow>> WindowTable::find(const Connection& connection, Timestamp start,
                                                   const std::string& key) const {
  Condition condition;
  condition.where = fmt::format("window_start = {} AND _key = ?1", start);
  condition.bound.push_back(Value::of_string(key));
  Result<Statement> select = this->select(connection, ", state", condition, "");
  if (select.has_error()) return select.error();
  Result<std::vector<WindowRow>> rows = rows_with_state(*select);
  if (rows.has_error()) return rows.error();
  std::optional<WindowRow> found;
  if (!rows->empty()) found = std::move(rows->front());
  return found;
}

Result<std::vector<WindowRow>> WindowTable::rows_with_metrics(Statement& select) const {
  std::vector<WindowRow> rows;
  while (true) {
    const Result<bool> more = select.step();
    if (more.has_error()) return more.error();
    if (!*more) return rows;
    rows.push_back(row_at(select));
    read_metrics(select, rows.back());
  }
}

Result<std::vector<WindowRow>> WindowTable::rows_with_state(Statement& select) const {
  const int state = kFixedColumns + static_cast<int>(schema_->keys.size());
  std::vector<WindowRow> rows;
  while (true) {
    const Result<bool> more = select.step();
    if (more.has_error()) return more.error();
    if (!*more) return rows;
    rows.push_back(row_at(select));
    rows.back().state = select.blob_at(state);
  }
}

Result<std::size_t> WindowTable::remove(const Connection& connection, Timestamp from, Timestamp to,
                                        std::size_t limit) const {
  Result<Statement> statement = connection.prepare(fmt::format(
      "DELETE FROM {0} WHERE (window_start, _key) IN (SELECT window_start, _key FROM {0} WHERE "
      "window_start >= ?1 AND window_start < ?2 ORDER BY window_start, _key LIMIT ?3)",
      quoted(table())));
  if (statement.has_error()) return statement.error();
  statement->bind(1, from);
  statement->bind(2, to);
  statement->bind(3, row_limit(limit));
  const Result<std::int64_t> removed = statement->run_counted();
  if (removed.has_error()) return removed.error();
  return static_cast<std::size_t>(*removed);
}

Result<Timestamp> WindowTable::newest_end(const Connection& connection) const {
  Result<Statement> select = connection.prepare(
      fmt::format("SELECT window_end FROM {} ORDER BY window_start DESC LIMIT 1", quoted(table())));
  if (select.has_error()) return select.error();
  const Result<bool> any = select->step();
  if (any.has_error()) return any.error();
  return *any ? select->int_at(0) : kMinTimestamp;
}

}  // namespace streamobs::store

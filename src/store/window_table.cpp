#include "store/window_table.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/duration.h"
#include "event/result_json.h"

namespace streamobs::store {

namespace {

/// Columns before the keys in what select() asks for.
constexpr int kFixedColumns = 5;

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

}  // namespace

std::string WindowTable::table() const {
  if (resolution_ == Resolution::raw) return "window_" + schema_->window;
  // No window and no window's table can have a name that begins so.
  return fmt::format("streamobs_{}_{}", to_text(resolution_), schema_->window);
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
  Condition wanted = *condition;
  if (query.latest) {
    wanted.where += fmt::format(
        " AND (window_start, _key) IN (SELECT max(window_start), _key FROM {} WHERE {} GROUP BY "
        "_key)",
        quoted(table()), condition->where);
  }
  std::string order = "ORDER BY window_start DESC, overflow";
  for (const ResultColumn& key : schema_->keys) order += ", " + key_column(key);
  // The state stays where it is: nobody who reads rows needs it.
  Result<Statement> select =
      this->select(connection, metric_columns(), wanted,
                   fmt::format("{} LIMIT {}", order, row_limit(query.limit)));
  if (select.has_error()) return select.error();
  return rows_with_metrics(*select);
}

Result<std::vector<Timestamp>> WindowTable::starts(const Connection& connection,
                                                   const WindowQuery& query) const {
  WindowQuery of_all = query;
  of_all.windows.reset();
  const Result<Condition> condition = condition_of(of_all);
  if (condition.has_error()) return condition.error();
  Result<Statement> select = connection.prepare(fmt::format(
      "SELECT DISTINCT window_start FROM {} WHERE {} ORDER BY window_start DESC LIMIT "
      "{}",
      quoted(table()), condition->where, row_limit(query.windows.value_or(query.limit))));
  if (select.has_error()) return select.error();
  for (std::size_t i = 0; i < condition->bound.size(); ++i) {
    bind_value(*select, static_cast<int>(i) + 1, condition->bound[i]);
  }
  std::vector<Timestamp> starts;
  while (true) {
    const Result<bool> more = select->step();
    if (more.has_error()) return more.error();
    if (!*more) return starts;
    starts.push_back(select->int_at(0));
  }
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

Result<Timestamp> WindowTable::newest_start(const Connection& connection) const {
  return of_newest(connection, "window_start");
}

Result<Timestamp> WindowTable::newest_end(const Connection& connection) const {
  return of_newest(connection, "window_end");
}

Result<Timestamp> WindowTable::of_newest(const Connection& connection,
                                         std::string_view column) const {
  Result<Statement> select = connection.prepare(
      fmt::format("SELECT {} FROM {} ORDER BY window_start DESC LIMIT 1", column, quoted(table())));
  if (select.has_error()) return select.error();
  const Result<bool> any = select->step();
  if (any.has_error()) return any.error();
  return *any ? select->int_at(0) : kMinTimestamp;
}

}  // namespace streamobs::store

// One window's table and view: how result rows become columns, and back.
//
// Made when the database is opened; its statements belong to the writing connection.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "event/window_result.h"
#include "store/query.h"
#include "store/sqlite.h"

namespace streamobs::store {

/// SQL that shows a column of microseconds as RFC 3339 text.
std::string time_sql(const std::string& column);
/// The column of a window's table that has a key's values, quoted.
std::string key_column(const ResultColumn& key);

class WindowTable {
 public:
  explicit WindowTable(std::shared_ptr<const WindowSchema> schema,
                       Resolution resolution = Resolution::raw)
      : schema_(std::move(schema)), resolution_(resolution) {}

  const WindowSchema& schema() const { return *schema_; }
  std::string table() const;
  /// A group's identity in the primary key.
  static std::string key_of(const WindowRow& row);

  /// Creates the table and (of windows as they closed) its view, or brings an older table to the
  /// schema: new metrics become new columns; where the keys, a type or the window's size changed,
  /// the old table is kept under another name. Within the caller's transaction.
  Result<> create(const Connection& connection);
  Result<> prepare(const Connection& connection);
  /// Inserts or replaces; within the caller's transaction.
  Result<> write(const WindowRow& row);

  Result<std::vector<WindowRow>> rows(const Connection& connection, const WindowQuery& query) const;
  /// Of the windows that have a row of the query the newest `windows`, newest first.
  Result<std::vector<Timestamp>> starts(const Connection& connection,
                                        const WindowQuery& query) const;
  /// Gives each row of the query, its accumulators too, to `on_row`, which says whether to go on.
  /// Newest windows first, whatever is the order within one; `windows` and `limit` are not looked
  /// at.
  using OnRow = std::function<bool(const WindowRow& row)>;
  Result<> scan(const Connection& connection, const WindowQuery& query, const OnRow& on_row) const;
  /// The first rows behind that of (`start`, `key`), of windows that start before `before`, in the
  /// order of the primary key, their accumulators too but no metrics.
  Result<std::vector<WindowRow>> rows_behind(const Connection& connection, Timestamp start,
                                             const std::string& key, Timestamp before,
                                             std::size_t limit) const;
  /// The same with metrics and without accumulators.
  Result<std::vector<WindowRow>> results_behind(const Connection& connection, Timestamp start,
                                                const std::string& key, Timestamp before,
                                                std::size_t limit) const;
  Result<std::optional<WindowRow>> find(const Connection& connection, Timestamp start,
                                        const std::string& key) const;
  /// Removes at most `limit` rows of windows that start in [from, to), and says how many.
  Result<std::size_t> remove(const Connection& connection, Timestamp from, Timestamp to,
                             std::size_t limit) const;
  /// When the newest window there is begins, and ends; kMinTimestamp: there is none.
  Result<Timestamp> newest_start(const Connection& connection) const;
  Result<Timestamp> newest_end(const Connection& connection) const;

 private:
  Result<Timestamp> of_newest(const Connection& connection, std::string_view column) const;
  /// What a query's rows are: a condition, and the values of its parameters.
  struct Condition {
    std::string where;
    std::vector<Value> bound;
  };
  Result<Condition> condition_of(const WindowQuery& query) const;
  static Condition condition_behind(Timestamp start, const std::string& key, Timestamp before);
  /// Its texts are not copied: the condition must outlive the statement.
  Result<Statement> select(const Connection& connection, const std::string& columns,
                           const Condition& condition, const std::string& behind) const;
  Result<Statement> select(const Connection& connection, const std::string& columns,
                           Condition&& condition, const std::string& behind) const = delete;
  std::string metric_columns() const;
  void read_metrics(const Statement& select, WindowRow& row) const;
  WindowRow row_at(const Statement& select) const;
  /// Of a select() whose further columns are metric_columns().
  Result<std::vector<WindowRow>> rows_with_metrics(Statement& select) const;
  /// Of a select() whose further column is the state.
  Result<std::vector<WindowRow>> rows_with_state(Statement& select) const;
  /// The metrics that the table there is has no column for. `fits`: with those it will do.
  Result<std::vector<ResultColumn>> missing_metrics(const Connection& connection, bool& fits) const;
  Result<> keep_old(const Connection& connection) const;
  std::string create_table_sql() const;
  std::string create_view_sql() const;

  std::shared_ptr<const WindowSchema> schema_;
  Resolution resolution_;
  Statement upsert_;
  std::string key_buffer_;
};

}  // namespace streamobs::store

// SQLite's C interface with owners: a connection and its statements close themselves, and every
// failure comes back with SQLite's own words.
//
// A Connection and its Statements belong to one thread at a time; a Statement must not outlive its
// Connection.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

#include <sqlite3.h>

#include "base/clock.h"
#include "base/result.h"

namespace streamobs::store {

class Connection;

class Statement {
 public:
  Statement() = default;

  // Parameters count from 1. Text and blobs are not copied: they must live until reset().
  void bind_null(int i) { sqlite3_bind_null(get(), i); }
  void bind(int i, std::int64_t v) { sqlite3_bind_int64(get(), i, v); }
  void bind(int i, double v) { sqlite3_bind_double(get(), i, v); }
  void bind(int i, std::string_view v) {
    sqlite3_bind_text(get(), i, v.empty() ? "" : v.data(), static_cast<int>(v.size()),
                      SQLITE_STATIC);
  }
  void bind_blob(int i, std::string_view v) {
    sqlite3_bind_blob(get(), i, v.empty() ? "" : v.data(), static_cast<int>(v.size()),
                      SQLITE_STATIC);
  }

  /// Goes to the next row; false at the end.
  Result<bool> step();
  /// Runs to the end and makes ready for the next use.
  Result<> run();
  /// The same, and says how many rows it changed.
  Result<std::int64_t> run_counted();
  void reset() {
    sqlite3_reset(get());
    sqlite3_clear_bindings(get());
  }

  bool is_null(int column) const { return sqlite3_column_type(get(), column) == SQLITE_NULL; }
  std::int64_t int_at(int column) const { return sqlite3_column_int64(get(), column); }
  double float_at(int column) const { return sqlite3_column_double(get(), column); }
  std::string text_at(int column) const;
  std::string blob_at(int column) const;

 private:
  friend class Connection;
  struct Finalize {
    void operator()(sqlite3_stmt* s) const { sqlite3_finalize(s); }
  };
  sqlite3_stmt* get() const { return statement_.get(); }
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

class Connection {
 public:
  enum class Mode {
    read_write,
    read_only,  ///< Makes -wal and -shm beside the database where they are not there.
    /// Of a database that nobody writes meanwhile, and that stays as it is, with what is beside it:
    /// not even locks are taken. What is in the journal is read as well.
    look_only,
  };

  static Result<Connection> open(const std::string& path, Mode mode, Duration busy_timeout);

  Result<Statement> prepare(std::string_view sql) const;
  struct Wanted {
    Statement* into;
    std::string sql;
  };
  /// Several that somebody keeps.
  Result<> prepare_all(std::initializer_list<Wanted> all) const;
  /// Runs statements that return nothing of interest; any number of them in one text.
  Result<> execute(const std::string& sql) const;
  /// The first column of the first row; 0 or empty where there is none.
  Result<std::int64_t> query_int(std::string_view sql) const;
  Result<std::string> query_text(std::string_view sql) const;
  /// Makes every commit so far survive a power failure: syncs the write-ahead journal, which a
  /// commit with synchronous = NORMAL does not. `io` on any failure; it must not be tried again.
  Result<> sync_journal() const;
  /// Stops any statement that runs longer than this after it was prepared, as `unavailable`.
  void limit_time(Duration limit);

  sqlite3* get() const { return connection_.get(); }
  /// The last failure as ours: busy, full and out of time are `unavailable`, damage is `corrupt`,
  /// what else a disk does wrong is `io`.
  Error error(std::string_view doing) const;

 private:
  struct Close {
    void operator()(sqlite3* c) const { sqlite3_close_v2(c); }
  };
  struct Deadline;
  std::unique_ptr<sqlite3, Close> connection_;
  std::shared_ptr<Deadline> deadline_;
};

/// Orders names as SQL tells them apart: not by upper and lower case.
struct NameLess {
  bool operator()(const std::string& a, const std::string& b) const {
    return sqlite3_stricmp(a.c_str(), b.c_str()) < 0;
  }
};

/// A name as SQL takes it whatever is in it: "a ""b""".
std::string quoted(std::string_view name);
/// A text likewise: 'it''s'.
std::string quoted_text(std::string_view text);
/// A count as LIMIT takes it.
std::int64_t row_limit(std::size_t rows);

}  // namespace streamobs::store

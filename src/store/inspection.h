// Looks whether a database is damaged, one table after another, also while an engine writes it.
//
// By a connection of its own that neither writes nor checkpoints
// (docs/decisions/sqlite-journal.md). While a table is read the journal cannot be begun anew, and
// grows; nobody waits. Every page is read and its structure tested (SQLite's quick_check); that
// indexes and rows say the same is not. Calls block, one thread at a time; interrupt() may be
// called on any other.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "store/log_position.h"
#include "store/sqlite.h"

namespace streamobs::store {

class Inspection {
 public:
  /// `not_found`: there is no such file. `corrupt`: already its first page tells.
  static Result<Inspection> open(const std::string& path);
  /// The same of a database that no engine has open; nothing is left beside it.
  static Result<Inspection> look(const std::string& path);

  /// All of its tables; SQLite's own as well.
  const std::vector<std::string>& tables() const { return tables_; }
  /// What is wrong with a table or an index of it; nothing: it is sound. `unavailable`:
  /// interrupted, or the database is held by another process. `io`: the disk failed.
  Result<std::optional<std::string>> check(const std::string& table) const;
  /// Ends the check under way. One that has not quite begun is not told: ask again.
  void interrupt() const { sqlite3_interrupt(connection_.get()); }

  /// Up to where the log's results are in it. `unavailable`: it was never complete. `corrupt`: what
  /// it says of that is damaged.
  Result<LogPosition> position() const;
  /// Whether somebody has written to it since it was opened. After a look(), what was found is of
  /// no use then.
  bool was_written() const { return marks_of(path_) != marks_; }

 private:
  /// When database and journal were changed last, and how large they are.
  using Marks = std::array<std::int64_t, 6>;
  static Marks marks_of(const std::string& path);
  static Result<Inspection> begin(const std::string& path, Connection::Mode mode);
  Inspection(std::string path, const Marks& marks, Connection connection)
      : path_(std::move(path)), marks_(marks), connection_(std::move(connection)) {}

  std::string path_;
  Marks marks_;
  Connection connection_;
  std::vector<std::string> tables_;
};

}  // namespace streamobs::store

// The dead letters of an engine's database, read from another process or with the engine stopped.
//
// Reads only, through a connection of its own (docs/decisions/sqlite-journal.md): it holds nobody
// up. Calls block; one thread at a time.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "store/database.h"
#include "store/query.h"
#include "store/sqlite.h"

namespace streamobs::store {

class DeadLetterBox {
 public:
  /// `not_found`: there is no database. `invalid`: another version's, older or newer.
  static Result<DeadLetterBox> open(const std::string& data_dir);

  Result<std::vector<StoredDeadLetter>> read(const DeadLetterQuery& query) const;
  /// By stream and reason, since the database was made.
  Result<std::vector<DeadLetterCount>> counts() const;

 private:
  explicit DeadLetterBox(Connection connection) : connection_(std::move(connection)) {}

  Connection connection_;
};

}  // namespace streamobs::store

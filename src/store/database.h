// The results in SQLite: what `sqlite3 data/streamobs.db` shows while the engine runs.
//
// One connection writes and checkpoints, another only reads (docs/decisions/sqlite-journal.md says
// why). Opened once per engine. Calls block: they belong on the blocking pool. write() and
// maintain() are called by one thread at a time; the queries may run beside them on any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "event/record.h"
#include "store/options.h"
#include "store/query.h"

namespace streamobs::store {

struct DeadLetterCount {
  std::string stream;
  std::string reason;
  std::uint64_t count = 0;
};

struct StoredDeadLetter {
  std::int64_t id = 0;
  DeadLetter letter;
};

struct StoreStats {
  std::uint64_t bytes = 0;  ///< The database file and its journal.
  std::uint64_t rows_written = 0;
  std::uint64_t transactions = 0;
  std::uint64_t busy_retries = 0;  ///< Tries that failed, the database being held or the disk full.
  Timestamp last_commit_at = 0;    ///< 0: none yet.
};

class Database {
 public:
  /// Opens or creates the database, brings it to this version's schema, and makes one table and one
  /// view for each window, named and with columns as the config says. A damaged database is set
  /// aside, loudly, and a new one begun. `invalid`: a newer streamobs wrote it. `unavailable`:
  /// another process holds it. `io`: the disk failed.
  static Result<std::unique_ptr<Database>> open(
      const StoreOptions& options, const std::vector<std::shared_ptr<const WindowSchema>>& windows);
  ~Database();

  /// Writes records in one transaction, by upsert: the same record again changes nothing.
  /// Early rows of open windows are passed over. `unavailable`: another process holds the database
  /// beyond the busy timeout, or the disk is full, and the caller should try again. `corrupt`: the
  /// database is damaged; it is set aside when it is opened next.
  Result<> write(const Records& records);

  /// Removes dead letters older than their retention, at most 10,000 a call and in small steps, and
  /// folds the journal into the database as far as readers let it. Returns rows removed.
  Result<std::uint64_t> maintain(Timestamp now);

  Result<std::vector<WindowRow>> window_rows(const WindowQuery& query) const;
  Result<std::vector<Anomaly>> anomalies(const ListQuery& query) const;
  Result<std::vector<Incident>> incidents(const ListQuery& query) const;
  Result<std::vector<StoredDeadLetter>> dead_letters(const ListQuery& query) const;
  Result<std::vector<DeadLetterCount>> dead_letter_counts() const;
  StoreStats stats() const;

 private:
  struct Impl;
  explicit Database(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace streamobs::store

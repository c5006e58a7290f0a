// The results in SQLite: what `sqlite3 data/streamobs.db` shows while the engine runs.
//
// The database remembers which log its results come from, and up to which position of it they are
// in: the position is written in the same transaction as the results. So whoever replays the log
// knows what is there, and everything is stored exactly once.
//
// One connection writes and checkpoints, others only read (docs/decisions/sqlite-journal.md says
// why). Opened once per engine. Calls block: they belong on the blocking pool. bind_log(), write(),
// commit(), roll_back() and maintain() are called by one thread at a time; everything else may run
// beside them on any thread.
//
// What is for sinks outside goes into their outboxes (store/outbox.h) in the same transactions.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "event/record.h"
#include "store/archive.h"
#include "store/dead_letter_table.h"
#include "store/options.h"
#include "store/outbox.h"
#include "store/query.h"
#include "store/rollup.h"

namespace streamobs::store {

struct StoreStats {
  std::uint64_t bytes = 0;  ///< The database file and its journal.
  std::uint64_t rows_written = 0;
  std::uint64_t transactions = 0;
  std::uint64_t busy_retries = 0;  ///< Tries that failed, the database being held or the disk full.
  Timestamp last_commit_at = 0;    ///< 0: none yet.
};

/// When what open() and settle_outboxes() change for a config takes effect.
enum class Changes : std::uint8_t {
  at_once,
  when_adopted,  ///< With adopt(). Without it the database stays as it was, and nobody sees them.
};

class Database {
 public:
  /// Opens or creates the database, brings it to this version's schema, and makes one table and one
  /// view for each window, named and with columns as the config says. A damaged database is set
  /// aside, loudly, and a new one begun: begun_anew() tells. `invalid`: a newer streamobs wrote it.
  /// `unavailable`: another process holds it. `io`: the disk failed.
  /// With a `merger`, which outlives it, windows are merged to hours and days.
  static Result<std::unique_ptr<Database>> open(
      const StoreOptions& options, const std::vector<std::shared_ptr<const WindowSchema>>& windows,
      const StateMerger* merger = nullptr, Changes changes = Changes::at_once);
  ~Database();

  /// Makes the changes of Changes::when_adopted, in one transaction with nothing else in it: before
  /// the first write(). A failure undoes them.
  Result<> adopt();

  /// A damaged database was set aside when this one was opened: it is empty, whatever the newest
  /// checkpoint says, and is to be rebuilt from the log as far as that reaches.
  bool begun_anew() const;
  /// The log whose results these are; 0: none yet.
  std::uint64_t log_id() const;
  /// What log positions up to this one gave rise to is committed; 0: nothing.
  std::uint64_t applied_position() const;
  /// Makes this the database of a log, if it has none yet. `invalid`: it is that of another log.
  /// That it is not ahead of its own log is for the caller to check.
  Result<> bind_log(std::uint64_t log_id);

  /// Adds records to the open transaction, which is begun as needed; by upsert: the same record
  /// again changes nothing. Early rows of open windows and cuts are passed over. On failure all of
  /// the open transaction is undone, and must be written again from its first record on:
  /// `unavailable` (another process holds the database beyond the busy timeout, or the disk is
  /// full): later, the very same. `corrupt`: the database is damaged; it is set aside when it is
  /// opened next.
  Result<> write(std::span<const Record> records);
  /// Commits what has been written, together with the applied position, which never goes back (so
  /// 0 leaves it as it is) and, where nothing was written, only goes on if `durable`. `durable`:
  /// this commit and all before it survive a power failure. `unavailable`: as above, nothing was
  /// committed. `io` may also mean that the commit is made, but not sure to survive: whatever the
  /// code, after any other failure nothing more is written, and what is there is read at the start.
  Result<> commit(std::uint64_t position, bool durable);
  /// Forgets what has been written since the last commit.
  void roll_back();
  /// Whether something could be committed now; changes nothing. `unavailable`: as above. Any
  /// thread.
  Result<> try_to_write();

  /// Removes dead letters, and anomalies and incidents, older than their retention, at most 10,000
  /// of each a call and in small steps, and folds the journal into the database as far as readers
  /// let it. Returns rows removed. Between transactions: while one is open it does nothing.
  Result<std::uint64_t> maintain(Timestamp now);
  /// Merges windows to hours and days, and removes those that are older than the options say behind
  /// the newest one of theirs: some 5,000 rows a call, in small transactions. True: there is more
  /// to do. Between transactions: while one is open it does nothing.
  Result<bool> keep_up();

  /// Tables whose statistics help SQLite choose how to answer; not the outbox, whose rows come and
  /// go. Any thread.
  Result<std::vector<std::string>> tables_to_analyze() const;
  /// Renews those of one: a look at some 1,000 rows of each index, in a transaction of its own.
  /// False: a transaction is open; try again soon. A table that is gone is no failure.
  Result<bool> analyze(const std::string& table);

  /// Called after each commit, on its thread: there may be something in an outbox. Before the
  /// first.
  void on_commit(std::function<void()> listener);
  /// A sink's oldest undelivered rows (see store::read_outbox()).
  Result<std::vector<OutboxRow>> read_outbox(const std::string& sink, std::size_t rows_max,
                                             std::size_t bytes_max) const;
  /// The sink has delivered everything up to `place`: it is removed at once, or with the
  /// transaction that is just open. A failure says that it could not be now, and is with a later
  /// commit.
  Result<> delivered(const std::string& sink, OutboxPlace place);
  /// Who has delivered for a sink; none: nobody has, as far as this database knows.
  Result<std::optional<SinkWriters>> sink_writers(const std::string& sink) const;
  /// Once it returns true this survives a power failure. False: a transaction is just open, try
  /// again soon.
  Result<bool> set_sink_writers(const std::string& sink, SinkWriters writers);
  /// Removes what waits for sinks that are none of `outboxes`, or are about something else now: for
  /// an engine that runs by its config of now.
  Result<> settle_outboxes();
  OutboxStats outbox_stats(const std::string& sink) const;
  /// Whether a required sink's outbox has as much as it may have, so that results had better wait.
  bool outbox_full() const;

  Result<std::vector<WindowRow>> window_rows(const WindowQuery& query) const;
  /// The same answer if it is all in memory, without waiting for others' questions; else nothing.
  std::optional<std::vector<WindowRow>> recent_rows(const WindowQuery& query) const;
  /// When the windows start that have a row of the query: the newest `windows` of them, newest
  /// first.
  Result<std::vector<Timestamp>> window_starts(const WindowQuery& query) const;
  /// Rows with their accumulators, one by one, the newest window first; `on_row` says whether to go
  /// on. `windows` and `limit` are not looked at.
  Result<> scan_windows(const WindowQuery& query, Resolution resolution,
                        const std::function<bool(const WindowRow& row)>& on_row) const;
  /// How far a window's rows of a resolution reach: those that start before the one are all merged
  /// (kMinTimestamp: none are), those before the other may have been removed.
  struct Reach {
    Timestamp merged_until = kMinTimestamp;
    Timestamp removed_until = kMinTimestamp;
  };
  Reach reach(const std::string& window, Resolution resolution) const;
  /// The end of the newest window that is stored; kMinTimestamp: there is none.
  Result<Timestamp> newest_end(const std::string& window) const;
  Result<std::vector<Anomaly>> anomalies(const ListQuery& query) const;
  Result<std::vector<Incident>> incidents(const ListQuery& query) const;
  Result<std::vector<StoredDeadLetter>> dead_letters(const DeadLetterQuery& query) const;
  Result<std::vector<DeadLetterCount>> dead_letter_counts() const;
  StoreStats stats() const;
  /// Where rows go before they are removed, and what keeps them from it.
  std::vector<ArchiveState> archives() const;

 private:
  struct Impl;
  explicit Database(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace streamobs::store

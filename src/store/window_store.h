// All that is kept of one window: its rows as they closed, and merged to hours and days, each for
// its own time.
//
// Writing belongs to the thread that writes; what is asked of it may be asked on any
// thread. Lives as long as the database.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "store/archive.h"
#include "store/options.h"
#include "store/query.h"
#include "store/recent_rows.h"
#include "store/rollup.h"
#include "store/window_table.h"

namespace streamobs::store {

class WindowStore {
 public:
  /// Without `keep` rows are kept for ever, and not merged. `budget` must outlive it.
  WindowStore(const std::shared_ptr<const WindowSchema>& schema, std::optional<WindowKeep> keep,
              RecentBudget& budget);
  WindowStore(const WindowStore&) = delete;
  WindowStore& operator=(const WindowStore&) = delete;

  const WindowSchema& schema() const { return raw_.table.schema(); }

  /// Within the caller's transaction.
  Result<> create(const Connection& connection);
  Result<> prepare(const Connection& connection);
  /// Within the caller's transaction; when it is committed, committed() is called, if it is undone,
  /// load().
  Result<> write(const Connection& connection, const WindowRow& row);
  void committed() { recent_.committed(); }
  Result<> load(const Connection& connection);
  /// Merges or removes at most `rows_max` rows, within the caller's transaction. Gives how many; 0:
  /// there is nothing left to do for now.
  Result<std::size_t> maintain(const Connection& connection, const StateMerger& merger,
                               std::size_t rows_max);
  /// The transaction of a maintain() was committed: others are told what they can read merged.
  void publish();

  /// Of the rows as they closed those of the last hour, as far as there is memory for them.
  const RecentRows& recent() const { return recent_; }
  /// Null where the window has no such rows.
  const WindowTable* table(Resolution resolution) const;
  /// Up to here (exclusive) merged rows are whole; kMinTimestamp: there are none.
  Timestamp merged_until(Resolution resolution) const;
  /// What starts before this may have been removed; kMinTimestamp: nothing has been.
  Timestamp removed_until(Resolution resolution) const;
  /// Of each resolution whose rows go into files before they are removed. Any thread.
  std::vector<ArchiveState> archives() const;

 private:
  struct Level {
    Level(const std::shared_ptr<const WindowSchema>& schema, Resolution resolution,
          Duration kept_for, const std::string& archive_directory);
    WindowTable table;
    std::optional<Archive> archive;
    Duration keep;  ///< 0: for ever.
    std::atomic<Timestamp> removed_until{kMinTimestamp};
    std::atomic<Timestamp> merged_until{kMinTimestamp};
  };
  struct Coarse : Level {
    Coarse(WindowTable& finer, const std::shared_ptr<const WindowSchema>& schema,
           Resolution resolution, Duration step, Duration kept_for,
           const std::string& archive_directory)
        : Level(schema, resolution, kept_for, archive_directory), rollup(finer, table, step) {}
    Rollup rollup;
  };

  const Level* level(Resolution resolution) const;
  Result<std::size_t> merge(const Connection& connection, const StateMerger& merger,
                            Timestamp newest_end, std::size_t rows_max);
  Result<std::size_t> remove_old(const Connection& connection, Level& level, const Coarse* coarser,
                                 Timestamp newest_end, std::size_t rows_max);

  Level raw_;
  RecentRows recent_;
  std::unique_ptr<Coarse> hourly_;  ///< Null: the window's size does not divide it.
  std::unique_ptr<Coarse> daily_;
};

}  // namespace streamobs::store

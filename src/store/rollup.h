// Windows merged to hours and days, a few rows at a time.
//
// A rollup reads the rows of a finer table in the order of its primary key and merges each into the
// row of its hour (or day) and group. How far it has come is stored in the same transaction, so
// whatever ends in between, each row is merged once. Belongs to the thread that writes; lives as
// long as the database.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "event/window_result.h"
#include "store/sqlite.h"
#include "store/window_table.h"

namespace streamobs::store {

/// How accumulators are merged: the store keeps their bytes and does not look into them.
class StateMerger {
 public:
  virtual ~StateMerger() = default;
  /// Merges the rows' accumulators into those of `into` (none yet where its state is empty), and
  /// computes its metrics anew from them. `invalid`: some are of another config; `into` is as it
  /// was.
  virtual Result<> merge(const WindowSchema& schema, WindowRow& into,
                         std::span<const WindowRow> rows) const = 0;
};

class Rollup {
 public:
  /// Both tables outlive it, and are of one window.
  Rollup(const WindowTable& finer, WindowTable& coarser, Duration step)
      : finer_(finer), coarser_(coarser), step_(step) {}

  /// Reads how far it has come: at the start, and after a transaction was undone. Of the finer
  /// table, rows before `removed_until` may be gone.
  Result<> load(const Connection& connection, Timestamp removed_until);
  /// Merges at most `rows_max` further rows of windows that start before `complete`, within the
  /// caller's transaction. Gives how many rows it has read or removed; 0: it is up to date.
  Result<std::size_t> advance(const Connection& connection, const StateMerger& merger,
                              Timestamp complete, std::size_t rows_max);
  Duration step() const { return step_; }
  /// What starts before this is merged whole: a multiple of the step.
  Timestamp merged_until() const { return merged_until_; }
  /// Whether windows of this start may have been merged.
  bool has_read(Timestamp start) const { return start <= at_.start; }
  /// Begins anew at `start`, a multiple of the step, because rows behind it have changed. Within
  /// the caller's transaction.
  Result<> go_back(const Connection& connection, Timestamp start);

 private:
  /// The last row that was read.
  struct Place {
    Timestamp start = kMinTimestamp;
    std::string key;
  };

  Result<> merge(const Connection& connection, const StateMerger& merger,
                 std::vector<WindowRow> rows);
  Result<> save(const Connection& connection) const;

  const WindowTable& finer_;
  WindowTable& coarser_;
  const Duration step_;
  Place at_;
  bool clearing_ = false;  ///< What is there from at_ on is to be removed first.
  bool told_ = false;      ///< That rows are of another config.
  Timestamp merged_until_ = kMinTimestamp;
};

}  // namespace streamobs::store

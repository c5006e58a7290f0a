// A window's rows of the last hour, in memory: what is asked for most is answered without reading
// the database, and without waiting for others' long questions.
//
// One for each window, as long as its WindowStore. It has what others can read of the database, no
// more: rows come as they are written, and are seen once that is committed. Adding belongs to the
// thread that writes; rows() may be asked on any thread. A window that gets no more rows keeps its
// last hour, and its share of the room. What somebody else changes in the database
// while the engine runs is not seen here.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <vector>

#include "base/clock.h"
#include "event/window_result.h"
#include "store/query.h"

namespace streamobs::store {

/// What all windows' rows may take together.
struct RecentBudget {
  static constexpr std::size_t kBytesMax = 32 << 20;
  /// Of rows whose transaction is open: more would not be kept anyway.
  static constexpr std::size_t kWrittenMax = kBytesMax;
  std::atomic<std::size_t> used{0};
  std::size_t written = 0;  ///< The writing thread's.
};

class RecentRows {
 public:
  /// Behind the start of the newest window.
  static constexpr Duration kKept = kHour;

  /// `budget` must outlive it.
  RecentRows(const std::shared_ptr<const WindowSchema>& schema, RecentBudget& budget)
      : schema_(schema), budget_(budget) {}
  ~RecentRows();
  RecentRows(const RecentRows&) = delete;
  RecentRows& operator=(const RecentRows&) = delete;

  /// There are no rows yet that start at `from` or later: all that do will be written here. Once,
  /// before anything is written.
  void begin(Timestamp from);
  /// A row of the open transaction.
  void write(const WindowRow& row);
  void committed();
  void undone();
  /// What starts before has been removed.
  void forget_before(Timestamp start);

  /// The answer, newest first and by key, if all of it is here; else nothing.
  std::optional<std::vector<WindowRow>> rows(const WindowQuery& query) const;
  /// When the newest window starts that is here; nothing: none is.
  std::optional<Timestamp> newest_start() const;

 private:
  /// Rows of one start by key, __overflow__ last.
  using Instance = std::vector<WindowRow>;

  void add(WindowRow row);
  void drop_oldest();
  void forget_written();
  void drop_before(Timestamp start);

  const std::shared_ptr<const WindowSchema> schema_;
  RecentBudget& budget_;
  std::vector<WindowRow> written_;  ///< In the open transaction.
  std::size_t written_bytes_ = 0;
  Timestamp passed_over_ = kMinTimestamp;  ///< Of the open transaction: what starts before.
  mutable std::shared_mutex mutex_;        ///< Of what follows.
  Timestamp from_ = kMaxTimestamp;         ///< All rows that start from here on are here.
  std::map<Timestamp, Instance, std::greater<>> instances_;
};

}  // namespace streamobs::store

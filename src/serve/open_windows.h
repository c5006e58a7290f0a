// The newest early rows of windows that are still open, so that a query sees the present too.
//
// One per engine. process() is called with every record on one strand; rows() on any. A row that
// has closed stays for a while, until the store is sure to have it: no row is ever seen nowhere.
// Early rows are a view, not history: nothing here survives a restart.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "event/record.h"
#include "store/query.h"

namespace streamobs::serve {

class OpenWindows {
 public:
  /// Rows held for each window; when there are more, the oldest windows go first,
  /// and of the oldest only the first keys are shown.
  static constexpr std::size_t kRowsMax = 100'000;
  /// How long a closed row is kept, for the store to commit it.
  static constexpr Duration kClosedKept = 10 * kSecond;

  explicit OpenWindows(const Clock& clock) : clock_(clock) {}

  void process(const Record& record);

  /// Rows that fit the query's times and keys, newest window first, at most `query.limit` rows and
  /// `query.windows` windows; within a window in no order.
  std::vector<WindowRow> rows(const store::WindowQuery& query) const;

  /// Rows held, over all windows.
  std::size_t size() const;

 private:
  struct Held {
    WindowRow row;
    Timestamp closed_at = 0;  ///< Wall time; 0: it is open.
  };
  using Instance = std::unordered_map<std::string, Held>;
  struct Window {
    std::shared_ptr<const WindowSchema> schema;
    std::map<Timestamp, Instance, std::greater<>> instances;  ///< By start, newest first.
    std::size_t rows = 0;
    std::size_t closed_rows = 0;
    /// Of sessions, which begin where their key has them begin: the starts of each group's rows.
    std::unordered_map<std::string, std::set<Timestamp>> starts;
    Timestamp forgotten_at = 0;  ///< When forget_closed() last looked.
  };
  void forget_closed(Window& window, Timestamp now);
  static void forget(Window& window, Timestamp start, const std::string& identity);
  /// A session that was shown open may begin earlier now, or have been joined with the one before:
  /// what was shown of it lies within this row.
  static void forget_within(Window& window, const WindowRow& row, const std::string& identity);
  /// Drops windows older than `start` if need be. False: there is no room for a row of it.
  static bool make_room(Window& window, Timestamp start);

  const Clock& clock_;
  mutable std::mutex mutex_;
  std::map<std::string, Window, std::less<>> windows_;
};

/// One answer from both: of the same window and key the higher revision wins, then a closed row
/// over an open one, then an early row over a stored one. Newest first, then by key; cut to the
/// query's `windows`, `latest` and `limit`.
std::vector<WindowRow> merge_rows(std::vector<WindowRow> stored, std::vector<WindowRow> early,
                                  const store::WindowQuery& query);

/// What `windows` means where only the newest row of each key is wanted: those from the start of
/// the last of so many windows on, `starts` of stored rows and `early` ones of open windows taken
/// together.
store::WindowQuery of_newest(const store::WindowQuery& query, const std::vector<Timestamp>& starts,
                             const std::vector<WindowRow>& early);

}  // namespace streamobs::serve

// What can be asked of stored results. Filled from the API's parameters.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "event/window_result.h"

namespace streamobs::store {

/// What rows stand for: windows as they closed, or merged to hours or days.
enum class Resolution : std::uint8_t { raw, hourly, daily };
constexpr std::string_view to_text(Resolution resolution) {
  return resolution == Resolution::raw      ? "raw"
         : resolution == Resolution::hourly ? "hourly"
                                            : "daily";
}

/// The last multiple of `step` that is not behind `t`.
constexpr Timestamp floor_to(Timestamp t, Duration step) {
  if (t == kMinTimestamp || t == kMaxTimestamp) return t;
  const Timestamp rest = t % step;
  return t - (rest < 0 ? rest + step : rest);
}

struct WindowQuery {
  std::string window;
  std::optional<Timestamp> from;       ///< Window starts from here on, inclusive.
  std::optional<Timestamp> to;         ///< Window starts before this.
  std::optional<std::size_t> windows;  ///< Only the newest N distinct windows.
  std::size_t limit = 1'000;           ///< Rows.
  std::vector<std::pair<std::string, std::string>> keys;  ///< name = value, compared as text.
  /// Of all these only the newest row of each key; without `from` and `windows` of the last hour.
  bool latest = false;

  bool of_last_hour() const { return latest && !from && !windows; }
  /// The same of the hour up to `to`, or to the newest window, which starts at `newest`.
  WindowQuery behind(Timestamp newest) const;
};

/// A text that is the same for two rows only if their keys are: for hashing, not for people.
std::string row_identity(const WindowRow& row);

/// True where the row fits the query's keys (compared as text).
bool matches_keys(const WindowSchema& schema, const WindowRow& row, const WindowQuery& query);

/// Of the same window and key: what comes again, or had come further before (a higher revision;
/// closed, of the same one), as the database decides it, too.
bool is_older(const WindowRow& row, const WindowRow& known);

/// By key, as results are ordered: __overflow__ comes last.
bool key_before(const WindowRow& a, const WindowRow& b);

/// Of anomalies, incidents and dead letters.
struct ListQuery {
  std::optional<Timestamp> from;
  std::optional<Timestamp> to;
  std::size_t limit = 100;
  std::vector<std::pair<std::string, std::string>> equal;  ///< reason, stream, severity, a key …
};

/// Of dead letters, a page at a time. Not an aggregate: g++ 12 destroys those twice in a co_await.
struct DeadLetterQuery {
  DeadLetterQuery() = default;
  // NOLINTNEXTLINE(google-explicit-constructor): one page of a list is a list.
  DeadLetterQuery(ListQuery of) : list(std::move(of)) {}

  /// By reason, stream, source and window. A page ends early once its payloads take kPageBytesMax.
  ListQuery list;
  std::optional<std::int64_t> id;     ///< This one only.
  std::optional<std::int64_t> above;  ///< Only ids above and below these: the next page …
  std::optional<std::int64_t> below;
  bool oldest_first = false;     ///< … upwards, or (usually) downwards.
  std::optional<bool> replayed;  ///< Whether they have been sent again.
  /// Those that are late as well: their event was taken, and other windows may have counted it.
  bool late = true;

  static constexpr std::size_t kPageBytesMax = 16 << 20;
};

}  // namespace streamobs::store

// [store]: the SQLite database in the data directory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/source_text.h"

namespace streamobs::store {

/// A sink whose results the store keeps until they have been delivered.
struct OutboxOptions {
  enum class From : std::uint8_t { window, stream, anomalies, incidents, dead_letters };

  std::string sink;
  std::string feed;    ///< What goes to which topic, in a text that changes when that does.
  std::string target;  ///< Likewise, at which brokers it is and where its markers are.
  From from = From::window;
  std::string window;            ///< With From::window: its name …
  std::vector<std::size_t> key;  ///< … and which of its keys, joined by '|', make the message's.
  /// With From::dead_letters: which members of their payloads do, where these are JSON objects.
  std::vector<std::string> members;
  std::size_t bytes_max = 256 << 20;
  /// When there are bytes_max of it, results wait (and ingest with them); otherwise the oldest go.
  bool required = false;
};

/// How long a window's rows are kept behind its newest one, as they closed and merged. Of hours and
/// days 0 is none of those.
struct WindowKeep {
  Duration raw = 90 * kDay;
  Duration hourly = 365 * kDay;
  Duration daily = 3 * 365 * kDay;
  /// Where rows go before they are removed, as seen from the database; empty: nowhere.
  std::string archive = {};
};

/// [view.NAME]: the rows of several windows under one name. The windows are over one stream and
/// have the same keys and metrics, which is checked where the plan is made.
struct ViewOptions {
  SourceText name;
  std::vector<SourceText> windows;
  std::vector<std::string> sizes;  ///< Of each window what its rows have as window_size: "5m".
};
/// The column that says which window a row of a view is of.
inline constexpr std::string_view kViewColumn = "window_size";

struct StoreOptions {
  std::string path;  ///< DATA_DIR/streamobs.db; a file, never ":memory:".
  std::size_t rows_per_transaction = 1'000;
  Duration busy_timeout = 5 * kSecond;  ///< How long one try waits for another process.
  Duration keep_dead_letters = 14 * kDay;
  /// Anomalies and incidents that are over, behind the newest of their kind.
  Duration keep_incidents = 365 * kDay;
  std::vector<OutboxOptions> outboxes;
  /// By window; the rows of one that is not in it are kept for ever.
  std::map<std::string, WindowKeep> keep = {};
  std::vector<ViewOptions> views = {};
};

}  // namespace streamobs::store

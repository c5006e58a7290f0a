// What a window says when it closes, or so far while it is open: the rows that detection reads,
// the store keeps and people see.
//
// Rows travel in batches of at most kMaxRows, all of one close of one window; a batch is made by
// the window stage, shared read-only from then on (shared_ptr<const>), and may be read on any
// strand.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "event/value.h"

namespace streamobs {

struct ResultColumn {
  std::string name;
  DataType type;
  /// Of a metric: fingerprint of what it is computed from. Values of another definition are never
  /// mixed with its own, whatever they are called.
  std::uint64_t definition = 0;
};

/// The columns of a window's results. Made from the config, shared, never changed.
struct WindowSchema {
  std::string window;  ///< Its name in the config, of its view and in the API.
  std::string stream;
  Duration size = 0;  ///< Of one window; for calendar days, of a day without a clock change.
  Duration hop = 0;   ///< From the start of one to that of the next; 0: of `size` (tumbling).
  Duration gap = 0;   ///< Not 0: sessions, which end when a key is silent for this long.
  Duration allowed_lateness = 0;  ///< A window closes this long after its end.
  std::vector<ResultColumn> keys;
  std::vector<ResultColumn> metrics;  ///< In the config's order.
  /// Fingerprint of what its rows are about: stream, size, keys, conditions. The metrics have their
  /// own.
  std::uint64_t definition = 0;
  /// Which metrics are quantiles of a stored sketch, and the like: how `state` is to be read.
  std::vector<std::string> accumulators;

  /// How often one ends.
  Duration step() const { return hop != 0 ? hop : size; }
};

struct WindowRow {
  Timestamp start = 0;  ///< Inclusive.
  Timestamp end = 0;    ///< Exclusive.
  bool closed = false;
  bool overflow = false;  ///< The group of all keys beyond max_keys.
  std::uint32_t revision = 0;
  std::vector<Value> keys;     ///< As in the schema.
  std::vector<Value> metrics;  ///< As in the schema.
  std::string state;           ///< The accumulators, serialised; empty for open windows.
};

struct WindowBatch {
  static constexpr std::size_t kMaxRows = 1024;

  std::shared_ptr<const WindowSchema> schema;
  std::uint64_t position = 0;  ///< Log position that closed (or showed) the window.
  Timestamp watermark = 0;     ///< Of the stream at that position.
  /// The least watermark of the stream that brings these rows: that of their windows' close, or of
  /// the revision, where late events have corrected them. What any window of the stream has with a
  /// lesser one has come before, however events were cut into batches. Means nothing of early ones.
  Timestamp due = kMinTimestamp;
  std::vector<WindowRow> rows;  ///< Ordered by start, then key.
  /// A view of windows that are still open: shown, never stored.
  bool early = false;
  /// The last batch of what its window has at `due`.
  bool last = true;
};

using WindowBatchPtr = std::shared_ptr<const WindowBatch>;

/// The text that stands for a group of keys wherever one is needed: the values joined by '|'.
std::string key_text(const std::vector<Value>& keys);

}  // namespace streamobs

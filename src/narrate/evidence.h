// The closed window rows that may explain an incident, kept in memory for a while.
//
// Belongs to the narrator, on its strand. Bounded for each window: the last hours, and at most
// kMaxValues numbers; the oldest rows leave first.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/normal.h"
#include "event/anomaly.h"
#include "event/window_result.h"
#include "narrate/troubles.h"

namespace streamobs::narrate {

/// Fewer windows say nothing about what is normal.
inline constexpr std::size_t kMinWindows = 3;

/// The rows of one key of one window, oldest first.
class Series {
 public:
  struct Entry {
    Timestamp start = 0;
    Timestamp end = 0;
    std::vector<double> metrics;  ///< As in the schema; NaN stands for NULL and for text.
  };

  explicit Series(std::vector<Value> keys) : keys_(std::move(keys)) {}

  const std::vector<Value>& keys() const { return keys_; }
  /// The newest row whose window holds `t`; null where there is none.
  const Entry* at(Timestamp t) const;
  /// Of the newest row; kMinTimestamp: none is remembered.
  Timestamp newest_end() const { return entries_.empty() ? kMinTimestamp : entries_.back().end; }

  /// What some figure of a row usually was in the windows that start in [from, to): those outside
  /// `troubled`, or all of them where that leaves fewer than kMinWindows. `figure` takes an Entry;
  /// NaN is left out.
  template <class Figure>
  Normal::Level usual(Timestamp from, Timestamp to, const std::vector<TroubledSpan>& troubled,
                      const Figure& figure) const {
    Normal normal;
    for (const Entry& entry : entries_) {
      if (entry.start < from || entry.start >= to) continue;
      const double v = figure(entry);
      if (!std::isnan(v)) normal.add(v, any_overlaps(troubled, entry.start, entry.end));
    }
    return normal.level(kMinWindows);
  }

 private:
  friend class WindowMemory;
  std::vector<Value> keys_;
  std::deque<Entry> entries_;
};

class WindowMemory {
 public:
  static constexpr std::size_t kMaxValues = 1'000'000;

  explicit WindowMemory(std::shared_ptr<const WindowSchema> schema) : schema_(std::move(schema)) {}

  const WindowSchema& schema() const { return *schema_; }
  /// Takes the batch's closed rows; a row that comes again replaces the first.
  void add(const WindowBatch& batch);

  /// How far back "normally" looks: an hour, or twelve windows where that is longer.
  Duration lookback() const;
  /// The series whose keys have all of `keys`, in the order of their keys. None where the window
  /// lacks one of the key columns.
  std::vector<const Series*> matching(const std::vector<NamedValue>& keys) const;
  std::optional<std::size_t> metric(std::string_view name) const;
  /// The first whole-number metric: how much there was of anything.
  std::optional<std::size_t> volume_metric() const;
  std::size_t rows() const { return order_.size(); }
  /// Of any row so far.
  Timestamp newest_start() const { return newest_start_; }

  /// For a checkpoint, as state.h describes it.
  void put(std::string& out) const;
  /// Takes what put() wrote; false on bytes that nobody wrote. `columns`: for each metric column
  /// that was written, which of the schema's it is, if any.
  bool read(ByteReader& in, const std::vector<std::optional<std::size_t>>& columns);

 private:
  void forget_oldest();
  std::size_t row_cost() const;

  std::shared_ptr<const WindowSchema> schema_;
  std::map<std::string, Series> series_;
  std::deque<std::map<std::string, Series>::iterator> order_;  ///< Whose oldest row leaves next.
  Timestamp newest_start_ = kMinTimestamp;
};

class EvidenceStore {
 public:
  void add(const WindowBatch& batch);
  /// Rows of the anomaly's keys, and of their parts, were in trouble from `since` to the end of its
  /// window: they do not say what is normal.
  void add_trouble(const Anomaly& anomaly, Timestamp since);
  /// When the rows of a series were in trouble.
  std::vector<TroubledSpan> troubles(const WindowMemory& memory, const Series& series) const {
    return troubles_.of(memory.schema(), series.keys());
  }
  /// Null where no closed row of that window has been seen.
  const WindowMemory* window(std::string_view name) const;

  void put(std::string& out) const;
  /// `windows`: all there are now. Names of those whose rows have no place among them are added to
  /// `forgotten`.
  bool read(ByteReader& in, const std::vector<std::shared_ptr<const WindowSchema>>& windows,
            std::vector<std::string>& forgotten);

 private:
  std::map<std::string, WindowMemory, std::less<>> windows_;
  Troubles troubles_;
};

}  // namespace streamobs::narrate

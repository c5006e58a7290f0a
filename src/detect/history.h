// What one rule remembers of one key: the values its baselines are computed from, by window start,
// and in which of the windows the rule held.
//
// Belongs to the detector, on its strand. Bounded: entries older than the rule's longest span, and
// more than kMaxEntries, are forgotten.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/normal.h"

namespace streamobs::detect {

class KeyHistory {
 public:
  static constexpr std::size_t kMaxEntries = 10'000;

  /// `series`: how many values each window brings.
  explicit KeyHistory(std::size_t series = 0) : values_(series) {}

  /// Adds the window that starts at `start`, or replaces it where it is there, as one without
  /// trouble. NaN stands for NULL.
  /// `keep`: how far back from the newest window entries stay; the newest one always does, and so
  /// does the one before it.
  void record(Timestamp start, std::span<const double> values, Duration keep);

  /// Takes down whether the rule held in that window, if it is still there.
  void mark(Timestamp start, bool troubled);

  /// What was normal in the windows whose start lies in [from, to): those of them with a value in
  /// which the rule did not hold, or all where that leaves fewer than `least`.
  Normal::Level normal(std::size_t series, Timestamp from, Timestamp to, std::size_t least) const;

  /// The value of the key's last window before `start`, as SQL's lag() has it; NaN where it was
  /// NULL or where there is none.
  double previous(std::size_t series, Timestamp start) const;

  std::size_t size() const { return starts_.size() - head_; }

  /// For a checkpoint: the starts, in which of them the rule held, then the values series by
  /// series. What is forgotten is not in it, so that equal histories give equal bytes.
  void put(std::string& out) const;
  /// Takes what put() wrote; false on bytes that nobody wrote.
  bool read(ByteReader& in);
  /// The same windows with other series: each is one of these, or all NULL.
  KeyHistory select(std::span<const std::optional<std::size_t>> series) const;

 private:
  std::size_t lower_bound(Timestamp start) const;
  void forget(Duration keep);

  std::size_t head_ = 0;           ///< Everything before it is forgotten; cut off now and then.
  std::vector<Timestamp> starts_;  ///< Ascending.
  std::vector<bool> troubled_;     ///< Beside `starts_`: the rule held.
  std::vector<std::vector<double>> values_;  ///< For each series, beside `starts_`.
};

}  // namespace streamobs::detect

// The accumulators of one result row, as stored beside it: read back, merged with others, and asked
// again. This is how rollups merge minutes to hours, and how a quantile nobody asked for at the
// time is answered later. The bytes are described in docs/accumulators.md.
//
// A value type; belongs to whoever holds it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "event/value.h"
#include "window/aggregate/arena.h"
#include "window/aggregate/functions.h"
#include "window/window_plan.h"

namespace streamobs::window {

class WindowState {
 public:
  static constexpr std::uint8_t kVersion = 2;
  static constexpr std::size_t kAccumulatorsMax = 1024;  ///< Of one window; more are refused.

  /// Refuses (corrupt) what is not a state of a version this code knows.
  static Result<WindowState> decode(std::string_view bytes);
  std::string encode() const;
  /// Adds another row's accumulators; they must be of the same definition: of the same events, the
  /// same aggregates of the same fields in the same order (error: invalid). Where
  /// states are of different windows, merge them in order of start: first() and last() break ties
  /// of time by it.
  Result<> merge(const WindowState& other);

  std::size_t size() const { return entries_.size(); }
  AccumulatorKind kind(std::size_t i) const { return entries_[i].ops->kind; }
  DataType type(std::size_t i) const { return entries_[i].type; }
  /// Whether a distinct count is an estimate.
  bool approximate(std::size_t i) const;
  /// A result read from accumulator `i`; it must be of a kind that gives it (error: invalid).
  Result<Value> finish(std::size_t i, Finish how, double parameter, Duration length) const;
  /// The metrics of window `window` of the plan, computed from this state.
  Result<std::vector<Value>> metrics(const StreamWindowsPlan& plan, std::size_t window,
                                     const std::vector<Value>& keys, Timestamp start,
                                     Timestamp end) const;

 private:
  struct Entry {
    const AccumulatorOps* ops;
    DataType type;
    std::size_t offset;
  };
  const std::byte* row() const { return reinterpret_cast<const std::byte*>(words_.data()); }
  std::byte* row() { return reinterpret_cast<std::byte*>(words_.data()); }

  std::uint64_t definition_ = 0;  ///< Fingerprint; 0: not known, of version 1.
  std::vector<Entry> entries_;
  std::vector<std::uint64_t> words_;  ///< Laid out as a group's row.
  std::unique_ptr<Arena> arena_;
};

/// Whether a metric of the window is computed from one of its keys, so that it means nothing for
/// groups of several of that key's values.
bool select_reads_key(const StreamWindowsPlan& plan, std::size_t window, std::size_t key);

/// Appends the state of a group's row.
void encode_state(const WindowPlan& plan, const std::byte* row, std::string& out);

}  // namespace streamobs::window

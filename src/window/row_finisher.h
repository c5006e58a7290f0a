// From groups to result rows: reads the aggregates and computes the select list over them.
// Scratch memory for one window; belongs to one strand.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "event/window_result.h"
#include "expr/program.h"
#include "window/plan.h"

namespace streamobs::window {

class RowFinisher {
 public:
  static constexpr std::size_t kMaxRows = expr::Evaluator::kMaxRows;

  /// `plan` must outlive it.
  explicit RowFinisher(const WindowPlan& plan);

  /// Fills the metrics of `rows` (at most kMaxRows, interval and keys are there already) from their
  /// groups. `now` is what now() says.
  void finish(std::span<WindowRow> rows, std::span<const std::byte* const> groups, Timestamp now);
  /// Sums that did not fit, and numbers that left their range in the select list.
  std::uint64_t overflows() const { return sums_over_ + evaluator_.overflows(); }

 private:
  const WindowPlan& plan_;
  expr::Evaluator evaluator_;
  std::vector<Column> columns_;            ///< Keys, then aggregates.
  std::vector<std::vector<Value>> texts_;  ///< What the aggregates' text columns point into.
  std::vector<ColumnView> views_;
  std::uint64_t sums_over_ = 0;
};

}  // namespace streamobs::window

// Adds the rows of one slice to the groups they belong to, one accumulator after the other.
// One lane's scratch memory; used on its strand. Allocates nothing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "expr/program.h"
#include "window/instance.h"

namespace streamobs::window {

/// Which rows a slice is about, and where they stand in time and in the log.
struct SliceRows {
  std::span<const std::uint16_t> rows;
  const Timestamp* times = nullptr;
  std::uint64_t sequence = 0;
  std::uint32_t first_row = 0;
};

class SliceUpdate {
 public:
  static constexpr std::size_t kMaxRows = expr::Evaluator::kMaxRows;

  /// `slots[i]` is the group of `slice.rows[i]`; arguments and filters are outputs of `evaluator`.
  void apply(WindowInstance& instance, const expr::Evaluator& evaluator, const SliceRows& slice,
             const std::uint32_t* slots);

 private:
  struct Selection {
    std::size_t size = 0;
    std::byte* const* groups = nullptr;
    const std::uint16_t* rows = nullptr;
  };
  /// The rows for which the filter is true and the argument is not null.
  Selection select(const Selection& all, const ColumnView* filter, const ColumnView* argument);
  Selection select_run(const Selection& all, const std::uint8_t* wanted);

  std::array<std::byte*, kMaxRows> groups_;
  std::array<std::byte*, kMaxRows> selected_groups_;
  std::array<std::uint16_t, kMaxRows> selected_rows_;
  std::array<std::uint16_t, kMaxRows> zeros_{};
};

/// Writes to `out` those of `rows` for which `condition` is true; returns how many.
std::size_t rows_where(const ColumnView& condition, std::span<const std::uint16_t> rows,
                       std::uint16_t* out);

}  // namespace streamobs::window

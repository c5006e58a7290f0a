#include "window/slice_update.h"

#include <cstring>

namespace streamobs::window {

std::size_t rows_where(const ColumnView& condition, std::span<const std::uint16_t> rows,
                       std::uint16_t* out) {
  std::size_t n = 0;
  if (condition.constant) {
    if (condition.is_null(0) || !condition.bool_at(0)) return 0;
    for (const std::uint16_t row : rows) out[n++] = row;
  } else if (condition.nulls == nullptr) {
    for (const std::uint16_t row : rows) {
      out[n] = row;
      n += condition.bools[row] != 0 ? 1 : 0;
    }
  } else {
    for (const std::uint16_t row : rows) {
      out[n] = row;
      n += condition.bools[row] != 0 && condition.nulls[row] == 0 ? 1 : 0;
    }
  }
  return n;
}

SliceUpdate::Selection SliceUpdate::select(const Selection& all, const ColumnView* filter,
                                           const ColumnView* argument) {
  const std::uint8_t* const argument_nulls = argument != nullptr ? argument->nulls : nullptr;
  if (filter == nullptr && argument_nulls == nullptr) return all;
  const bool filter_constant = filter != nullptr && filter->constant;
  const bool argument_constant = argument != nullptr && argument->constant;
  if (filter_constant && (filter->is_null(0) || !filter->bool_at(0))) return {};
  if (argument_constant && argument->is_null(0)) return {};
  const std::uint8_t* const wanted =
      filter != nullptr && !filter_constant ? filter->bools : nullptr;
  const std::uint8_t* const unknown =
      filter != nullptr && !filter_constant ? filter->nulls : nullptr;
  const std::uint8_t* const nulls = argument_constant ? nullptr : argument_nulls;
  if (wanted != nullptr && unknown == nullptr && nulls == nullptr &&
      std::size_t{all.rows[all.size - 1]} - all.rows[0] + 1 == all.size) {
    return select_run(all, wanted);
  }
  std::size_t n = 0;
  for (std::size_t i = 0; i < all.size; ++i) {
    const std::uint16_t row = all.rows[i];
    bool take = wanted == nullptr || wanted[row] != 0;
    take = take && (unknown == nullptr || unknown[row] == 0);
    take = take && (nulls == nullptr || nulls[row] == 0);
    selected_groups_[n] = all.groups[i];
    selected_rows_[n] = row;
    n += take ? 1 : 0;
  }
  return {n, selected_groups_.data(), selected_rows_.data()};
}

/// Rows that follow one another, by a condition that is rarely true of eight in a row: what most
/// counts of errors are.
SliceUpdate::Selection SliceUpdate::select_run(const Selection& all, const std::uint8_t* wanted) {
  const std::size_t first = all.rows[0];
  const std::size_t whole = all.size / 8 * 8;
  std::size_t n = 0;
  const auto take = [&](std::size_t i) {
    selected_groups_[n] = all.groups[i];
    selected_rows_[n] = static_cast<std::uint16_t>(first + i);
    n += wanted[first + i] != 0 ? 1 : 0;
  };
  for (std::size_t i = 0; i < whole; i += 8) {
    std::uint64_t eight;
    std::memcpy(&eight, wanted + first + i, sizeof eight);
    if (eight == 0) continue;
    for (std::size_t k = i; k < i + 8; ++k) take(k);
  }
  for (std::size_t i = whole; i < all.size; ++i) take(i);
  return {n, selected_groups_.data(), selected_rows_.data()};
}

void SliceUpdate::apply(WindowInstance& instance, const expr::Evaluator& evaluator,
                        const SliceRows& slice, const std::uint32_t* slots) {
  GroupTable& table = instance.table;
  const WindowPlan& plan = table.plan();
  std::byte* const base = table.row(0);
  for (std::size_t i = 0; i < slice.rows.size(); ++i) {
    groups_[i] = base + std::size_t{slots[i]} * plan.row_bytes;
  }
  const Selection all{slice.rows.size(), groups_.data(), slice.rows.data()};
  ColumnView event_times;
  event_times.type = {Kind::timestamp, 0};
  event_times.ints = slice.times;
  const auto output = [&](int index) -> const ColumnView* {
    if (index == kNoOutput) return nullptr;
    if (index == kEventTime) return &event_times;
    return &evaluator.output(static_cast<std::size_t>(index));
  };
  for (const AccumulatorPlan& a : plan.accumulators) {
    const ColumnView* const argument = output(a.argument);
    const Selection selected = select(all, output(a.filter), argument);
    if (selected.size == 0) continue;
    UpdateSlice update;
    update.size = selected.size;
    update.groups = selected.groups;
    update.positions = selected.rows;
    update.rows = selected.rows;
    if (argument != nullptr) {
      update.argument = *argument;
      if (argument->constant) {
        update.argument.constant = false;
        update.argument.nulls = nullptr;
        update.rows = zeros_.data();
      }
    }
    update.times = slice.times;
    update.sequence = slice.sequence;
    update.first_row = slice.first_row;
    update.arena = &table.arena();
    a.ops->update(update, a.offset);
  }
}

}  // namespace streamobs::window

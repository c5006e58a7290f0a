#include "window/stream_windows.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>

#include "expr/program.h"
#include "window/admission_impl.h"
#include "window/instance.h"
#include "window/key_resolver.h"
#include "window/lateness.h"
#include "window/plan.h"
#include "window/slice_update.h"
#include "window/snapshot.h"

namespace streamobs::window {

namespace {

constexpr std::size_t kSliceRows = expr::Evaluator::kMaxRows;

/// Direct maps take up to 512 KiB each.
constexpr std::size_t kLargeMaps = 8;

using RowList = std::array<std::uint16_t, kSliceRows>;

/// Which number a row of the batch has at its position of the log, where joined rows come in
/// several batches.
std::uint32_t number_of(const EventBatch& batch, std::size_t row) {
  return batch.watermarks.empty() ? static_cast<std::uint32_t>(row) : batch.event_index[row];
}

}  // namespace

struct StreamWindows::Impl {
  Impl(std::shared_ptr<const StreamWindowsPlan> plan_in, std::size_t lane_in,
       Admission& admission_in);
  ~Impl() { admission.leave(lane); }

  ProcessCounts process(const EventBatch& batch, DeadLetters& late);
  PartialPtr take(Timestamp watermark, bool all);
  PartialPtr copy_open(std::size_t index);
  PartialPtr copy_all() const;
  Result<RestoredWindows> restore(std::optional<std::string_view> snapshot, Timestamp watermark);

  /// What is known of the slice in hand.
  struct Slice {
    const EventBatch* batch = nullptr;
    std::size_t begin = 0;
    std::size_t rows = 0;
    const Timestamp* times = nullptr;
    Timestamp newest_before = kMinTimestamp;  ///< Of the partition, before the slice.
    Timestamp newest_after = kMinTimestamp;
  };

  void run_slice(const Slice& slice, ProcessCounts& counts, DeadLetters& late);
  void run_window(const WindowPlan& window, const Slice& slice, std::span<const std::uint16_t> rows,
                  ProcessCounts& counts, DeadLetters& late);
  std::span<const std::uint16_t> drop_late(const WindowPlan& window, const Slice& slice,
                                           std::span<const std::uint16_t> rows,
                                           ProcessCounts& counts, DeadLetters& late);
  /// When rows are due: row i at of_row[i], or all at one time, or each at the end of its pane.
  struct Dues {
    const Timestamp* of_row = nullptr;
    std::optional<Timestamp> of_all;

    std::optional<Timestamp> of(std::uint16_t row) const {
      return of_row != nullptr ? std::optional(of_row[row]) : of_all;
    }
  };
  void split(const WindowPlan& window, const Slice& slice, std::span<const std::uint16_t> rows,
             const Dues& row_dues, ProcessCounts& counts);
  void update(WindowInstance& instance, const Slice& slice, std::span<const std::uint16_t> rows,
              ProcessCounts& counts);
  /// `due`: nothing for the end of the pane.
  WindowInstance& instance_at(const WindowPlan& window, Timestamp t, std::optional<Timestamp> due);
  /// Only the instances used last keep a large direct map, however many are open.
  void keep_few_maps(WindowInstance& used);

  /// The stream's watermark before a row of the slice, the newest time before which was `newest`.
  static Timestamp watermark_at(const Slice& slice, std::size_t row, Timestamp newest) {
    const EventBatch& batch = *slice.batch;
    if (!batch.watermarks.empty()) return batch.watermarks[slice.begin + row];
    return std::max(batch.stamp.floor_time, std::min(batch.stamp.others_time, newest));
  }

  std::shared_ptr<const StreamWindowsPlan> plan;
  std::size_t lane;
  Admission::Impl& admission;
  expr::Evaluator evaluator;
  KeyResolver resolver;
  SliceUpdate slice_update;

  OpenInstances open;
  struct WindowState {
    WindowInstance* current = nullptr;  ///< The instance used last.
    bool changed = false;               ///< Since the last copy.
    std::size_t copies_to_skip = 0;
  };
  std::vector<WindowState> states;
  std::vector<WindowInstance*> with_large_map;  ///< The one used last stands last.
  Lateness lateness;
  std::vector<std::uint64_t> late_counts;
  std::vector<std::uint64_t> partly_late_counts;
  std::vector<std::uint64_t> correcting_counts;

  std::vector<ColumnView> views;   ///< Of the batch.
  std::vector<ColumnView> inputs;  ///< Of the slice.
  std::vector<ColumnView> key_columns;
  RowList all_rows;
  RowList counted;    ///< Not excluded.
  RowList passing;    ///< The stream's filter.
  RowList in_window;  ///< The window's condition.
  RowList on_time;
  RowList one_instance;
  RowList other_instances;
  std::array<Timestamp, kSliceRows> dues;  ///< By row of the slice.
  std::array<std::uint32_t, kSliceRows> slots;
  std::size_t letters_left = 0;
};

StreamWindows::Impl::Impl(std::shared_ptr<const StreamWindowsPlan> plan_in, std::size_t lane_in,
                          Admission& admission_in)
    : plan(std::move(plan_in)),
      lane(lane_in),
      admission(admission_in.impl()),
      evaluator(plan->program),
      resolver(admission, lane),
      open(plan->windows.size()),
      states(plan->windows.size()),
      lateness(*plan),
      late_counts(plan->windows.size()),
      partly_late_counts(plan->windows.size()),
      correcting_counts(plan->windows.size()) {
  for (std::size_t i = 0; i < kSliceRows; ++i) all_rows[i] = static_cast<std::uint16_t>(i);
  admission.join(lane, &open);
}

ProcessCounts StreamWindows::Impl::process(const EventBatch& batch, DeadLetters& late) {
  ProcessCounts counts;
  std::fill(late_counts.begin(), late_counts.end(), 0);
  std::fill(partly_late_counts.begin(), partly_late_counts.end(), 0);
  std::fill(correcting_counts.begin(), correcting_counts.end(), 0);
  counts.late = late_counts;
  counts.partly_late = partly_late_counts;
  counts.correcting = correcting_counts;
  letters_left = kMaxDeadLetters;
  resolver.begin(batch);
  evaluator.set_lookups(batch.lookups);
  views.clear();
  batch.append_views(0, views);
  inputs.resize(views.size());

  Slice slice;
  slice.batch = &batch;
  slice.newest_after = batch.stamp.partition_time;
  for (std::size_t begin = 0; begin < batch.rows; begin += kSliceRows) {
    slice.begin = begin;
    slice.rows = std::min(kSliceRows, batch.rows - begin);
    slice.times = batch.time.data() + begin;
    slice.newest_before = slice.newest_after;
    for (std::size_t i = 0; i < slice.rows; ++i) {
      slice.newest_after = std::max(slice.newest_after, slice.times[i]);
    }
    run_slice(slice, counts, late);
  }
  return counts;
}

void StreamWindows::Impl::run_slice(const Slice& slice, ProcessCounts& counts, DeadLetters& late) {
  for (const std::size_t i : plan->program->inputs_used()) {
    inputs[i] = views[i].slice(slice.begin);
  }
  evaluator.run(inputs, slice.rows, slice.batch->origin.received_at);
  std::span<const std::uint16_t> rows(all_rows.data(), slice.rows);
  if (!slice.batch->excluded.empty()) {
    const std::uint8_t* const excluded = slice.batch->excluded.data() + slice.begin;
    std::size_t n = 0;
    for (std::size_t i = 0; i < slice.rows; ++i) {
      counted[n] = static_cast<std::uint16_t>(i);
      n += excluded[i] == 0 ? 1 : 0;
    }
    counts.excluded += slice.rows - n;
    rows = {counted.data(), n};
  }
  if (plan->filter != kNoOutput) {
    const std::size_t n =
        rows_where(evaluator.output(static_cast<std::size_t>(plan->filter)), rows, passing.data());
    counts.filtered += rows.size() - n;
    rows = {passing.data(), n};
  }
  if (rows.empty()) return;
  for (const WindowPlan& window : plan->windows) run_window(window, slice, rows, counts, late);
}

void StreamWindows::Impl::run_window(const WindowPlan& window, const Slice& slice,
                                     std::span<const std::uint16_t> rows, ProcessCounts& counts,
                                     DeadLetters& late) {
  if (window.where != kNoOutput) {
    const std::size_t n = rows_where(evaluator.output(static_cast<std::size_t>(window.where)), rows,
                                     in_window.data());
    rows = {in_window.data(), n};
    if (rows.empty()) return;
  }
  Timestamp oldest = kMaxTimestamp;
  Timestamp newest = kMinTimestamp;
  for (const std::uint16_t row : rows) {
    oldest = std::min(oldest, slice.times[row]);
    newest = std::max(newest, slice.times[row]);
  }
  // No row is late if the oldest is not, even by the watermark that follows the slice. Of sessions
  // none may close within it either.
  const WindowState& state = states[window.index];
  const bool in_current = state.current != nullptr && state.current->interval.contains(oldest);
  const Interval first = in_current ? state.current->interval : window.assigner.at(oldest);
  const Timestamp last = watermark_at(slice, slice.rows - 1, slice.newest_after);
  const auto due = lateness.due(window, first, last);
  const bool as_one =
      window.session()
          ? due && due == lateness.due(window, first, watermark_at(slice, 0, slice.newest_before))
          : due == first.end;
  Dues row_dues;
  if (!as_one) {
    rows = drop_late(window, slice, rows, counts, late);
    const bool differ = window.hopping() || window.session() || window.corrects();
    if (differ) row_dues.of_row = dues.data();
  } else if (window.session()) {
    row_dues.of_all = due;
  }
  if (as_one && newest < first.end) {
    update(instance_at(window, oldest, row_dues.of_all), slice, rows, counts);
  } else {
    split(window, slice, rows, row_dues, counts);
  }
}

std::span<const std::uint16_t> StreamWindows::Impl::drop_late(const WindowPlan& window,
                                                              const Slice& slice,
                                                              std::span<const std::uint16_t> rows,
                                                              ProcessCounts& counts,
                                                              DeadLetters& late) {
  Timestamp newest = slice.newest_before;
  Interval pane = window.assigner.at(slice.times[rows.front()]);
  std::size_t next_row = 0;
  std::size_t n = 0;
  for (const std::uint16_t row : rows) {
    // Every row before this one moves time, also those that are excluded or filtered out.
    for (; next_row < row; ++next_row) newest = std::max(newest, slice.times[next_row]);
    const Timestamp t = slice.times[row];
    if (!pane.contains(t)) pane = window.assigner.at(t);
    const Timestamp watermark = watermark_at(slice, row, newest);
    if (const auto due = lateness.due(window, pane, watermark)) {
      dues[row] = *due;
      on_time[n++] = row;
      if (window.session() || *due == pane.end) continue;
      partly_late_counts[window.index] += lateness.whole(window, pane, *due) ? 0 : 1;
      if (!window.corrects()) continue;
      ++correcting_counts[window.index];
      counts.revised_at = std::max(counts.revised_at, window.closes_at(*due));
      continue;
    }
    ++late_counts[window.index];
    if (letters_left == 0) {
      ++counts.late_unsent;
      continue;
    }
    --letters_left;
    late.push_back(lateness.letter(window, *slice.batch, slice.begin + row, watermark));
  }
  return {on_time.data(), n};
}

void StreamWindows::Impl::split(const WindowPlan& window, const Slice& slice,
                                std::span<const std::uint16_t> rows, const Dues& row_dues,
                                ProcessCounts& counts) {
  const auto first_instance = [&]() -> WindowInstance& {
    const std::uint16_t row = rows.front();
    return instance_at(window, slice.times[row], row_dues.of(row));
  };
  const auto is_of = [&](const WindowInstance& instance, std::uint16_t row) {
    return instance.interval.contains(slice.times[row]) &&
           (row_dues.of_row == nullptr || row_dues.of_row[row] == instance.due);
  };
  // One instance after the other takes its rows, the others stay in their order. A slice that
  // meets very many instances would make that slow: then runs of one instance are enough.
  constexpr int kMaxPasses = 16;
  for (int pass = 0; !rows.empty() && pass < kMaxPasses; ++pass) {
    WindowInstance& instance = first_instance();
    std::size_t mine = 0;
    std::size_t others = 0;
    for (const std::uint16_t row : rows) {
      const bool is_mine = is_of(instance, row);
      one_instance[mine] = row;
      mine += is_mine ? 1 : 0;
      other_instances[others] = row;  // Never ahead of the row being read, so in place.
      others += is_mine ? 0 : 1;
    }
    update(instance, slice, {one_instance.data(), mine}, counts);
    rows = {other_instances.data(), others};
  }
  while (!rows.empty()) {
    WindowInstance& instance = first_instance();
    std::size_t n = 1;
    while (n < rows.size() && is_of(instance, rows[n])) ++n;
    update(instance, slice, rows.first(n), counts);
    rows = rows.subspan(n);
  }
}

WindowInstance& StreamWindows::Impl::instance_at(const WindowPlan& window, Timestamp t,
                                                 std::optional<Timestamp> due) {
  WindowState& state = states[window.index];
  const bool in_current = state.current != nullptr && state.current->interval.contains(t);
  const Interval pane = in_current ? state.current->interval : window.assigner.at(t);
  const InstancePlace place{window.index, due.value_or(pane.end), pane.start};
  if (in_current && state.current->due == place.due) return *state.current;
  std::vector<InstancePtr>& instances = open[window.index];
  state.current = instance_of(instances, place);
  if (state.current != nullptr) return *state.current;
  const auto at = instances.insert(find_instance(instances, place),
                                   std::make_unique<WindowInstance>(window, pane, place.due));
  (*at)->frozen = admission.frozen_keys(place);
  state.current = at->get();
  return *state.current;
}

void StreamWindows::Impl::keep_few_maps(WindowInstance& used) {
  if (!used.direct.is_large()) return;
  if (!with_large_map.empty() && with_large_map.back() == &used) return;
  std::erase(with_large_map, &used);
  with_large_map.push_back(&used);
  if (with_large_map.size() <= kLargeMaps) return;
  with_large_map.front()->direct = {};
  with_large_map.erase(with_large_map.begin());
}

void StreamWindows::Impl::update(WindowInstance& instance, const Slice& slice,
                                 std::span<const std::uint16_t> rows, ProcessCounts& counts) {
  const WindowPlan& window = instance.table.plan();
  key_columns.clear();
  for (const int key : window.keys) {
    key_columns.push_back(evaluator.output(static_cast<std::size_t>(key)));
  }
  resolver.resolve(instance, key_columns, rows, slots.data());
  keep_few_maps(instance);
  if (instance.table.has_overflow()) {
    const std::uint32_t overflow = instance.table.overflow_slot();
    counts.overflow_rows += static_cast<std::uint64_t>(std::count(
        slots.begin(), slots.begin() + static_cast<std::ptrdiff_t>(rows.size()), overflow));
  }
  slice_update.apply(
      instance, evaluator,
      {rows, slice.times, slice.batch->stamp.sequence, number_of(*slice.batch, slice.begin)},
      slots.data());
  states[window.index].changed = true;
}

PartialPtr StreamWindows::Impl::take(Timestamp watermark, bool all) {
  PartialPtr partial;
  for (const WindowPlan& window : plan->windows) {
    std::vector<InstancePtr>& instances = open[window.index];
    // By due, so what is to be handed over stands in front.
    std::size_t n = 0;
    while (n < instances.size() && (all || window.closes_at(instances[n]->due) <= watermark)) {
      ++n;
    }
    if (n == 0) continue;
    if (partial == nullptr) {
      partial.reset(new Partial);
      partial->plan = plan;
      partial->lane = lane;
    }
    const auto end = instances.begin() + static_cast<std::ptrdiff_t>(n);
    for (auto at = instances.begin(); at != end; ++at) {
      std::erase(with_large_map, at->get());
      (*at)->direct = {};  // Of no use to the merger.
    }
    std::move(instances.begin(), end, std::back_inserter(partial->instances));
    instances.erase(instances.begin(), end);
    states[window.index].current = nullptr;
  }
  return partial;
}

PartialPtr StreamWindows::Impl::copy_open(std::size_t index) {
  WindowState& state = states.at(index);
  if (!state.changed) return nullptr;
  if (state.copies_to_skip > 0) {
    --state.copies_to_skip;
    return nullptr;
  }
  std::size_t keys = 0;
  PartialPtr partial(new Partial);
  partial->plan = plan;
  partial->lane = lane;
  partial->view_window = index;
  for (const InstancePtr& instance : open[index]) {
    auto copy =
        std::make_unique<WindowInstance>(plan->windows[index], instance->interval, instance->due);
    copy->table.copy(instance->table);
    keys += copy->table.size();
    partial->instances.push_back(std::move(copy));
  }
  state.changed = false;
  state.copies_to_skip = keys / kOftenCopiedKeys;
  return partial;
}

PartialPtr StreamWindows::Impl::copy_all() const {
  PartialPtr partial;
  for (const std::vector<InstancePtr>& instances : open) {
    for (const InstancePtr& instance : instances) {
      if (partial == nullptr) {
        partial.reset(new Partial);
        partial->plan = plan;
        partial->lane = lane;
      }
      auto copy = std::make_unique<WindowInstance>(instance->table.plan(), instance->interval,
                                                   instance->due);
      copy->table.copy(instance->table);
      partial->instances.push_back(std::move(copy));
    }
  }
  return partial;
}

Result<RestoredWindows> StreamWindows::Impl::restore(std::optional<std::string_view> snapshot,
                                                     Timestamp watermark) {
  OpenInstances fresh(plan->windows.size());
  std::vector<RetainedPanes> handed_over(plan->windows.size());
  auto restored = decode_snapshot(snapshot, *plan, watermark, fresh, handed_over);
  if (!restored) return restored;
  open = std::move(fresh);
  for (const RetainedPanes& panes : handed_over) {
    restored->closed.push_back({panes.closed_before, panes.forgotten});
  }
  for (const WindowPlan& window : plan->windows) {
    for (const InstancePtr& instance : open[window.index]) {
      const bool late = instance->due > window.assigner.last_end(instance->interval);
      const bool corrects = window.corrects() && instance->due != instance->interval.end;
      if (!late && !corrects) continue;
      restored->revised_at = std::max(restored->revised_at, window.closes_at(instance->due));
    }
  }
  for (WindowState& state : states) state = {nullptr, true, 0};
  admission.restored();
  return restored;
}

StreamWindows::StreamWindows(std::shared_ptr<const StreamWindowsPlan> plan, std::size_t lane,
                             Admission& admission)
    : impl_(std::make_unique<Impl>(std::move(plan), lane, admission)) {}

StreamWindows::~StreamWindows() = default;

ProcessCounts StreamWindows::process(const EventBatch& batch, DeadLetters& late) {
  return impl_->process(batch, late);
}

PartialPtr StreamWindows::take_closed(Timestamp watermark) {
  PartialPtr partial = impl_->take(watermark, false);
  impl_->admission.passed(impl_->lane, watermark);
  return partial;
}

PartialPtr StreamWindows::copy_open(std::size_t index) {
  return impl_->copy_open(index);
}

PartialPtr StreamWindows::take_all() {
  return impl_->take(kMaxTimestamp, true);
}

PartialPtr StreamWindows::copy_all() const {
  return impl_->copy_all();
}

Result<RestoredWindows> StreamWindows::restore(std::optional<std::string_view> snapshot,
                                               Timestamp watermark) {
  return impl_->restore(snapshot, watermark);
}

void StreamWindows::keep_closed(const std::vector<ClosedBefore>& closed) {
  impl_->lateness.keep_closed(closed);
}

std::size_t StreamWindows::open_instances() const {
  std::size_t n = 0;
  for (std::size_t window = 0; window < impl_->open.size(); ++window) {
    const Assigner& assigner = impl_->plan->windows[window].assigner;
    for (const InstancePtr& instance : impl_->open[window]) {
      n += instance->due > assigner.last_end(instance->interval) ? 0 : 1;
    }
  }
  return n;
}

std::size_t StreamWindows::keys() const {
  std::size_t n = 0;
  for (const auto& instances : impl_->open) {
    for (const InstancePtr& instance : instances) n += instance->table.size();
  }
  return n;
}

std::size_t StreamWindows::bytes() const {
  std::size_t n = 0;
  for (const auto& instances : impl_->open) {
    for (const InstancePtr& instance : instances) {
      n += sizeof(WindowInstance) + instance->table.bytes() +
           instance->direct.slots.capacity() * sizeof(std::uint32_t);
    }
  }
  return n;
}

}  // namespace streamobs::window

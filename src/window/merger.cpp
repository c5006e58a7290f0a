#include "window/merger.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "window/instance.h"
#include "window/key_order.h"
#include "window/plan.h"
#include "window/row_finisher.h"
#include "window/snapshot.h"
#include "window/state.h"

namespace streamobs::window {

struct WindowMerger::Impl {
  explicit Impl(std::shared_ptr<const StreamWindowsPlan> plan_in) : plan(std::move(plan_in)) {
    for (const WindowPlan& window : plan->windows) finishers.emplace_back(window);
  }

  /// All lanes' tables of one window instance.
  struct Group {
    const WindowPlan* window;
    Interval interval;
    std::vector<WindowInstance*> parts;  ///< In lane order.
  };
  struct Round {
    std::uint64_t position;
    Timestamp watermark;
    bool closed;
    bool early;  ///< A view of what is still open.
  };

  void remember_views(std::vector<PartialPtr>& partials, std::vector<std::size_t>& windows);
  void forget_closed(Timestamp watermark);
  static std::vector<Group> grouped(const StreamWindowsPlan& plan,
                                    const std::vector<WindowInstance*>& instances);
  void emit(std::vector<Group> groups, const Round& round, bool may_consume, Records& out);
  void append_rows(const Group& group, const GroupTable& table, const Round& round,
                   std::vector<std::shared_ptr<WindowBatch>>& batches);
  void finish_rows(const WindowPlan& window, std::span<WindowRow> rows,
                   std::span<const std::byte* const> groups, const Round& round);

  std::shared_ptr<const StreamWindowsPlan> plan;
  std::vector<RowFinisher> finishers;
  /// The newest copy of each lane's open instances, by window and lane: a lane that has nothing new
  /// sends none, and its share must be shown all the same.
  std::map<std::pair<std::size_t, std::size_t>, PartialPtr> views;
};

WindowMerger::WindowMerger(std::shared_ptr<const StreamWindowsPlan> plan)
    : impl_(std::make_unique<Impl>(std::move(plan))) {}

WindowMerger::~WindowMerger() = default;

void WindowMerger::snapshot(std::vector<PartialPtr> copies, std::string& out) const {
  std::vector<WindowInstance*> instances;
  for (const PartialPtr& copy : copies) {
    if (copy == nullptr) continue;
    for (const InstancePtr& instance : copy->instances) {
      instance->table.settle();
      instances.push_back(instance.get());
    }
  }
  encode_snapshot(*impl_->plan, instances, out);
}

std::uint64_t WindowMerger::overflows() const {
  std::uint64_t n = 0;
  for (const RowFinisher& finisher : impl_->finishers) n += finisher.overflows();
  return n;
}

void WindowMerger::merge(std::vector<PartialPtr> partials, std::uint64_t position,
                         Timestamp watermark, bool closed, Records& out) {
  const Impl::Round round{position, watermark, closed, false};
  std::vector<std::size_t> shown;
  impl_->remember_views(partials, shown);

  std::vector<WindowInstance*> instances;
  for (const std::size_t window : shown) {
    for (auto& [place, view] : impl_->views) {
      if (place.first != window) continue;
      for (const InstancePtr& instance : view->instances) instances.push_back(instance.get());
    }
  }
  if (!instances.empty()) {
    impl_->emit(Impl::grouped(*impl_->plan, instances), {position, watermark, false, true}, false,
                out);
    instances.clear();
  }

  bool any = false;
  for (const PartialPtr& partial : partials) {
    if (partial == nullptr) continue;
    any = true;
    for (const InstancePtr& instance : partial->instances) instances.push_back(instance.get());
  }
  if (!any) return;
  if (closed) {
    impl_->forget_closed(watermark);
  } else {
    impl_->views.clear();  // All that was open has been handed over.
  }
  impl_->emit(Impl::grouped(*impl_->plan, instances), round, true, out);
}

void WindowMerger::Impl::remember_views(std::vector<PartialPtr>& partials,
                                        std::vector<std::size_t>& windows) {
  for (PartialPtr& partial : partials) {
    if (partial == nullptr || !partial->is_view) continue;
    for (const InstancePtr& instance : partial->instances) instance->table.settle();
    const std::size_t window = partial->view_window;
    if (std::find(windows.begin(), windows.end(), window) == windows.end()) {
      windows.push_back(window);
    }
    const std::size_t lane = partial->lane;
    views[{window, lane}] = std::move(partial);
  }
}

void WindowMerger::Impl::forget_closed(Timestamp watermark) {
  for (auto& [place, view] : views) {
    const WindowPlan& window = plan->windows[place.first];
    std::erase_if(view->instances, [&](const InstancePtr& instance) {
      return window.closes_at(instance->interval) <= watermark;
    });
  }
  std::erase_if(views, [](const auto& entry) { return entry.second->instances.empty(); });
}

std::vector<WindowMerger::Impl::Group> WindowMerger::Impl::grouped(
    const StreamWindowsPlan& plan, const std::vector<WindowInstance*>& instances) {
  // By closing time, window and start; the parts keep their order, which is that of lanes.
  std::map<std::tuple<Timestamp, std::size_t, Timestamp>, Group> groups;
  for (WindowInstance* const instance : instances) {
    const WindowPlan& window = plan.windows[instance->table.plan().index];
    Group& group =
        groups[{window.closes_at(instance->interval), window.index, instance->interval.start}];
    group.window = &window;
    group.interval = instance->interval;
    group.parts.push_back(instance);
  }
  std::vector<Group> sorted;
  sorted.reserve(groups.size());
  for (auto& entry : groups) sorted.push_back(std::move(entry.second));
  return sorted;
}

void WindowMerger::Impl::emit(std::vector<Group> groups, const Round& round, bool may_consume,
                              Records& out) {
  std::vector<std::shared_ptr<WindowBatch>> batches;
  for (const Group& group : groups) {
    if (group.parts.size() == 1) {
      append_rows(group, group.parts[0]->table, round, batches);
      continue;
    }
    if (may_consume) {
      GroupTable& table = group.parts[0]->table;
      for (std::size_t i = 1; i < group.parts.size(); ++i) table.merge(group.parts[i]->table);
      append_rows(group, table, round, batches);
    } else {
      GroupTable table(*group.window);
      for (const WindowInstance* part : group.parts) table.merge(part->table);
      append_rows(group, table, round, batches);
    }
  }
  std::vector<bool> seen(plan->windows.size(), false);
  for (auto batch = batches.rbegin(); batch != batches.rend(); ++batch) {
    for (std::size_t i = 0; i < plan->windows.size(); ++i) {
      if (plan->windows[i].schema != (*batch)->schema) continue;
      (*batch)->last = !seen[i];
      seen[i] = true;
    }
  }
  for (std::shared_ptr<WindowBatch>& batch : batches) out.emplace_back(WindowBatchPtr(batch));
}

void WindowMerger::Impl::append_rows(const Group& group, const GroupTable& table,
                                     const Round& round,
                                     std::vector<std::shared_ptr<WindowBatch>>& batches) {
  const std::vector<std::uint32_t> slots = slots_by_key(table);
  std::vector<const std::byte*> rows;
  for (std::size_t at = 0; at < slots.size();) {
    if (batches.empty() || batches.back()->schema != group.window->schema ||
        batches.back()->rows.size() == WindowBatch::kMaxRows) {
      auto batch = std::make_shared<WindowBatch>();
      batch->schema = group.window->schema;
      batch->position = round.position;
      batch->watermark = round.watermark;
      batch->early = round.early;
      batches.push_back(std::move(batch));
    }
    WindowBatch& batch = *batches.back();
    const std::size_t first = batch.rows.size();
    const std::size_t n = std::min(WindowBatch::kMaxRows - first, slots.size() - at);
    rows.clear();
    for (std::size_t i = 0; i < n; ++i) {
      const std::uint32_t slot = slots[at + i];
      WindowRow& row = batch.rows.emplace_back();
      row.start = group.interval.start;
      row.end = group.interval.end;
      row.closed = round.closed;
      row.overflow = table.key(slot).is_overflow();
      row.keys = decode_key(table.key(slot), group.window->key_types);
      rows.push_back(table.row(slot));
    }
    finish_rows(*group.window, std::span(batch.rows).subspan(first), rows, round);
    at += n;
  }
}

void WindowMerger::Impl::finish_rows(const WindowPlan& window, std::span<WindowRow> rows,
                                     std::span<const std::byte* const> groups, const Round& round) {
  finishers[window.index].finish(rows, groups, round.watermark);
  if (round.early) return;
  for (std::size_t i = 0; i < rows.size(); ++i) encode_state(window, groups[i], rows[i].state);
}

}  // namespace streamobs::window

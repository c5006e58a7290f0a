#include "window/corrections.h"

#include <algorithm>
#include <utility>

#include "window/key_order.h"

namespace streamobs::window {

namespace {

std::uint32_t find(const GroupTable& table, const GroupKey& key) {
  return table.find(key, key.hash());
}

std::uint32_t find_or_add(GroupTable& table, const GroupKey& key) {
  if (key.is_overflow()) return table.overflow_slot();
  const std::uint32_t slot = find(table, key);
  return slot != GroupTable::kNone ? slot : table.insert(key, key.hash());
}

void merge_group(const GroupTable& from, std::uint32_t slot, GroupTable& to, std::uint32_t into) {
  for (const AccumulatorPlan& a : from.plan().accumulators) {
    a.ops->merge(to.row(into) + a.offset, from.row(slot) + a.offset, to.arena());
  }
}

/// Whether any of these starts lies in the window.
bool any_in(const std::vector<Timestamp>& starts, const Interval& window) {
  const auto at = std::lower_bound(starts.begin(), starts.end(), window.start);
  return at != starts.end() && *at < window.end;
}

}  // namespace

WindowInstance& Corrections::keep(InstancePtr pane) {
  InstancePtr& place = panes_[pane->interval.start];
  if (place == nullptr) {
    place = std::move(pane);
    place->due = place->interval.end;
    place->frozen = nullptr;
  } else {
    place->table.merge(pane->table);
  }
  return *place;
}

const WindowInstance* Corrections::pane_at(Timestamp start, const Panes& open) const {
  if (const auto at = panes_.find(start); at != panes_.end()) return at->second.get();
  const auto at = open.find(start);
  return at == open.end() ? nullptr : at->second.get();
}

/// A pane has max_keys groups and __overflow__, in whatever portions they come: of those that come
/// late and are new, the first in the order of their bytes are admitted.
void Corrections::cap(InstancePtr& part, const WindowInstance* pane) const {
  if (pane == nullptr) return;
  std::size_t room = plan_.max_keys - std::min<std::size_t>(plan_.max_keys, pane->table.keys());
  const GroupTable& table = part->table;
  const auto is_new = [&](const GroupKey& key) {
    return !key.is_overflow() && find(pane->table, key) == GroupTable::kNone;
  };
  std::size_t wanted = 0;
  for (std::uint32_t slot = 0; slot < table.size(); ++slot) wanted += is_new(table.key(slot));
  if (wanted <= room) return;
  auto capped = std::make_unique<WindowInstance>(plan_, part->interval, part->due);
  for (const std::uint32_t slot : slots_by_bytes(table)) {
    const GroupKey& key = table.key(slot);
    const bool beyond = is_new(key) && room == 0;
    if (is_new(key) && !beyond) --room;
    const std::uint32_t into =
        beyond ? capped->table.overflow_slot() : find_or_add(capped->table, key);
    merge_group(table, slot, capped->table, into);
  }
  part = std::move(capped);
}

/// Which groups a part adds to, and which closed windows it belongs to. A window that closed so
/// long ago that it takes nothing more may have an end among its pane's.
void Corrections::note(const WindowInstance& part, Timestamp due, Late& late) const {
  for (std::uint32_t slot = 0; slot < part.table.size(); ++slot) {
    const std::uint32_t group = find_or_add(late.keys, part.table.key(slot));
    if (group == late.groups.size()) late.groups.emplace_back();
    late.groups[group].changed.push_back(part.interval.start);
  }
  const Timestamp last = plan_.assigner.last_end(part.interval);
  const Duration step = part.interval.end - part.interval.start;
  for (Timestamp end = part.interval.end; end <= last && end < due;
       end = saturating_add(end, step)) {
    const bool in_time = due <= owed_ || saturating_add(end, plan_.correct_for) >= due;
    if (end > forgotten_ && in_time) late.ends.insert(end);
  }
}

/// Those that the windows to be corrected are made of, by start.
std::vector<const WindowInstance*> Corrections::panes_of(const Late& late,
                                                         const Panes& open) const {
  std::vector<const WindowInstance*> panes;
  for (const Panes* each : {&panes_, &open}) {
    for (const auto& [start, pane] : *each) {
      const auto end = late.ends.lower_bound(pane->interval.end);
      if (end != late.ends.end() && *end <= plan_.assigner.last_end(pane->interval)) {
        panes.push_back(pane.get());
      }
    }
  }
  std::sort(panes.begin(), panes.end(), [](const WindowInstance* a, const WindowInstance* b) {
    return a->interval.start < b->interval.start;
  });
  return panes;
}

void Corrections::add_changed(const WindowInstance& pane, const Late& late, GroupTable& to) const {
  for (std::uint32_t group = 0; group < late.keys.size(); ++group) {
    const std::uint32_t slot = find(pane.table, late.keys.key(group));
    if (slot == GroupTable::kNone) continue;
    merge_group(pane.table, slot, to, find_or_add(to, late.keys.key(group)));
  }
}

std::vector<std::int64_t> Corrections::number(const GroupTable& groups, const Interval& window,
                                              const Late& late) {
  std::vector<std::int64_t> numbers(groups.size(), WindowCloser::Closed::kUnchanged);
  for (std::uint32_t slot = 0; slot < groups.size(); ++slot) {
    const GroupKey& key = groups.key(slot);
    const Group& group = late.groups[find(late.keys, key)];
    if (!any_in(group.changed, window)) continue;
    numbers[slot] = 0;
    if (!any_in(group.before, window)) continue;
    numbers[slot] = ++revisions_[window.end][{key.is_overflow(), std::string(key.bytes())}];
  }
  return numbers;
}

void Corrections::revise(Timestamp due, std::vector<InstancePtr> parts, const Panes& open,
                         const std::function<void(InstancePtr)>& to_open,
                         std::vector<WindowCloser::Closed>& out) {
  Late late(plan_);
  for (InstancePtr& part : parts) {
    cap(part, pane_at(part->interval.start, open));
    note(*part, due, late);
  }
  for (const WindowInstance* pane : panes_of(late, open)) {
    for (std::uint32_t group = 0; group < late.keys.size(); ++group) {
      if (find(pane->table, late.keys.key(group)) == GroupTable::kNone) continue;
      late.groups[group].before.push_back(pane->interval.start);
    }
  }
  for (InstancePtr& part : parts) {
    if (plan_.assigner.last_end(part->interval) >= due) {
      to_open(std::move(part));
    } else {
      keep(std::move(part));
    }
  }
  if (late.ends.empty()) return;
  // The changed groups alone go once more through what makes windows of panes.
  PaneCloser again(plan_, PaneCloser::For::one_time);
  for (const WindowInstance* pane : panes_of(late, open)) {
    auto changed = std::make_unique<WindowInstance>(plan_, pane->interval, pane->interval.end);
    add_changed(*pane, late, changed->table);
    if (changed->table.size() != 0) again.take(std::move(changed));
  }
  while (const std::optional<Timestamp> end = again.next_end()) {
    if (*end > *late.ends.rbegin()) break;
    for (WindowCloser::Closed& closed : again.close_next()) {
      if (!late.ends.contains(*end)) continue;
      closed.revisions = number(*closed.table, closed.interval, late);
      out.push_back(std::move(closed));
    }
  }
}

void Corrections::pass(Timestamp passed) {
  if (passed < owed_) return;
  owed_ = kMinTimestamp;
  const Timestamp next_due = plan_.revisions.end_after(passed);
  const Timestamp gone = saturating_add(saturating_add(next_due, -plan_.correct_for), -1);
  if (gone <= forgotten_) return;
  forgotten_ = gone;
  std::erase_if(panes_, [&](const auto& entry) {
    return plan_.assigner.last_end(entry.second->interval) <= gone;
  });
  revisions_.erase(revisions_.begin(), revisions_.upper_bound(gone));
}

void Corrections::clear() {
  panes_.clear();
  revisions_.clear();
}

void Corrections::restore(RetainedPanes& retained) {
  forgotten_ = retained.forgotten;
  owed_ = retained.owed;
  revisions_ = std::move(retained.revisions);
  for (InstancePtr& pane : retained.closed) keep(std::move(pane));
}

}  // namespace streamobs::window

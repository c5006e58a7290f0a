#include "window/session_closer.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "window/aggregate/ordered_values.h"

namespace streamobs::window {

namespace {

Timestamp time_at(const std::byte* row, std::size_t offset) {
  return reinterpret_cast<const ScalarState<std::int64_t>*>(row + offset)->value;
}

}  // namespace

Interval session_of(const WindowPlan& plan, const std::byte* row) {
  Interval session{time_at(row, plan.first_time),
                   saturating_add(time_at(row, plan.last_time), plan.gap)};
  if (plan.cut_every != 0) {
    session.end = std::min(session.end, Assigner(plan.cut_every).at(session.start).end);
  }
  return session;
}

std::optional<Timestamp> SessionCloser::next_end() const {
  std::optional<Timestamp> end;
  if (!handed_over_.empty()) end = handed_over_.begin()->first.first;
  if (!panes_.empty()) {
    const Timestamp next = panes_.begin()->second->interval.end;
    if (!end || next < *end) end = next;
  }
  return end;
}

std::vector<WindowCloser::Closed> SessionCloser::close_next() {
  std::vector<Closed> all;
  const Timestamp end = *next_end();
  while (InstancePtr part = take_due(end)) add(std::move(part));
  if (panes_.empty() || panes_.begin()->second->interval.end > end) return all;
  Closed& closed = all.emplace_back();
  closed.pane = std::move(panes_.begin()->second);
  panes_.erase(panes_.begin());
  closed.interval = closed.pane->interval;
  closed.table = &closed.pane->table;
  closed.sessions.emplace();
  for (std::uint32_t slot = 0; slot < closed.table->size(); ++slot) {
    if (!goes_on(*closed.pane, slot)) closed.sessions->push_back(slot);
  }
  return all;
}

/// Merges a group of the pane that has ended into the one that its session goes on with, if any.
bool SessionCloser::goes_on(const WindowInstance& pane, std::uint32_t slot) {
  const GroupTable& table = pane.table;
  const GroupKey& key = table.key(slot);
  const std::uint32_t hash = key.hash();
  const Interval session = session_of(plan_, table.row(slot));
  for (auto& [start, later] : panes_) {
    if (start >= session.end) break;
    const std::uint32_t other = later->table.find(key, hash);
    if (other == GroupTable::kNone) continue;
    // The first group behind this one: if it is too far away, all are.
    if (session_of(plan_, later->table.row(other)).start >= session.end) return false;
    for (const AccumulatorPlan& a : plan_.accumulators) {
      a.ops->merge(later->table.row(other) + a.offset, table.row(slot) + a.offset,
                   later->table.arena());
    }
    return true;
  }
  return false;
}

/// As if everything closed now, on copies: which groups are one session is known only then.
std::vector<WindowCloser::Closed> SessionCloser::preview(
    Timestamp /*end*/, std::span<const WindowInstance* const> parts) const {
  SessionCloser now(plan_);
  const auto add_copy = [&](const WindowInstance& instance) {
    auto copy = std::make_unique<WindowInstance>(plan_, instance.interval, instance.interval.end);
    copy->table.merge(instance.table);  // Unlike copy(), for groups to be found in it.
    now.add(std::move(copy));
  };
  for (const auto& [start, pane] : panes_) add_copy(*pane);
  for (const WindowInstance* part : parts) add_copy(*part);
  std::vector<Closed> all;
  while (now.next_end()) {
    for (Closed& closed : now.close_next()) all.push_back(std::move(closed));
  }
  return all;
}

}  // namespace streamobs::window

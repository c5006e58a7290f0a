#include "window/window_closer.h"

#include <algorithm>
#include <utility>

#include "window/corrections.h"
#include "window/session_closer.h"

namespace streamobs::window {

namespace {

std::unique_ptr<GroupTable> copy_of(const GroupTable& table) {
  auto copy = std::make_unique<GroupTable>(table.plan());
  copy->copy(table);
  copy->settle();
  return copy;
}

}  // namespace

void WindowCloser::take(InstancePtr part) {
  handed_over_[{part->due, part->interval.start}].push_back(std::move(part));
}

InstancePtr WindowCloser::take_due(Timestamp due) {
  if (handed_over_.empty() || handed_over_.begin()->first.first != due) return nullptr;
  std::vector<InstancePtr> parts = std::move(handed_over_.begin()->second);
  handed_over_.erase(handed_over_.begin());
  for (std::size_t i = 1; i < parts.size(); ++i) parts[0]->table.merge(parts[i]->table);
  return std::move(parts[0]);
}

void WindowCloser::add(InstancePtr part) {
  InstancePtr& pane = panes_[part->interval.start];
  if (pane == nullptr) {
    pane = std::move(part);
    pane->due = pane->interval.end;
  } else {
    pane->table.merge(part->table);
  }
}

void WindowCloser::clear() {
  handed_over_.clear();
  panes_.clear();
}

void WindowCloser::restore(RetainedPanes retained) {
  closed_before_ = retained.closed_before;
  closed_to_ = retained.closed_to;
  for (InstancePtr& pane : retained.panes) add(std::move(pane));
}

void WindowCloser::pass(Timestamp watermark) {
  if (plan_.session() || watermark == kMinTimestamp || watermark == kMaxTimestamp) return;
  const Timestamp passed = saturating_add(watermark, -plan_.wait());
  closed_before_ = std::max(closed_before_, plan_.assigner.at(passed).start);
}

std::unique_ptr<WindowCloser> WindowCloser::make(const WindowPlan& plan) {
  if (plan.session()) return std::make_unique<SessionCloser>(plan);
  return std::make_unique<PaneCloser>(plan);
}

PaneCloser::PaneCloser(const WindowPlan& plan, For use) : WindowCloser(plan) {
  if (plan.corrects() && use == For::all_time) corrections_ = std::make_unique<Corrections>(plan);
}

PaneCloser::~PaneCloser() = default;

std::optional<Timestamp> PaneCloser::next_end() const {
  std::optional<Timestamp> end;
  if (!handed_over_.empty()) end = handed_over_.begin()->first.first;
  if (!panes_.empty()) {
    const Timestamp next = plan_.assigner.end_after(closed_to_);
    // At the end of time there is no next one.
    if (next > closed_to_ && (!end || next < *end)) end = next;
  }
  return end;
}

std::vector<PaneCloser::Closed> PaneCloser::close_next() {
  std::vector<Closed> closed;
  const Timestamp end = *next_end();
  std::vector<InstancePtr> late;
  InstancePtr whole;
  while (InstancePtr part = take_due(end)) {
    if (corrections_ && part->interval.end != end && corrections_->takes(end)) {
      late.push_back(std::move(part));
    } else if (!plan_.hopping()) {
      whole = std::move(part);
    } else {
      add(std::move(part));
    }
  }
  if (!late.empty()) {
    const auto to_open = [this](InstancePtr part) { add(std::move(part)); };
    corrections_->revise(end, std::move(late), panes_, to_open, closed);
  }
  if (whole != nullptr) closed.push_back(close_whole(std::move(whole)));
  if (!panes_.empty()) closed.push_back(close_panes(end));
  return closed;
}

/// A tumbling window.
PaneCloser::Closed PaneCloser::close_whole(InstancePtr pane) {
  Closed closed;
  closed.interval = pane->interval;
  if (corrections_) {
    closed.table = &corrections_->keep(std::move(pane)).table;
  } else {
    closed.table = &pane->table;
    closed.pane = std::move(pane);
  }
  return closed;
}

/// A hopping one.
PaneCloser::Closed PaneCloser::close_panes(Timestamp end) {
  Closed closed;
  const Interval window = plan_.assigner.ending(end);
  if (window.start >= line_) draw_line(end);
  // The merge that begins with this window's first pane is of no use to another window.
  const auto suffix = suffixes_.lower_bound(window.start);
  if (suffix == suffixes_.end()) {
    closed.made = copy_of(*newer_);
  } else {
    closed.made =
        suffix->first == window.start ? std::move(suffix->second) : copy_of(*suffix->second);
    if (newer_ != nullptr) closed.made->merge(*newer_);
  }
  closed_to_ = end;
  drop_before(plan_.assigner.ending(plan_.assigner.end_after(end)).start);
  closed.interval = window;
  closed.table = closed.made.get();
  return closed;
}

/// Into its pane, and into all merges that hold the pane.
void PaneCloser::add(InstancePtr part) {
  const Timestamp start = part->interval.start;
  if (start < line_) {
    auto at = suffixes_.lower_bound(start);
    if (at == suffixes_.end()) {
      suffixes_.emplace(start, copy_of(part->table));
    } else {
      if (at->first != start) at = suffixes_.emplace_hint(at, start, copy_of(*at->second));
      at->second->merge(part->table);
    }
    for (auto before = suffixes_.begin(); before->first < start; ++before) {
      before->second->merge(part->table);
    }
  } else if (newer_ == nullptr) {
    newer_ = copy_of(part->table);
  } else {
    newer_->merge(part->table);
  }
  WindowCloser::add(std::move(part));
}

/// Behind all panes there are, which end at `end` at the latest.
void PaneCloser::draw_line(Timestamp end) {
  suffixes_.clear();
  newer_.reset();
  line_ = end;
  const GroupTable* behind = nullptr;
  for (auto pane = panes_.rbegin(); pane != panes_.rend(); ++pane) {
    std::unique_ptr<GroupTable> suffix;
    if (behind == nullptr) {
      suffix = copy_of(pane->second->table);
    } else {
      suffix = copy_of(*behind);
      suffix->merge(pane->second->table);
    }
    behind = suffix.get();
    suffixes_.emplace_hint(suffixes_.begin(), pane->first, std::move(suffix));
  }
}

void PaneCloser::drop_before(Timestamp start) {
  const auto to = panes_.lower_bound(start);
  for (auto pane = panes_.begin(); corrections_ && pane != to; ++pane) {
    corrections_->keep(std::move(pane->second));
  }
  panes_.erase(panes_.begin(), to);
  suffixes_.erase(suffixes_.begin(), suffixes_.lower_bound(start));
  if (!panes_.empty()) return;
  newer_.reset();
  line_ = kMinTimestamp;
}

void PaneCloser::clear() {
  WindowCloser::clear();
  drop_before(kMaxTimestamp);
  if (corrections_) corrections_->clear();
}

void PaneCloser::pass(Timestamp watermark) {
  WindowCloser::pass(watermark);
  if (!corrections_ || watermark == kMinTimestamp) return;
  if (watermark == kMaxTimestamp) {
    corrections_->clear();
  } else {
    corrections_->pass(saturating_add(watermark, -plan_.wait()));
  }
  if (corrections_->done()) corrections_.reset();
}

void PaneCloser::restore(RetainedPanes retained) {
  const bool owed = retained.owed != kMinTimestamp;
  if (owed && !corrections_) corrections_ = std::make_unique<Corrections>(plan_);
  if (corrections_) corrections_->restore(retained);
  WindowCloser::restore(std::move(retained));
}

std::vector<PaneCloser::Closed> PaneCloser::preview(
    Timestamp end, std::span<const WindowInstance* const> parts) const {
  std::vector<Closed> all;
  Closed& shown = all.emplace_back();
  std::vector<const GroupTable*> tables;
  if (plan_.hopping()) {
    shown.interval = plan_.assigner.ending(end);
    const Timestamp begin = shown.interval.start;
    if (begin <= line_) {
      const auto suffix = suffixes_.lower_bound(begin);
      if (suffix != suffixes_.end()) tables.push_back(suffix->second.get());
      if (newer_ != nullptr) tables.push_back(newer_.get());
    } else {
      for (auto pane = panes_.lower_bound(begin); pane != panes_.end(); ++pane) {
        tables.push_back(&pane->second->table);
      }
    }
    for (const WindowInstance* part : parts) {
      if (part->due <= end && part->interval.start >= begin) tables.push_back(&part->table);
    }
  } else {
    for (const WindowInstance* part : parts) {
      if (part->due != end) continue;
      shown.interval = part->interval;
      tables.push_back(&part->table);
    }
  }
  if (tables.size() == 1) {
    shown.table = tables[0];
    return all;
  }
  shown.made = std::make_unique<GroupTable>(plan_);
  for (const GroupTable* table : tables) shown.made->merge(*table);
  shown.table = shown.made.get();
  return all;
}

}  // namespace streamobs::window

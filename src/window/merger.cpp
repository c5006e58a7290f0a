#include "window/merger.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "window/corrections.h"
#include "window/instance.h"
#include "window/key_order.h"
#include "window/plan.h"
#include "window/row_finisher.h"
#include "window/session_closer.h"
#include "window/snapshot.h"
#include "window/state.h"
#include "window/window_closer.h"

namespace streamobs::window {

namespace {

bool of_one_close(const WindowBatch& a, const WindowBatch& b) {
  return a.schema == b.schema && a.due == b.due;
}

}  // namespace

struct WindowMerger::Impl {
  explicit Impl(std::shared_ptr<const StreamWindowsPlan> plan_in) : plan(std::move(plan_in)) {
    for (const WindowPlan& window : plan->windows) {
      finishers.emplace_back(window);
      closers.push_back(WindowCloser::make(window));
    }
    sessions.resize(plan->windows.size());
  }

  struct Round {
    std::uint64_t position;
    Timestamp watermark;
    bool closed;
    bool early;  ///< A view of what is still open.
  };
  using Batches = std::vector<std::shared_ptr<WindowBatch>>;

  void remember_views(std::vector<PartialPtr>& partials, std::vector<std::size_t>& windows);
  void put_off(std::vector<std::size_t>& windows);
  void forget_closed(Timestamp watermark);
  void show(const std::vector<std::size_t>& windows, const Round& round, Batches& batches);
  void close(const Round& round, Batches& batches);
  void append_rows(const WindowPlan& window, const WindowCloser::Closed& closed, const Round& round,
                   Timestamp due, Batches& batches);
  static std::vector<std::uint32_t> sessions_by_start(const WindowPlan& window,
                                                      const WindowCloser::Closed& closed);
  void finish_rows(const WindowPlan& window, std::span<WindowRow> rows,
                   std::span<const std::byte* const> groups, const Round& round, Timestamp due);
  static void emit(Batches& batches, Records& out);

  /// Whether events that are not counted cannot have been of it.
  bool whole(const WindowPlan& window, const Interval& interval) const {
    // A session's end lies behind its last event by the gap already.
    return saturating_add(interval.start, -window.gap) >= counted.start &&
           interval.end <= counted.end;
  }

  Interval counted{kMinTimestamp, kMaxTimestamp};
  std::shared_ptr<const StreamWindowsPlan> plan;
  std::vector<RowFinisher> finishers;
  std::vector<std::unique_ptr<WindowCloser>> closers;
  struct OfSessions {
    bool changed = false;  ///< Since they were shown.
    std::size_t rounds_to_skip = 0;
  };
  std::vector<OfSessions> sessions;  ///< By window; of others nothing.
  /// The newest copy of each lane's open instances, by window and lane: a lane that has nothing new
  /// sends none, and its share must be shown all the same.
  std::map<std::pair<std::size_t, std::size_t>, PartialPtr> views;
};

WindowMerger::WindowMerger(std::shared_ptr<const StreamWindowsPlan> plan)
    : impl_(std::make_unique<Impl>(std::move(plan))) {}

WindowMerger::~WindowMerger() = default;

void WindowMerger::only(Timestamp from, Timestamp to) {
  impl_->counted = {from, to};
}

void WindowMerger::snapshot(std::vector<PartialPtr> copies, std::string& out) const {
  std::vector<WindowInstance*> instances;
  for (const PartialPtr& copy : copies) {
    if (copy == nullptr) continue;
    for (const InstancePtr& instance : copy->instances) {
      instance->table.settle();
      instances.push_back(instance.get());
    }
  }
  std::vector<KeptPanes> kept;
  for (const auto& closer : impl_->closers) {
    kept.push_back({closer->closed_before(), closer->closed_to(), {}, closer->corrections()});
    for (const auto& [start, pane] : closer->panes()) kept.back().panes.push_back(pane.get());
  }
  encode_snapshot(*impl_->plan, instances, kept, out);
}

Result<> WindowMerger::restore(std::optional<std::string_view> snapshot, Timestamp watermark) {
  OpenInstances of_lanes(impl_->plan->windows.size());
  std::vector<RetainedPanes> retained(impl_->plan->windows.size());
  const auto restored = decode_snapshot(snapshot, *impl_->plan, watermark, of_lanes, retained);
  if (!restored) return restored.error();
  for (std::size_t i = 0; i < retained.size(); ++i) {
    impl_->closers[i]->restore(std::move(retained[i]));
  }
  return {};
}

WindowMerger::Kept WindowMerger::kept() const {
  Kept kept;
  for (const auto& closer : impl_->closers) {
    const auto count = [&kept](const std::map<Timestamp, InstancePtr>& panes) {
      for (const auto& [start, pane] : panes) kept.keys += pane->table.size();
      return panes.size();
    };
    kept.panes += count(closer->panes());
    if (const Corrections* closed = closer->corrections())
      kept.closed_panes += count(closed->panes());
  }
  return kept;
}

std::uint64_t WindowMerger::overflows() const {
  std::uint64_t n = 0;
  for (const RowFinisher& finisher : impl_->finishers) n += finisher.overflows();
  return n;
}

void WindowMerger::merge(std::vector<PartialPtr> partials, std::uint64_t position,
                         Timestamp watermark, RoundKind kind, Records& out) {
  Impl::Batches batches;
  if (kind == RoundKind::open) {
    std::vector<std::size_t> shown;
    impl_->remember_views(partials, shown);
    impl_->put_off(shown);
    impl_->show(shown, {position, watermark, false, true}, batches);
  } else {
    for (const PartialPtr& partial : partials) {
      if (partial == nullptr) continue;
      for (InstancePtr& instance : partial->instances) {
        impl_->closers[instance->table.plan().index]->take(std::move(instance));
      }
    }
    impl_->close({position, watermark, kind == RoundKind::closed, false}, batches);
  }
  impl_->emit(batches, out);
}

void WindowMerger::Impl::remember_views(std::vector<PartialPtr>& partials,
                                        std::vector<std::size_t>& windows) {
  for (PartialPtr& partial : partials) {
    if (partial == nullptr) continue;
    for (const InstancePtr& instance : partial->instances) instance->table.settle();
    const std::size_t window = partial->view_window;
    if (std::find(windows.begin(), windows.end(), window) == windows.end()) {
      windows.push_back(window);
    }
    const std::size_t lane = partial->lane;
    views[{window, lane}] = std::move(partial);
  }
}

/// Sessions are shown from copies of all that are open, so the more there are the less often: as
/// many are copied at a time, on average, as of a lane.
void WindowMerger::Impl::put_off(std::vector<std::size_t>& windows) {
  for (auto window = windows.begin(); window != windows.end();) {
    OfSessions& of = sessions[*window];
    of.changed = plan->windows[*window].session();
    window = of.changed ? windows.erase(window) : std::next(window);
  }
  for (std::size_t i = 0; i < sessions.size(); ++i) {
    OfSessions& of = sessions[i];
    if (!of.changed || (of.rounds_to_skip > 0 && of.rounds_to_skip-- > 0)) continue;
    std::size_t keys = 0;
    for (const auto& [start, pane] : closers[i]->panes()) keys += pane->table.size();
    of = {false, keys / StreamWindows::kOftenCopiedKeys};
    windows.push_back(i);
  }
}

void WindowMerger::Impl::forget_closed(Timestamp watermark) {
  for (auto& [place, view] : views) {
    const WindowPlan& window = plan->windows[place.first];
    std::erase_if(view->instances, [&](const InstancePtr& instance) {
      return window.closes_at(instance->due) <= watermark;
    });
  }
  std::erase_if(views, [](const auto& entry) { return entry.second->instances.empty(); });
}

/// Of a hopping window only what ends with a pane in which events have come: the windows behind
/// hold the same events again, or fewer.
void WindowMerger::Impl::show(const std::vector<std::size_t>& windows, const Round& round,
                              Batches& batches) {
  std::map<std::size_t, std::vector<const WindowInstance*>> parts;
  std::vector<std::pair<Timestamp, std::size_t>> order;  // By closing time and window.
  std::vector<std::vector<Timestamp>> ends(plan->windows.size());
  for (const std::size_t window : windows) {
    std::set<Timestamp> dues;
    for (const auto& [place, view] : views) {
      if (place.first != window) continue;
      for (const InstancePtr& instance : view->instances) {
        // What corrects closed windows alone is shown when it does.
        if (instance->due > plan->windows[window].assigner.last_end(instance->interval)) continue;
        parts[window].push_back(instance.get());
        dues.insert(instance->due);
      }
    }
    while (plan->windows[window].hopping() && dues.size() > kMaxShown) dues.erase(dues.begin());
    if (plan->windows[window].session()) dues = {kMaxTimestamp};  // All at once.
    for (const Timestamp end : dues) {
      order.emplace_back(plan->windows[window].closes_at(end), window);
      ends[window].push_back(end);
    }
  }
  std::sort(order.begin(), order.end());
  std::vector<std::size_t> next(plan->windows.size(), 0);
  for (const auto& [closes_at, window] : order) {
    const Timestamp end = ends[window][next[window]++];
    for (const WindowCloser::Closed& shown : closers[window]->preview(end, parts[window])) {
      append_rows(plan->windows[window], shown, round, kMinTimestamp, batches);
    }
  }
}

void WindowMerger::Impl::close(const Round& round, Batches& batches) {
  while (true) {
    // Windows are few: the first to close of all is looked for each time.
    WindowCloser* first = nullptr;
    const WindowPlan* window = nullptr;
    Timestamp first_at = kMaxTimestamp;
    for (std::size_t i = 0; i < closers.size(); ++i) {
      const std::optional<Timestamp> end = closers[i]->next_end();
      if (!end) continue;
      const Timestamp at = plan->windows[i].closes_at(*end);
      if ((round.closed && at > round.watermark) || (first != nullptr && at >= first_at)) continue;
      first = closers[i].get();
      window = &plan->windows[i];
      first_at = at;
    }
    if (first == nullptr) break;
    for (const WindowCloser::Closed& closed : first->close_next()) {
      append_rows(*window, closed, round, first_at, batches);
    }
  }
  if (round.closed) {
    for (const auto& closer : closers) closer->pass(round.watermark);
    forget_closed(round.watermark);
    return;
  }
  views.clear();  // All that was open has been handed over.
  for (const auto& closer : closers) closer->clear();
}

void WindowMerger::Impl::emit(Batches& batches, Records& out) {
  for (std::size_t i = 0; i < batches.size(); ++i) {
    batches[i]->last = i + 1 == batches.size() || !of_one_close(*batches[i], *batches[i + 1]);
  }
  for (std::shared_ptr<WindowBatch>& batch : batches) out.emplace_back(WindowBatchPtr(batch));
}

/// By start, then key.
std::vector<std::uint32_t> WindowMerger::Impl::sessions_by_start(
    const WindowPlan& window, const WindowCloser::Closed& closed) {
  const GroupTable& table = *closed.table;
  std::vector<bool> wanted(table.size(), false);
  for (const std::uint32_t slot : *closed.sessions) wanted[slot] = true;
  std::vector<std::uint32_t> slots = slots_by_key(table);
  std::erase_if(slots, [&](std::uint32_t slot) { return !wanted[slot]; });
  std::stable_sort(slots.begin(), slots.end(), [&](std::uint32_t a, std::uint32_t b) {
    return session_of(window, table.row(a)).start < session_of(window, table.row(b)).start;
  });
  return slots;
}

void WindowMerger::Impl::append_rows(const WindowPlan& window, const WindowCloser::Closed& closed,
                                     const Round& round, Timestamp due, Batches& batches) {
  const GroupTable& table = *closed.table;
  std::vector<std::uint32_t> slots =
      closed.sessions ? sessions_by_start(window, closed) : slots_by_key(table);
  if (closed.revisions) {
    std::erase_if(slots, [&](std::uint32_t slot) {
      return (*closed.revisions)[slot] == WindowCloser::Closed::kUnchanged;
    });
  }
  std::vector<const std::byte*> rows;
  for (std::size_t at = 0; at < slots.size();) {
    // Nothing of one close goes into a batch with another's: how events were cut must not show.
    if (batches.empty() || batches.back()->schema != window.schema || batches.back()->due != due ||
        batches.back()->rows.size() == WindowBatch::kMaxRows) {
      auto batch = std::make_shared<WindowBatch>();
      batch->schema = window.schema;
      batch->position = round.position;
      batch->watermark = round.watermark;
      batch->due = due;
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
      const Interval interval =
          closed.sessions ? session_of(window, table.row(slot)) : closed.interval;
      row.start = interval.start;
      row.end = interval.end;
      row.closed = (round.closed || closed.revisions) && whole(window, interval);
      if (closed.revisions) row.revision = static_cast<std::uint32_t>((*closed.revisions)[slot]);
      row.overflow = table.key(slot).is_overflow();
      row.keys = decode_key(table.key(slot), window.key_types);
      rows.push_back(table.row(slot));
    }
    finish_rows(window, std::span(batch.rows).subspan(first), rows, round, due);
    at += n;
  }
}

void WindowMerger::Impl::finish_rows(const WindowPlan& window, std::span<WindowRow> rows,
                                     std::span<const std::byte* const> groups, const Round& round,
                                     Timestamp due) {
  // now(): the round's watermark would depend on how events were cut.
  finishers[window.index].finish(rows, groups, round.early ? round.watermark : due);
  if (round.early) return;
  for (std::size_t i = 0; i < rows.size(); ++i) encode_state(window, groups[i], rows[i].state);
}

}  // namespace streamobs::window

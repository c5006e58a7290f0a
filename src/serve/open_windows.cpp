#include "serve/open_windows.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <set>
#include <unordered_set>
#include <utility>

#include "serve/json.h"

namespace streamobs::serve {

void OpenWindows::process(const Record& record) {
  const auto* batch = std::get_if<WindowBatchPtr>(&record);
  if (batch == nullptr) return;
  const Timestamp now = clock_.now();
  const std::lock_guard lock(mutex_);
  Window& window = windows_[(*batch)->schema->window];
  window.schema = (*batch)->schema;
  for (const WindowRow& row : (*batch)->rows) {
    Instance& instance = window.instances[row.start];
    std::string identity = store::row_identity(row);
    const bool session = window.schema->gap != 0;
    if (session) forget_within(window, row, identity);
    auto at = instance.find(identity);
    if (at == instance.end()) {
      if (!make_room(window, row.start)) continue;
      if (session) window.starts[identity].insert(row.start);
      at = instance.try_emplace(std::move(identity)).first;
      ++window.rows;
    }
    Held& held = at->second;
    if (store::is_older(row, held.row)) continue;
    if (held.closed_at != 0) --window.closed_rows;
    held.row = row;
    held.row.state = std::string();  // Nobody who reads rows needs it.
    held.closed_at = row.closed ? now : 0;
    if (row.closed) ++window.closed_rows;
  }
  forget_closed(window, now);
}

void OpenWindows::forget(Window& window, Timestamp start, const std::string& identity) {
  const auto of_group = window.starts.find(identity);
  if (of_group == window.starts.end()) return;
  of_group->second.erase(start);
  if (of_group->second.empty()) window.starts.erase(of_group);
}

void OpenWindows::forget_within(Window& window, const WindowRow& row, const std::string& identity) {
  const auto of_group = window.starts.find(identity);
  if (of_group == window.starts.end()) return;
  std::set<Timestamp>& starts = of_group->second;
  for (auto start = starts.upper_bound(row.start); start != starts.end() && *start < row.end;) {
    const auto instance = window.instances.find(*start);
    const auto held = instance->second.find(identity);
    if (held->second.closed_at != 0) {
      ++start;
      continue;
    }
    instance->second.erase(held);
    --window.rows;
    if (instance->second.empty()) window.instances.erase(instance);
    start = starts.erase(start);
  }
  if (starts.empty()) window.starts.erase(of_group);
}

void OpenWindows::forget_closed(Window& window, Timestamp now) {
  // Looking at every row is worth it only now and then.
  const bool due = now - window.forgotten_at >= kSecond || now < window.forgotten_at;
  if (window.closed_rows == 0 || !due) return;
  window.forgotten_at = now;
  for (auto instance = window.instances.begin(); instance != window.instances.end();) {
    window.rows -= std::erase_if(instance->second, [&](const auto& entry) {
      const Timestamp closed_at = entry.second.closed_at;
      const bool gone = closed_at != 0 && (now - closed_at > kClosedKept || now < closed_at);
      if (gone) --window.closed_rows;
      if (gone) forget(window, instance->first, entry.first);
      return gone;
    });
    instance = instance->second.empty() ? window.instances.erase(instance) : std::next(instance);
  }
}

bool OpenWindows::make_room(Window& window, Timestamp start) {
  while (window.rows >= kRowsMax) {
    const auto oldest = std::prev(window.instances.end());
    if (oldest->first >= start) return false;
    window.rows -= oldest->second.size();
    for (const auto& [identity, held] : oldest->second) {
      if (held.closed_at != 0) --window.closed_rows;
      forget(window, oldest->first, identity);
    }
    window.instances.erase(oldest);
  }
  return true;
}

std::vector<WindowRow> OpenWindows::rows(const store::WindowQuery& query) const {
  std::vector<WindowRow> out;
  const std::lock_guard lock(mutex_);
  const auto found = windows_.find(query.window);
  if (found == windows_.end()) return out;
  std::size_t windows = 0;
  for (const auto& [start, instance] : found->second.instances) {
    if (query.to && start >= *query.to) continue;
    if (query.from && start < *query.from) break;
    const std::size_t before = out.size();
    for (const auto& [identity, held] : instance) {
      if (store::matches_keys(*found->second.schema, held.row, query)) out.push_back(held.row);
    }
    if (out.size() != before) ++windows;
    if (query.latest) continue;  // A key's newest row may be in any of them.
    // A whole window more than asked for at most: which of its rows come first is decided later.
    if (out.size() >= query.limit || (query.windows && windows == *query.windows)) break;
  }
  return out;
}

std::size_t OpenWindows::size() const {
  const std::lock_guard lock(mutex_);
  std::size_t rows = 0;
  for (const auto& [name, window] : windows_) rows += window.rows;
  return rows;
}

std::vector<WindowRow> merge_rows(std::vector<WindowRow> stored, std::vector<WindowRow> early,
                                  const store::WindowQuery& query) {
  std::vector<WindowRow> rows = std::move(stored);
  if (!early.empty()) {
    // What is open is among the newest: the rows behind stay as they are.
    const auto by_start = [](const WindowRow& a, const WindowRow& b) { return a.start < b.start; };
    const Timestamp oldest = std::min_element(early.begin(), early.end(), by_start)->start;
    const auto behind = std::partition_point(
        rows.begin(), rows.end(), [oldest](const WindowRow& row) { return row.start >= oldest; });
    std::unordered_map<std::string, WindowRow*> known;
    const auto identity = [](const WindowRow& row) {
      return std::to_string(row.start) + '/' + store::row_identity(row);
    };
    for (auto row = rows.begin(); row != behind; ++row) known.emplace(identity(*row), &*row);
    std::vector<WindowRow> only_early;
    for (WindowRow& row : early) {
      const auto at = known.find(identity(row));
      if (at == known.end()) {
        only_early.push_back(std::move(row));
      } else if (!store::is_older(row, *at->second)) {
        *at->second = std::move(row);
      }
    }
    const auto among = static_cast<std::ptrdiff_t>(only_early.size()) + (behind - rows.begin());
    rows.insert(behind, std::move_iterator(only_early.begin()),
                std::move_iterator(only_early.end()));
    std::sort(rows.begin(), rows.begin() + among, [](const WindowRow& a, const WindowRow& b) {
      if (a.start != b.start) return a.start > b.start;
      return store::key_before(a, b);
    });
  }
  if (query.windows) {
    std::size_t windows = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (i != 0 && rows[i].start == rows[i - 1].start) continue;
      if (++windows > *query.windows) {
        rows.erase(rows.begin() + static_cast<std::ptrdiff_t>(i), rows.end());
        break;
      }
    }
  }
  if (query.latest) {
    std::unordered_set<std::string> seen;
    std::erase_if(rows, [&seen](const WindowRow& row) {
      return !seen.insert(store::row_identity(row)).second;
    });
  }
  if (rows.size() > query.limit) {
    rows.erase(rows.begin() + static_cast<std::ptrdiff_t>(query.limit), rows.end());
  }
  return rows;
}

store::WindowQuery of_newest(const store::WindowQuery& query, const std::vector<Timestamp>& starts,
                             const std::vector<WindowRow>& early) {
  std::set<Timestamp, std::greater<>> all(starts.begin(), starts.end());
  for (const WindowRow& row : early) all.insert(row.start);
  store::WindowQuery out = query;
  if (all.empty()) return out;
  out.windows.reset();
  const std::size_t counted = std::clamp<std::size_t>(*query.windows, 1, all.size());
  out.from = *std::next(all.begin(), static_cast<std::ptrdiff_t>(counted) - 1);
  return out;
}

}  // namespace streamobs::serve

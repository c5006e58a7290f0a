#include "serve/open_windows.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "serve/json.h"

namespace streamobs::serve {

std::string row_identity(const WindowRow& row) {
  std::string out(1, row.overflow ? 'o' : 'k');
  for (const Value& key : row.keys) {
    const std::string text = key.to_string();
    out += key.null ? "n" : std::to_string(text.size());
    out += ':';
    out += text;
  }
  return out;
}

bool matches_keys(const WindowSchema& schema, const WindowRow& row,
                  const store::WindowQuery& query) {
  for (const auto& [name, wanted] : query.keys) {
    for (std::size_t i = 0; i < schema.keys.size() && i < row.keys.size(); ++i) {
      if (schema.keys[i].name != name) continue;
      const bool equal = row.overflow ? wanted == kOverflowKey
                                      : !row.keys[i].null && row.keys[i].to_string() == wanted;
      if (!equal) return false;
    }
  }
  return true;
}

void OpenWindows::process(const Record& record) {
  const auto* batch = std::get_if<WindowBatchPtr>(&record);
  if (batch == nullptr) return;
  const Timestamp now = clock_.now();
  const std::lock_guard lock(mutex_);
  Window& window = windows_[(*batch)->schema->window];
  window.schema = (*batch)->schema;
  for (const WindowRow& row : (*batch)->rows) {
    Instance& instance = window.instances[row.start];
    std::string identity = row_identity(row);
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
      if (matches_keys(*found->second.schema, held.row, query)) out.push_back(held.row);
    }
    if (out.size() != before) ++windows;
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
    std::unordered_map<std::string, std::size_t> known;
    const auto identity = [](const WindowRow& row) {
      return std::to_string(row.start) + '/' + row_identity(row);
    };
    for (std::size_t i = 0; i < rows.size(); ++i) known.emplace(identity(rows[i]), i);
    for (WindowRow& row : early) {
      const auto [at, added] = known.emplace(identity(row), rows.size());
      if (added) {
        rows.push_back(std::move(row));
      } else if (WindowRow& old = rows[at->second]; row.closed || !old.closed) {
        old = std::move(row);
      }
    }
    std::sort(rows.begin(), rows.end(), [](const WindowRow& a, const WindowRow& b) {
      if (a.start != b.start) return a.start > b.start;
      if (a.overflow != b.overflow) return b.overflow;
      for (std::size_t i = 0; i < a.keys.size() && i < b.keys.size(); ++i) {
        if (const int order = compare(a.keys[i], b.keys[i]); order != 0) return order < 0;
      }
      return false;
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
  if (rows.size() > query.limit) {
    rows.erase(rows.begin() + static_cast<std::ptrdiff_t>(query.limit), rows.end());
  }
  return rows;
}

}  // namespace streamobs::serve

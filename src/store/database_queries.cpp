// What readers ask of a database. They take turns, each bounded in time.
#include <algorithm>
#include <mutex>
#include <utility>

#include <fmt/format.h>

#include "store/database_impl.h"

namespace streamobs::store {

std::optional<std::vector<WindowRow>> Database::recent_rows(const WindowQuery& query) const {
  const auto table = impl_->tables.find(query.window);
  if (table == impl_->tables.end()) return std::nullopt;
  const RecentRows& recent = table->second->recent();
  if (!query.of_last_hour()) return recent.rows(query);
  const std::optional<Timestamp> newest = recent.newest_start();
  if (!newest) return std::nullopt;
  return recent.rows(query.behind(*newest));
}

Result<std::vector<WindowRow>> Database::window_rows(const WindowQuery& query) const {
  const auto table = impl_->tables.find(query.window);
  if (table == impl_->tables.end()) {
    return fail(ErrorCode::not_found, fmt::format("there is no window '{}'", query.window));
  }
  if (auto recent = recent_rows(query)) return std::move(*recent);
  const WindowTable& rows = *table->second->table(Resolution::raw);
  const std::lock_guard lock(impl_->reader_mutex);
  if (!query.of_last_hour()) return rows.rows(impl_->reader, query);
  const Result<Timestamp> newest = rows.newest_start(impl_->reader);
  if (newest.has_error()) return newest.error();
  return rows.rows(impl_->reader, query.behind(*newest));
}

Result<std::vector<Timestamp>> Database::window_starts(const WindowQuery& query) const {
  const auto table = impl_->tables.find(query.window);
  if (table == impl_->tables.end()) {
    return fail(ErrorCode::not_found, fmt::format("there is no window '{}'", query.window));
  }
  const std::lock_guard lock(impl_->reader_mutex);
  return table->second->table(Resolution::raw)->starts(impl_->reader, query);
}

Result<> Database::scan_windows(const WindowQuery& query, Resolution resolution,
                                const std::function<bool(const WindowRow&)>& on_row) const {
  const auto table = impl_->tables.find(query.window);
  if (table == impl_->tables.end()) {
    return fail(ErrorCode::not_found, fmt::format("there is no window '{}'", query.window));
  }
  const WindowTable* const rows = table->second->table(resolution);
  if (rows == nullptr) return {};
  const std::lock_guard lock(impl_->reader_mutex);
  return rows->scan(impl_->reader, query, on_row);
}

Database::Reach Database::reach(const std::string& window, Resolution resolution) const {
  const auto table = impl_->tables.find(window);
  if (table == impl_->tables.end()) return {};
  return {table->second->merged_until(resolution), table->second->removed_until(resolution)};
}

Result<Timestamp> Database::newest_end(const std::string& window) const {
  const auto table = impl_->tables.find(window);
  if (table == impl_->tables.end()) {
    return fail(ErrorCode::not_found, fmt::format("there is no window '{}'", window));
  }
  const std::lock_guard lock(impl_->reader_mutex);
  return table->second->table(Resolution::raw)->newest_end(impl_->reader);
}

Result<std::vector<Anomaly>> Database::anomalies(const ListQuery& query) const {
  const std::lock_guard lock(impl_->reader_mutex);
  return read_anomalies(impl_->reader, query);
}

Result<std::vector<Incident>> Database::incidents(const ListQuery& query) const {
  const std::lock_guard lock(impl_->reader_mutex);
  return read_incidents(impl_->reader, query);
}

Result<std::vector<StoredDeadLetter>> Database::dead_letters(const DeadLetterQuery& query) const {
  const std::lock_guard lock(impl_->reader_mutex);
  return read_dead_letters(impl_->reader, query);
}

Result<std::vector<DeadLetterCount>> Database::dead_letter_counts() const {
  const std::lock_guard lock(impl_->reader_mutex);
  return read_dead_letter_counts(impl_->reader);
}

std::vector<ArchiveState> Database::archives() const {
  std::vector<ArchiveState> all;
  for (const auto& [name, table] : impl_->tables) {
    for (ArchiveState& one : table->archives()) all.push_back(std::move(one));
  }
  return all;
}

}  // namespace streamobs::store

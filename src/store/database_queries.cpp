// What readers ask of a database. They take turns, each bounded in time.
#include <mutex>
#include <utility>

#include <fmt/format.h>

#include "store/database_impl.h"

namespace streamobs::store {

Result<std::vector<WindowRow>> Database::window_rows(const WindowQuery& query) const {
  const auto table = impl_->tables.find(query.window);
  if (table == impl_->tables.end()) {
    return fail(ErrorCode::not_found, fmt::format("there is no window '{}'", query.window));
  }
  const WindowTable& rows = *table->second->table(Resolution::raw);
  WindowQuery asked = query;
  if (query.latest && !query.from && !query.windows) {
    std::optional<Timestamp> newest = table->second->recent().newest_start();
    if (!newest) {
      const std::lock_guard lock(impl_->reader_mutex);
      const Result<Timestamp> stored = rows.newest_start(impl_->reader);
      if (stored.has_error()) return stored.error();
      newest = *stored;
    }
    if (*newest != kMinTimestamp) asked.from = *newest - RecentRows::kKept;
  }
  if (std::optional<std::vector<WindowRow>> recent = table->second->recent().rows(asked)) {
    return std::move(*recent);
  }
  const std::lock_guard lock(impl_->reader_mutex);
  return rows.rows(impl_->reader, asked);
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

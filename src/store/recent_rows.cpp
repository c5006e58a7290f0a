#include "store/recent_rows.h"

#include <algorithm>
#include <mutex>
#include <string>
#include <unordered_set>
#include <utility>

namespace streamobs::store {

namespace {

std::size_t bytes_of(const WindowRow& row) {
  std::size_t bytes = sizeof(WindowRow);
  for (const std::vector<Value>* values : {&row.keys, &row.metrics}) {
    bytes += values->capacity() * sizeof(Value);
    for (const Value& value : *values) {
      if (value.text.capacity() > 15) bytes += value.text.capacity() + 1;
    }
  }
  return bytes;
}

/// Nobody who reads rows needs the state.
WindowRow without_state(const WindowRow& row) {
  return {row.start, row.end, row.closed, row.overflow, row.revision, row.keys, row.metrics, {}};
}

}  // namespace

RecentRows::~RecentRows() {
  drop_before(kMaxTimestamp);
}

void RecentRows::begin(Timestamp from) {
  const std::lock_guard lock(mutex_);
  from_ = from;
}

void RecentRows::write(const WindowRow& row) {
  if (budget_.written > RecentBudget::kWrittenMax) {
    passed_over_ = std::max(passed_over_, row.start + 1);
    return;
  }
  written_.push_back(without_state(row));
  const std::size_t bytes = bytes_of(written_.back());
  written_bytes_ += bytes;
  budget_.written += bytes;
}

void RecentRows::committed() {
  const std::lock_guard lock(mutex_);
  for (WindowRow& row : written_) add(std::move(row));
  if (passed_over_ > from_) drop_before(passed_over_);
  forget_written();
  while (!instances_.empty()) {
    const Timestamp newest = instances_.begin()->first;
    const bool old = instances_.rbegin()->first < newest - kKept;
    if (!old && budget_.used.load(std::memory_order_relaxed) <= RecentBudget::kBytesMax) break;
    drop_oldest();
  }
}

void RecentRows::undone() {
  forget_written();
}

void RecentRows::forget_written() {
  written_.clear();
  budget_.written -= std::exchange(written_bytes_, 0);
  passed_over_ = kMinTimestamp;
}

void RecentRows::forget_before(Timestamp start) {
  const std::lock_guard lock(mutex_);
  if (start > from_) drop_before(start);
}

/// As the database takes it: the same row again changes nothing, a later revision replaces an
/// earlier one, and what was closed is not opened again.
void RecentRows::add(WindowRow row) {
  if (row.start < from_) return;
  Instance& instance = instances_[row.start];
  const auto at = std::lower_bound(instance.begin(), instance.end(), row, key_before);
  const std::size_t bytes = bytes_of(row);
  if (at != instance.end() && !key_before(row, *at)) {
    if (is_older(row, *at)) return;
    budget_.used.fetch_sub(bytes_of(*at), std::memory_order_relaxed);
    *at = std::move(row);
  } else {
    instance.insert(at, std::move(row));
  }
  budget_.used.fetch_add(bytes, std::memory_order_relaxed);
}

void RecentRows::drop_oldest() {
  const auto oldest = std::prev(instances_.end());
  from_ = std::max(from_, oldest->first + 1);
  std::size_t bytes = 0;
  for (const WindowRow& row : oldest->second) bytes += bytes_of(row);
  budget_.used.fetch_sub(bytes, std::memory_order_relaxed);
  instances_.erase(oldest);
}

void RecentRows::drop_before(Timestamp start) {
  while (!instances_.empty() && instances_.rbegin()->first < start) drop_oldest();
  from_ = std::max(from_, start);
}

std::optional<std::vector<WindowRow>> RecentRows::rows(const WindowQuery& query) const {
  const auto is_key = [this](const auto& filter) {
    return std::any_of(schema_->keys.begin(), schema_->keys.end(),
                       [&](const ResultColumn& key) { return key.name == filter.first; });
  };
  // Whoever asks the database is told what is wrong with it.
  if (!std::all_of(query.keys.begin(), query.keys.end(), is_key)) return std::nullopt;
  std::vector<const WindowRow*> found;  // Copied only if they are the answer.
  std::unordered_set<std::string> keys;
  std::size_t windows = 0;
  const std::shared_lock lock(mutex_);
  const bool covered = from_ == kMinTimestamp || (query.from && *query.from >= from_);
  const auto enough = [&] {
    return found.size() == query.limit || (query.windows && windows == *query.windows);
  };
  for (const auto& [start, instance] : instances_) {
    if (query.to && start >= *query.to) continue;
    if ((query.from && start < *query.from) || enough()) break;
    bool any = false;
    for (const WindowRow& row : instance) {
      if (!matches_keys(*schema_, row, query)) continue;
      any = true;
      if (query.latest && !keys.insert(row_identity(row)).second) continue;
      if (found.size() == query.limit) break;
      found.push_back(&row);
    }
    windows += any ? 1 : 0;
  }
  if (!covered && !enough()) return std::nullopt;
  std::vector<WindowRow> rows;
  rows.reserve(found.size());
  for (const WindowRow* row : found) rows.push_back(*row);
  return rows;
}

std::optional<Timestamp> RecentRows::newest_start() const {
  const std::shared_lock lock(mutex_);
  if (instances_.empty()) return std::nullopt;
  return instances_.begin()->first;
}

}  // namespace streamobs::store

#include "narrate/evidence.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

namespace streamobs::narrate {

namespace {

constexpr std::size_t kRowOverhead = 8;  // A row's own cost, in numbers.

bool numeric(DataType type) {
  return type.kind == Kind::integer || type.kind == Kind::floating || type.kind == Kind::decimal;
}

// Length before text, so that different keys never share it.
std::string key_bytes(const std::vector<Value>& keys) {
  std::string out;
  for (const Value& key : keys) {
    const std::string text = key.to_string();
    out += fmt::format("{}{}:{}", key.null ? "n" : "v", text.size(), text);
  }
  return out;
}

}  // namespace

const Series::Entry* Series::at(Timestamp t) const {
  for (auto entry = entries_.rbegin(); entry != entries_.rend(); ++entry) {
    if (entry->start <= t && t < entry->end) return &*entry;
  }
  return nullptr;
}

Series::Usual Series::usual(std::size_t metric, Timestamp from, Timestamp to) const {
  Usual usual;
  double sum = 0;
  for (const Entry& entry : entries_) {
    if (entry.start < from || entry.start >= to || std::isnan(entry.metrics[metric])) continue;
    ++usual.windows;
    sum += entry.metrics[metric];
  }
  if (usual.windows > 0) usual.mean = sum / static_cast<double>(usual.windows);
  return usual;
}

void WindowMemory::add(const WindowBatch& batch) {
  for (const WindowRow& row : batch.rows) {
    if (!row.closed || row.overflow) continue;
    Series::Entry entry{row.start, row.end, {}};
    entry.metrics.reserve(row.metrics.size());
    for (std::size_t i = 0; i < row.metrics.size(); ++i) {
      const bool number = !row.metrics[i].null && numeric(schema_->metrics[i].type);
      entry.metrics.push_back(number ? row.metrics[i].as_double()
                                     : std::numeric_limits<double>::quiet_NaN());
    }
    const auto at = series_.try_emplace(key_bytes(row.keys), row.keys).first;
    auto& entries = at->second.entries_;
    // Rows nearly always come in order; only a revision has to be looked for.
    if (!entries.empty() && row.start <= entries.back().start) {
      const auto same = std::find_if(entries.begin(), entries.end(),
                                     [&](const Series::Entry& e) { return e.start == row.start; });
      if (same != entries.end()) {
        *same = std::move(entry);
        continue;
      }
    }
    entries.push_back(std::move(entry));
    order_.push_back(at);
    newest_start_ = std::max(newest_start_, row.start);
  }
  while (!order_.empty() &&
         (order_.size() * row_cost() > kMaxValues ||
          order_.front()->second.entries_.front().start < newest_start_ - 2 * lookback())) {
    forget_oldest();
  }
}

std::size_t WindowMemory::row_cost() const {
  return schema_->metrics.size() + kRowOverhead;
}

void WindowMemory::forget_oldest() {
  const auto at = order_.front();
  order_.pop_front();
  at->second.entries_.pop_front();
  if (at->second.entries_.empty()) series_.erase(at);
}

Duration WindowMemory::lookback() const {
  return std::max<Duration>(kHour, 12 * schema_->size);
}

std::vector<const Series*> WindowMemory::matching(const std::vector<NamedValue>& keys) const {
  std::vector<std::size_t> columns;
  for (const NamedValue& key : keys) {
    std::size_t column = 0;
    while (column < schema_->keys.size() && schema_->keys[column].name != key.name) ++column;
    if (column == schema_->keys.size()) return {};
    columns.push_back(column);
  }
  std::vector<const Series*> out;
  if (columns.size() == schema_->keys.size()) {
    // All of its keys: that is one series, and it can be looked up.
    std::vector<Value> exact(columns.size());
    for (std::size_t i = 0; i < keys.size(); ++i) exact[columns[i]] = keys[i].value;
    const auto at = series_.find(key_bytes(exact));
    if (at != series_.end()) out.push_back(&at->second);
    return out;
  }
  for (const auto& [bytes, series] : series_) {
    bool match = true;
    for (std::size_t i = 0; i < keys.size() && match; ++i) {
      match = series.keys()[columns[i]] == keys[i].value;
    }
    if (match) out.push_back(&series);
  }
  return out;
}

std::optional<std::size_t> WindowMemory::metric(std::string_view name) const {
  for (std::size_t i = 0; i < schema_->metrics.size(); ++i) {
    if (schema_->metrics[i].name == name && numeric(schema_->metrics[i].type)) return i;
  }
  return std::nullopt;
}

std::optional<std::size_t> WindowMemory::volume_metric() const {
  for (std::size_t i = 0; i < schema_->metrics.size(); ++i) {
    if (schema_->metrics[i].type.kind == Kind::integer) return i;
  }
  return std::nullopt;
}

void EvidenceStore::add(const WindowBatch& batch) {
  auto at = windows_.find(batch.schema->window);
  if (at == windows_.end()) {
    at = windows_.emplace(batch.schema->window, WindowMemory(batch.schema)).first;
  }
  at->second.add(batch);
}

const WindowMemory* EvidenceStore::window(std::string_view name) const {
  const auto at = windows_.find(name);
  return at == windows_.end() ? nullptr : &at->second;
}

}  // namespace streamobs::narrate

#include "narrate/evidence.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "event/record_state.h"

namespace streamobs::narrate {

namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
constexpr std::size_t kRowOverhead = 8;  // A row's own cost, in numbers.

bool numeric(DataType type) {
  return type.kind == Kind::integer || type.kind == Kind::floating || type.kind == Kind::decimal;
}

}  // namespace

const Series::Entry* Series::at(Timestamp t) const {
  for (auto entry = entries_.rbegin(); entry != entries_.rend(); ++entry) {
    if (entry->start <= t && t < entry->end) return &*entry;
  }
  return nullptr;
}

void WindowMemory::add(const WindowBatch& batch) {
  for (const WindowRow& row : batch.rows) {
    if (!row.closed || row.overflow) continue;
    Series::Entry entry{row.start, row.end, {}};
    entry.metrics.reserve(row.metrics.size());
    for (std::size_t i = 0; i < row.metrics.size(); ++i) {
      const bool number = !row.metrics[i].null && numeric(schema_->metrics[i].type);
      entry.metrics.push_back(number ? row.metrics[i].as_double() : kNone);
    }
    const auto at = series_.try_emplace(key_bytes(row.keys), row.keys).first;
    auto& entries = at->second.entries_;
    // Rows nearly always come in order; only what corrects a closed window has a place among them.
    auto place = entries.end();
    if (!entries.empty() && row.start <= entries.back().start) {
      place =
          std::lower_bound(entries.begin(), entries.end(), row.start,
                           [](const Series::Entry& e, Timestamp start) { return e.start < start; });
      if (place->start == row.start) {
        *place = std::move(entry);
        continue;
      }
    }
    entries.insert(place, std::move(entry));
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

void EvidenceStore::add_trouble(const Anomaly& anomaly, Timestamp since) {
  // As long as any row is kept.
  Duration keep = 0;
  for (const auto& [name, memory] : windows_) keep = std::max(keep, 2 * memory.lookback());
  const WindowMemory* const own = window(anomaly.window);
  if (own == nullptr) return;
  troubles_.add(own->schema().stream, anomaly.keys, {since, anomaly.window_end}, keep);
}

const WindowMemory* EvidenceStore::window(std::string_view name) const {
  const auto at = windows_.find(name);
  return at == windows_.end() ? nullptr : &at->second;
}

void WindowMemory::put(std::string& out) const {
  put_signed(out, newest_start_);
  put_varint(out, series_.size());
  std::map<std::string_view, std::size_t> places;
  for (const auto& [bytes, series] : series_) {
    places.emplace(bytes, places.size());
    for (const Value& key : series.keys()) put_value(out, key);
  }
  // In the order in which they came, as they leave. Within a series that is the order it has them.
  std::vector<std::size_t> next(series_.size());
  Timestamp before = 0;
  put_varint(out, order_.size());
  for (const auto& at : order_) {
    const std::size_t place = places.find(at->first)->second;
    const Series::Entry& entry = at->second.entries_[next[place]++];
    put_varint(out, place);
    put_signed(out, entry.start - before);
    put_signed(out, entry.end - entry.start);
    before = entry.start;
    for (const double v : entry.metrics) put_double(out, std::isnan(v) ? kNone : v);
  }
}

bool WindowMemory::read(ByteReader& in, const std::vector<std::optional<std::size_t>>& columns) {
  if (!read_time(in, newest_start_)) return false;
  std::vector<std::map<std::string, Series>::iterator> places;
  for (std::size_t left = in.count(); left > 0; --left) {
    std::vector<Value> keys(schema_->keys.size());
    for (Value& key : keys) {
      if (!read_value(in, key)) return false;
    }
    std::string bytes = key_bytes(keys);
    const auto [at, added] = series_.try_emplace(std::move(bytes), std::move(keys));
    if (!added) return false;
    places.push_back(at);
    // With no key columns there is one series, and no byte of it.
    if (schema_->keys.empty() && left > 1) return false;
  }
  Timestamp start = 0;
  for (std::size_t left = in.count(); left > 0; --left) {
    const std::uint64_t place = in.varint();
    Timestamp step = 0;
    Duration size = 0;
    if (!read_time(in, step) || !read_time(in, size) || place >= places.size()) return false;
    if (step == kMinTimestamp || !is_plausible_time(start + step) || size <= 0) return false;
    start += step;
    Series::Entry entry{start, start + size, {}};
    entry.metrics.resize(schema_->metrics.size(), kNone);
    for (const auto& column : columns) {
      const double v = in.number();
      if (column) entry.metrics[*column] = v;
    }
    if (!in.ok()) return false;
    places[place]->second.entries_.push_back(std::move(entry));
    order_.push_back(places[place]);
  }
  // A series is forgotten with its last row.
  return in.ok() && std::none_of(places.begin(), places.end(),
                                 [](const auto& at) { return at->second.entries_.empty(); });
}

namespace {

std::vector<std::optional<std::size_t>> places_of(const std::vector<ResultColumn>& written,
                                                  const std::vector<ResultColumn>& now) {
  std::vector<std::optional<std::size_t>> out;
  for (const ResultColumn& column : written) {
    const auto at = std::find_if(now.begin(), now.end(), [&](const ResultColumn& c) {
      return c.name == column.name && c.definition == column.definition;
    });
    out.emplace_back();
    if (at != now.end()) out.back() = static_cast<std::size_t>(at - now.begin());
  }
  return out;
}

}  // namespace

void EvidenceStore::put(std::string& out) const {
  put_varint(out, windows_.size());
  for (const auto& [name, memory] : windows_) {
    const WindowSchema& schema = memory.schema();
    put_text(out, name);
    put_u64(out, schema.definition);
    put_varint(out, schema.metrics.size());
    for (const ResultColumn& metric : schema.metrics) {
      put_text(out, metric.name);
      put_u64(out, metric.definition);
    }
    std::string rows;
    memory.put(rows);
    put_text(out, rows);
  }
  troubles_.put(out);
}

bool EvidenceStore::read(ByteReader& in,
                         const std::vector<std::shared_ptr<const WindowSchema>>& windows,
                         std::vector<std::string>& forgotten) {
  for (std::size_t left = in.count(); left > 0; --left) {
    const std::string name(in.text());
    const std::uint64_t definition = in.u64();
    std::vector<ResultColumn> metrics;
    for (std::size_t count = in.count(); count > 0 && in.ok(); --count) {
      const std::string_view metric = in.text();
      metrics.push_back({std::string(metric), {}, in.u64()});
    }
    const std::string_view bytes = in.text();
    if (!in.ok()) return false;
    const auto schema = std::find_if(windows.begin(), windows.end(),
                                     [&](const auto& w) { return w->window == name; });
    if (schema == windows.end() || (*schema)->definition != definition) {
      forgotten.push_back(name);
      continue;
    }
    const auto [at, added] = windows_.try_emplace(name, *schema);
    ByteReader rows(bytes);
    if (!added || !at->second.read(rows, places_of(metrics, (*schema)->metrics)) || !rows.at_end())
      return false;
  }
  return in.ok() && troubles_.read(in);
}

}  // namespace streamobs::narrate

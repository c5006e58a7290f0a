#include "loadgen/truth.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>

#include "base/decimal.h"
#include "loadgen/distribution.h"

namespace streamobs::loadgen {

std::int64_t Truth::quantile(std::span<const std::int64_t> sorted, double q) {
  assert(!sorted.empty());
  return sorted[static_cast<std::size_t>(std::floor(q * static_cast<double>(sorted.size() - 1)))];
}

double Truth::Anomaly::observed() const {
  if (is_rate) return events == 0 ? 0 : static_cast<double>(hits) / static_cast<double>(events);
  if (values.empty()) return 0;
  std::vector<std::int64_t> sorted = values;
  std::sort(sorted.begin(), sorted.end());
  return static_cast<double>(quantile(sorted, 0.95)) / static_cast<double>(power_of_ten(digits));
}

std::uint32_t Truth::add_key(std::vector<std::string> parts) {
  assert(parts.size() == layout_.key_names.size());
  keys_.push_back(std::move(parts));
  return static_cast<std::uint32_t>(keys_.size() - 1);
}

Truth::Minute& Truth::minute_of(Timestamp event_time) {
  const Timestamp start = event_time - event_time % kMinute;
  auto at = open_.end();
  while (at != open_.begin() && std::prev(at)->start >= start) --at;
  if (at == open_.end() || at->start != start) {
    at = open_.insert(at, Minute{start, {}});
    next_close_ = open_.front().start + kMinute + kMaxDelay;
  }
  return *at;
}

void Truth::add(std::uint32_t key, Timestamp event_time, std::span<const std::int64_t> values,
                std::uint32_t flags) {
  Minute& minute = minute_of(event_time);
  if (key >= minute.groups.size())
    minute.groups.resize(std::max<std::size_t>(key + 1, keys_.size()));
  Group& group = minute.groups[key];
  ++group.count;
  for (std::size_t i = 0; i < layout_.flag_names.size(); ++i) group.flags[i] += flags >> i & 1;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] != kAbsent) group.values[i].push_back(values[i]);
  }
}

void Truth::add_anomaly_event(bool hit, std::int64_t value) {
  Anomaly& anomaly = anomalies_.back();
  ++anomaly.events;
  anomaly.hits += hit;
  if (!anomaly.is_rate && anomaly.values.size() < kAnomalyValuesMax)
    anomaly.values.push_back(value);
}

void Truth::close_until(Timestamp now) {
  while (!open_.empty() && open_.front().start + kMinute + kMaxDelay <= now) {
    write_minute(open_.front());
    open_.pop_front();
  }
  next_close_ = open_.empty() ? kMaxTimestamp : open_.front().start + kMinute + kMaxDelay;
}

void Truth::finish(Timestamp last) {
  close_until(kMaxTimestamp);
  if (!anomalies_.empty()) anomalies_.back().to = std::min(anomalies_.back().to, last);
}

void Truth::write_minute(Minute& minute) {
  for (std::uint32_t key = 0; key < minute.groups.size(); ++key) {
    if (minute.groups[key].count != 0) write_group(minute.start, key, minute.groups[key]);
  }
}

void Truth::write_group(Timestamp start, std::uint32_t key, Group& group) {
  JsonWriter json(rows_);
  json.begin_object().key("window_start").time(start).key("window_end").time(start + kMinute);
  json.key("keys").begin_object();
  for (std::size_t i = 0; i < layout_.key_names.size(); ++i) {
    json.field(layout_.key_names[i], keys_[key][i]);
  }
  json.end_object().field("count", group.count).key("counts").begin_object();
  for (std::size_t i = 0; i < layout_.flag_names.size(); ++i) {
    json.field(layout_.flag_names[i], group.flags[i]);
  }
  json.end_object().key("values").begin_object();
  for (std::size_t i = 0; i < layout_.values.size(); ++i) {
    std::vector<std::int64_t>& values = group.values[i];
    if (values.empty()) continue;
    std::sort(values.begin(), values.end());
    const auto sum = std::accumulate(values.begin(), values.end(), std::int64_t{0});
    const int digits = layout_.values[i].digits;
    json.key(layout_.values[i].name).begin_object();
    json.field("count", static_cast<std::uint64_t>(values.size()));
    json.key("sum").decimal(sum, digits).key("min").decimal(values.front(), digits);
    json.key("max").decimal(values.back(), digits);
    json.field("avg", static_cast<double>(sum) / static_cast<double>(power_of_ten(digits)) /
                          static_cast<double>(values.size()));
    json.key("p50").decimal(quantile(values, 0.50), digits);
    json.key("p95").decimal(quantile(values, 0.95), digits);
    json.key("p99").decimal(quantile(values, 0.99), digits).end_object();
  }
  json.end_object().end_object();
  rows_ += ",\n";
}

void Truth::write_anomalies(JsonWriter& json) const {
  json.begin_array();
  for (const Anomaly& anomaly : anomalies_) {
    json.begin_object().field("kind", anomaly.kind).field("metric", anomaly.metric);
    json.key("keys").begin_object();
    for (std::size_t i = 0; i < anomaly.keys.size(); ++i) {
      if (!anomaly.keys[i].empty()) json.field(layout_.key_names[i], anomaly.keys[i]);
    }
    json.end_object();
    if (!anomaly.detail.empty()) json.field("detail", anomaly.detail);
    json.key("from").time(anomaly.from).key("to").time(anomaly.to);
    json.field("expected", anomaly.expected).field("observed", anomaly.observed());
    json.field("events", anomaly.events).end_object();
  }
  json.end_array();
}

}  // namespace streamobs::loadgen

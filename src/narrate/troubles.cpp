#include "narrate/troubles.h"

#include <algorithm>
#include <optional>

#include "event/record_state.h"

namespace streamobs::narrate {

namespace {

// Takes a span in among others that are ordered and apart. What touches becomes one.
template <class Spans>
void insert(Spans& spans, TroubledSpan added) {
  const auto first = std::find_if(spans.begin(), spans.end(),
                                  [&](const TroubledSpan& s) { return s.to >= added.from; });
  auto last = first;
  for (; last != spans.end() && last->from <= added.to; ++last) {
    added.from = std::min(added.from, last->from);
    added.to = std::max(added.to, last->to);
  }
  spans.insert(spans.erase(first, last), added);
}

// The values of those of a row's keys that have these names; none where it lacks one.
std::optional<std::vector<Value>> values_of(const std::vector<std::string>& names,
                                            const WindowSchema& schema,
                                            const std::vector<Value>& keys) {
  std::vector<Value> out;
  for (const std::string& name : names) {
    const auto at = std::find_if(schema.keys.begin(), schema.keys.end(),
                                 [&](const ResultColumn& column) { return column.name == name; });
    if (at == schema.keys.end()) return std::nullopt;
    out.push_back(keys[static_cast<std::size_t>(at - schema.keys.begin())]);
  }
  return out;
}

}  // namespace

bool any_overlaps(const std::vector<TroubledSpan>& spans, Timestamp start, Timestamp end) {
  const auto at = std::partition_point(spans.begin(), spans.end(),
                                       [&](const TroubledSpan& s) { return s.to <= start; });
  return at != spans.end() && at->from < end;
}

void Troubles::add(const std::string& stream, const std::vector<NamedValue>& keys,
                   TroubledSpan span, Duration keep) {
  if (span.from >= span.to) return;
  std::vector<std::string> names;
  std::vector<Value> values;
  for (const NamedValue& key : keys) {
    names.push_back(key.name);
    values.push_back(key.value);
  }
  const std::string bytes = key_bytes(values);
  const std::pair group{stream, std::move(names)};
  // All that is old goes once in an hour of event time, so that it costs little.
  const Timestamp before = newest_;
  newest_ = std::max(newest_, span.to);
  if (before == kMinTimestamp || newest_ / kHour != before / kHour) {
    forget([&](const TroubledSpan& s) { return s.to < newest_ - keep; });
  }
  const auto known = by_names_.find(group);
  const bool is_new = known == by_names_.end() || known->second.count(bytes) == 0;
  if (is_new && count_ >= kMaxKeys && !make_room()) return;
  Spans& spans = by_names_[group][bytes];
  if (is_new) ++count_;
  insert(spans, span);
  if (spans.size() > kMaxSpans) spans.pop_front();
}

template <class Old>
void Troubles::forget(const Old& is_old) {
  for (auto& [names, by_key] : by_names_) {
    for (auto& [bytes, spans] : by_key) {
      while (!spans.empty() && is_old(spans.front())) spans.pop_front();
    }
    count_ -= std::erase_if(by_key, [](const auto& key) { return key.second.empty(); });
  }
  std::erase_if(by_names_, [](const auto& group) { return group.second.empty(); });
}

bool Troubles::make_room() {
  std::vector<Timestamp> ends;
  for (const auto& [names, by_key] : by_names_) {
    for (const auto& [bytes, spans] : by_key) ends.push_back(spans.back().to);
  }
  const auto quarter = ends.begin() + static_cast<std::ptrdiff_t>(ends.size() / 4);
  std::nth_element(ends.begin(), quarter, ends.end());
  const Timestamp limit = *quarter;
  // Spans are ordered: a key is gone when its last one is.
  forget([&](const TroubledSpan& s) { return s.to < limit; });
  return count_ < kMaxKeys;
}

std::vector<TroubledSpan> Troubles::of(const WindowSchema& schema,
                                       const std::vector<Value>& keys) const {
  std::vector<TroubledSpan> out;
  for (const auto& [group, by_key] : by_names_) {
    if (group.first != schema.stream) continue;
    const auto values = values_of(group.second, schema, keys);
    if (!values) continue;
    const auto at = by_key.find(key_bytes(*values));
    if (at == by_key.end()) continue;
    for (const TroubledSpan& span : at->second) insert(out, span);
  }
  return out;
}

void Troubles::put(std::string& out) const {
  put_signed(out, newest_);
  put_varint(out, by_names_.size());
  for (const auto& [group, by_key] : by_names_) {
    put_text(out, group.first);
    put_varint(out, group.second.size());
    for (const std::string& name : group.second) put_text(out, name);
    put_varint(out, by_key.size());
    for (const auto& [bytes, spans] : by_key) {
      put_text(out, bytes);
      put_varint(out, spans.size());
      for (const TroubledSpan& span : spans) {
        put_signed(out, span.from);
        put_signed(out, span.to);
      }
    }
  }
}

bool Troubles::read(ByteReader& in) {
  if (!read_time(in, newest_)) return false;
  for (std::size_t groups = in.count(); groups > 0; --groups) {
    std::pair group{std::string(in.text()), std::vector<std::string>()};
    for (std::size_t left = in.count(); left > 0 && in.ok(); --left) {
      group.second.emplace_back(in.text());
    }
    const std::size_t keys = in.count();
    if (!in.ok() || keys == 0 || (!by_names_.empty() && group <= by_names_.rbegin()->first)) {
      return false;
    }
    auto& by_key = by_names_[std::move(group)];
    for (std::size_t i = 0; i < keys; ++i) {
      std::string bytes(in.text());
      if (!by_key.empty() && bytes <= by_key.rbegin()->first) return false;
      Spans& spans = by_key[std::move(bytes)];
      for (std::size_t left = in.count(); left > 0; --left) {
        TroubledSpan span;
        if (!read_time(in, span.from) || !read_time(in, span.to) || span.from >= span.to) {
          return false;
        }
        if (!spans.empty() && span.from <= spans.back().to) return false;
        spans.push_back(span);
      }
      if (spans.empty() || spans.size() > kMaxSpans || ++count_ > kMaxKeys) return false;
    }
  }
  return in.ok();
}

}  // namespace streamobs::narrate

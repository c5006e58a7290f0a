#include "detect/history.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "event/record_state.h"

namespace streamobs::detect {

std::size_t KeyHistory::lower_bound(Timestamp start) const {
  const auto at =
      std::lower_bound(starts_.begin() + static_cast<std::ptrdiff_t>(head_), starts_.end(), start);
  return static_cast<std::size_t>(at - starts_.begin());
}

void KeyHistory::record(Timestamp start, std::span<const double> values, Duration keep) {
  const bool newest = size() == 0 || start > starts_.back();
  const std::size_t at = newest ? starts_.size() : lower_bound(start);
  const bool replaces = at < starts_.size() && starts_[at] == start;
  const auto offset = static_cast<std::ptrdiff_t>(at);
  if (replaces) {
    troubled_[at] = false;
  } else {
    starts_.insert(starts_.begin() + offset, start);
    troubled_.insert(troubled_.begin() + offset, false);
  }
  for (std::size_t i = 0; i < values_.size(); ++i) {
    if (replaces) {
      values_[i][at] = values[i];
    } else {
      values_[i].insert(values_[i].begin() + offset, values[i]);
    }
  }
  forget(keep);
}

void KeyHistory::forget(Duration keep) {
  const Timestamp oldest = starts_.back() - keep;
  while (size() > 2 && (starts_[head_] < oldest || size() > kMaxEntries)) ++head_;
  // Cut in bulk, so that forgetting costs a constant per window.
  if (head_ < 16 || head_ * 2 < starts_.size()) return;
  const auto count = static_cast<std::ptrdiff_t>(head_);
  starts_.erase(starts_.begin(), starts_.begin() + count);
  troubled_.erase(troubled_.begin(), troubled_.begin() + count);
  for (auto& series : values_) series.erase(series.begin(), series.begin() + count);
  head_ = 0;
}

void KeyHistory::mark(Timestamp start, bool troubled) {
  const std::size_t at = lower_bound(start);
  if (at < starts_.size() && starts_[at] == start) troubled_[at] = troubled;
}

Normal::Level KeyHistory::normal(std::size_t series, Timestamp from, Timestamp to,
                                 std::size_t least) const {
  Normal normal;
  const std::size_t end = lower_bound(to);
  for (std::size_t i = lower_bound(from); i < end; ++i) {
    if (const double v = values_[series][i]; !std::isnan(v)) normal.add(v, troubled_[i]);
  }
  return normal.level(least);
}

double KeyHistory::previous(std::size_t series, Timestamp start) const {
  const std::size_t at = lower_bound(start);
  return at > head_ ? values_[series][at - 1] : std::numeric_limits<double>::quiet_NaN();
}

void KeyHistory::put(std::string& out) const {
  put_varint(out, size());
  Timestamp before = 0;
  for (std::size_t i = head_; i < starts_.size(); ++i) {
    put_signed(out, starts_[i] - before);
    before = starts_[i];
  }
  for (std::size_t i = head_; i < starts_.size(); i += 8) {
    std::uint8_t bits = 0;
    for (std::size_t bit = 0; bit < 8 && i + bit < starts_.size(); ++bit) {
      if (troubled_[i + bit]) bits = static_cast<std::uint8_t>(bits | 1U << bit);
    }
    put_u8(out, bits);
  }
  for (const auto& series : values_) {
    for (std::size_t i = head_; i < starts_.size(); ++i) {
      // One NaN stands for NULL, however it came about.
      const double v = series[i];
      put_double(out, std::isnan(v) ? std::numeric_limits<double>::quiet_NaN() : v);
    }
  }
}

bool KeyHistory::read(ByteReader& in) {
  const std::size_t count = in.count();
  if (count > kMaxEntries) return false;
  head_ = 0;
  starts_.clear();
  Timestamp start = 0;
  for (std::size_t i = 0; i < count; ++i) {
    Timestamp step = 0;
    if (!read_time(in, step) || step == kMinTimestamp || (i > 0 && step <= 0)) return false;
    start += step;
    if (!is_plausible_time(start)) return false;
    starts_.push_back(start);
  }
  troubled_.clear();
  for (std::size_t i = 0; i < count; i += 8) {
    const std::uint8_t bits = in.u8();
    const std::size_t used = std::min<std::size_t>(8, count - i);
    if (bits >> used != 0) return false;
    for (std::size_t bit = 0; bit < used; ++bit) troubled_.push_back((bits >> bit & 1U) != 0);
  }
  for (auto& series : values_) {
    if (in.left() / sizeof(double) < count) return false;
    series.clear();
    for (std::size_t i = 0; i < count; ++i) series.push_back(in.number());
  }
  return in.ok();
}

KeyHistory KeyHistory::select(std::span<const std::optional<std::size_t>> series) const {
  KeyHistory out(series.size());
  const auto from = static_cast<std::ptrdiff_t>(head_);
  out.starts_.assign(starts_.begin() + from, starts_.end());
  out.troubled_.assign(troubled_.begin() + from, troubled_.end());
  for (std::size_t i = 0; i < series.size(); ++i) {
    if (series[i]) {
      out.values_[i].assign(values_[*series[i]].begin() + from, values_[*series[i]].end());
    } else {
      out.values_[i].assign(out.starts_.size(), std::numeric_limits<double>::quiet_NaN());
    }
  }
  return out;
}

}  // namespace streamobs::detect

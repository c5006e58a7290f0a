#include "window/assigner.h"

#include <utility>

namespace streamobs::window {

namespace {

std::int64_t floor_div(std::int64_t a, std::int64_t b) {
  return a / b - (a % b < 0 ? 1 : 0);
}

}  // namespace

Assigner::Assigner(Duration size, std::shared_ptr<const TimeZone> zone)
    : size_(size), zone_(std::move(zone)) {
  if (zone_ != nullptr && zone_->is_utc()) zone_ = nullptr;
}

Interval Assigner::days(std::int64_t index) const {
  return {zone_->day_start(zone_->to_utc(index * size_)),
          zone_->day_start(zone_->to_utc((index + 1) * size_))};
}

Interval Assigner::at(Timestamp t) const {
  if (zone_ == nullptr) {
    const Timestamp past = t % size_ < 0 ? t % size_ + size_ : t % size_;
    const Timestamp start = saturating_add(t, -past);
    return {start, saturating_add(start, size_)};
  }
  std::int64_t index = floor_div(t + zone_->offset_at(t), size_);
  Interval interval = days(index);
  // Where clocks are set back across midnight, the evening's second copy belongs to the new day.
  while (t >= interval.end) interval = days(++index);
  while (t < interval.start) interval = days(--index);
  return interval;
}

}  // namespace streamobs::window

#include "window/admission.h"

#include <algorithm>

#include "window/admission_impl.h"

namespace streamobs::window {

Admission::Admission(std::shared_ptr<const StreamWindowsPlan> plan, std::size_t lanes)
    : impl_(std::make_unique<Impl>(std::move(plan), lanes)) {}

Admission::~Admission() = default;

bool Admission::must_order(std::size_t rows, std::size_t rows_in_flight) const {
  return impl_->must_order(rows, rows_in_flight);
}

void Admission::set_ordered(bool ordered) {
  if (impl_->alone()) return;
  if (ordered) {
    // While ordered, counts stay exact but for windows that have closed since.
    if (!impl_->is_ordered() || impl_->closing) impl_->recount();
    impl_->closing = false;
  } else if (impl_->is_ordered()) {
    impl_->freeze_full();
  }
  impl_->ordered.store(ordered, std::memory_order_relaxed);
}

void Admission::note_closing() {
  impl_->closing = true;
}

Admission::Impl::Impl(std::shared_ptr<const StreamWindowsPlan> plan_in, std::size_t lanes_in)
    : plan(std::move(plan_in)),
      lanes(std::max<std::size_t>(lanes_in, 1), nullptr),
      windows(plan->windows.size()),
      watermarks(lanes.size(), kMinTimestamp) {}

void Admission::Impl::join(std::size_t lane, const OpenInstances* instances) {
  lanes.at(lane) = instances;
}

void Admission::Impl::leave(std::size_t lane) {
  lanes.at(lane) = nullptr;
}

bool Admission::Impl::must_order(std::size_t rows, std::size_t rows_in_flight) const {
  if (alone()) return false;
  for (const WindowPlan& window : plan->windows) {
    if (window.keys.empty()) continue;
    const Window& state = windows[window.index];
    const std::size_t most = state.largest.load(std::memory_order_relaxed) +
                             state.inserted.load(std::memory_order_relaxed) + rows_in_flight + rows;
    if (most > window.max_keys) return true;
  }
  return false;
}

WindowInstance* Admission::Impl::held_by(std::size_t lane, const InstancePlace& place) const {
  if (lanes[lane] == nullptr) return nullptr;
  return instance_of((*lanes[lane])[place.window], place);
}

std::size_t Admission::Impl::count_keys(const InstancePlace& place) const {
  std::vector<const WindowInstance*> holders;
  for (std::size_t lane = 0; lane < lanes.size(); ++lane) {
    if (const WindowInstance* instance = held_by(lane, place)) holders.push_back(instance);
  }
  if (holders.size() == 1) return holders[0]->table.keys();
  KeySet all;
  for (const WindowInstance* holder : holders) {
    for (std::uint32_t slot = 0; slot < holder->table.size(); ++slot) {
      const GroupKey& key = holder->table.key(slot);
      if (!key.is_overflow()) all.insert(key, key.hash(), false);
    }
  }
  return all.size();
}

void Admission::Impl::update_largest(std::size_t window) {
  std::size_t largest = 0;
  const std::size_t cap = plan->windows[window].max_keys;
  for (auto at = keys.lower_bound({window, kMinTimestamp, kMinTimestamp});
       at != keys.end() && at->first.window == window; ++at) {
    if (at->second < cap) largest = std::max(largest, at->second);
  }
  windows[window].largest.store(largest, std::memory_order_relaxed);
}

void Admission::Impl::recount() {
  keys.clear();
  for (std::size_t window = 0; window < windows.size(); ++window) {
    for (const OpenInstances* lane : lanes) {
      if (lane == nullptr) continue;
      for (const InstancePtr& instance : (*lane)[window]) {
        const InstancePlace place = place_of(*instance);
        if (keys.contains(place)) continue;
        keys[place] = instance->frozen ? instance->frozen->size() : count_keys(place);
      }
    }
    update_largest(window);
    windows[window].inserted.store(0, std::memory_order_relaxed);
  }
}

void Admission::Impl::restored() {
  if (alone()) return;
  recount();
  freeze_full();
}

bool Admission::Impl::admit_ordered(const WindowInstance& instance, std::size_t lane,
                                    const GroupKey& key, std::uint32_t hash) {
  const WindowPlan& window = instance.table.plan();
  const InstancePlace place = place_of(instance);
  for (std::size_t other = 0; other < lanes.size(); ++other) {
    if (other == lane) continue;
    const WindowInstance* const same = held_by(other, place);
    if (same != nullptr && same->table.find(key, hash) != GroupTable::kNone) return true;
  }
  std::size_t& count = keys[place];
  if (count >= window.max_keys) return false;
  ++count;
  std::atomic<std::size_t>& largest = windows[window.index].largest;
  if (count >= window.max_keys) {
    update_largest(window.index);
  } else if (count > largest.load(std::memory_order_relaxed)) {
    largest.store(count, std::memory_order_relaxed);
  }
  return true;
}

void Admission::Impl::freeze_full() {
  const std::lock_guard lock(mutex);
  for (const auto& [place, count] : keys) {
    const WindowPlan& window = plan->windows[place.window];
    if (count < window.max_keys) continue;
    std::shared_ptr<const KeySet> all;
    for (const Frozen& known : frozen) {
      if (known.place == place) all = known.keys;
    }
    if (all == nullptr) {
      auto set = std::make_shared<KeySet>();
      for (std::size_t lane = 0; lane < lanes.size(); ++lane) {
        const WindowInstance* const instance = held_by(lane, place);
        if (instance == nullptr) continue;
        for (std::uint32_t slot = 0; slot < instance->table.size(); ++slot) {
          const GroupKey& key = instance->table.key(slot);
          if (!key.is_overflow()) set->insert(key, key.hash(), true);
        }
      }
      if (set->size() < count) continue;  // It has been closed since it was counted.
      all = std::move(set);
      frozen.push_back({place, window.closes_at(place.due), all});
    }
    for (std::size_t lane = 0; lane < lanes.size(); ++lane) {
      if (WindowInstance* const instance = held_by(lane, place)) instance->frozen = all;
    }
  }
  frozen_count.store(frozen.size(), std::memory_order_relaxed);
}

std::shared_ptr<const KeySet> Admission::Impl::frozen_keys(const InstancePlace& place) {
  if (frozen_count.load(std::memory_order_relaxed) == 0) return nullptr;
  const std::lock_guard lock(mutex);
  for (const Frozen& f : frozen) {
    if (f.place == place) return f.keys;
  }
  return nullptr;
}

void Admission::Impl::passed(std::size_t lane, Timestamp watermark) {
  if (frozen_count.load(std::memory_order_relaxed) == 0) return;
  const std::lock_guard lock(mutex);
  watermarks[lane] = std::max(watermarks[lane], watermark);
  const Timestamp all_passed = *std::min_element(watermarks.begin(), watermarks.end());
  std::erase_if(frozen, [&](const Frozen& f) { return f.closes_at <= all_passed; });
  frozen_count.store(frozen.size(), std::memory_order_relaxed);
}

}  // namespace streamobs::window

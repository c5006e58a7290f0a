// A set of group keys: all the keys of a window instance that is full, or a union being counted.
// Filled by one strand, then read-only and shared between lanes.
#pragma once

#include <cstdint>
#include <cstring>

#include "base/pod_vector.h"
#include "window/aggregate/arena.h"
#include "window/group_key.h"

namespace streamobs::window {

class KeySet {
 public:
  std::size_t size() const { return size_; }

  bool contains(const GroupKey& key, std::uint32_t hash) const {
    if (places_.empty()) return false;
    const Place& place = places_[find(key, hash)];
    return place.used;
  }
  /// Adds a key if it is new. Without `copy`, a long key's bytes must outlive the set.
  void insert(const GroupKey& key, std::uint32_t hash, bool copy) {
    if ((size_ + 1) * 4 > places_.size() * 3) grow();
    Place& place = places_[find(key, hash)];
    if (place.used) return;
    place = {key, hash, true};
    if (copy && key.is_long()) {
      auto* const text = static_cast<char*>(arena_.allocate(key.size));
      std::memcpy(text, key.tail.text, key.size);
      place.key.tail.text = text;
    }
    ++size_;
  }

 private:
  struct Place {
    GroupKey key;
    std::uint32_t hash;
    bool used;
  };
  std::size_t find(const GroupKey& key, std::uint32_t hash) const {
    const std::size_t mask = places_.size() - 1;
    std::size_t i = hash & mask;
    while (places_[i].used && !(places_[i].hash == hash && places_[i].key == key)) {
      i = (i + 1) & mask;
    }
    return i;
  }
  void grow() {
    PodVector<Place> old;
    old.swap(places_);
    places_.resize(old.empty() ? 64 : old.size() * 2, Place{{}, 0, false});
    for (const Place& place : old) {
      if (place.used) places_[find(place.key, place.hash)] = place;
    }
  }

  std::size_t size_ = 0;
  PodVector<Place> places_;
  Arena arena_;
};

}  // namespace streamobs::window

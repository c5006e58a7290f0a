// The ids a deduplicator knows: 128-bit hashes and the times they were seen, 30 to 38 bytes each.
//
// Open addressing with linear probing, in which the place of a hash rises with its value: the table
// is almost sorted as it stands, so that growing and writing a snapshot are passes over memory. Ids
// older than the floor are dead: not found, not counted, their places taken by others, and left
// behind when the table is made anew. Belongs to one Deduplicator.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/clock.h"
#include "base/pod_vector.h"

namespace streamobs::window {

struct IdHash {
  std::uint64_t high = 0;
  std::uint64_t low = 0;  ///< Never 0, which marks a free place.

  friend auto operator<=>(const IdHash&, const IdHash&) = default;
};

class IdTable {
 public:
  struct Entry {
    IdHash id;
    Timestamp time;
  };

  /// Live ids are counted by `step` of time, so that those that die need not be looked for.
  explicit IdTable(Duration step) : step_(step) {}

  std::size_t live() const { return live_; }
  std::size_t bytes() const { return places_.capacity() * sizeof(Entry); }
  Timestamp floor() const { return floor_; }

  void prefetch(const IdHash& id) const {
    if (places_.empty()) return;
    const auto* const place = reinterpret_cast<const char*>(&places_[home(id)]);
    __builtin_prefetch(place);
    __builtin_prefetch(place + 64);
  }
  /// Where an id is, or would be added.
  struct Place {
    bool found = false;
    std::size_t index = 0;
  };
  Place find(const IdHash& id) const;
  /// Makes room for `ids` in all: ids that come in order would crowd the first places otherwise.
  void reserve(std::size_t ids);
  /// Adds an id where find() did not find it, at `time` ≥ floor(). Since then nothing may have been
  /// added. All live times lie within 120 steps.
  void insert(Place at, const IdHash& id, Timestamp time);
  /// Ids before `floor` die. It never falls.
  void raise_floor(Timestamp floor);
  /// The `n`th oldest time of the live ids, from 0.
  Timestamp nth_time(std::size_t n) const;
  /// The live ids in order.
  std::vector<Entry> sorted() const;

 private:
  static constexpr std::size_t kGenerations = 128;
  static constexpr std::size_t kFirstPlaces = 64;

  std::size_t home(const IdHash& id) const {
    __extension__ using Wide = unsigned __int128;
    return static_cast<std::size_t>((static_cast<Wide>(id.high) * places_.size()) >> 64);
  }
  std::int64_t generation(Timestamp t) const { return t / step_ - (t % step_ < 0 ? 1 : 0); }
  std::size_t& count_of(std::int64_t generation) {
    return counts_[static_cast<std::uint64_t>(generation) % kGenerations];
  }
  /// The same by time. Most ids are of the generation of the one before: that needs no division.
  std::size_t& count_at(Timestamp t) {
    if (t < recent_begin_ || t - recent_begin_ >= step_) {
      recent_ = generation(t);
      recent_begin_ = recent_ * step_;
    }
    return count_of(recent_);
  }
  bool is_live(const Entry& entry) const { return entry.id.low != 0 && entry.time >= floor_; }
  void place(const Entry& entry);
  void make_anew(std::size_t ids);

  Duration step_;
  Timestamp floor_ = kMinTimestamp;
  std::size_t live_ = 0;
  std::size_t used_ = 0;  ///< Places taken, by dead ids too.
  PodVector<Entry> places_;
  std::array<std::size_t, kGenerations> counts_{};  ///< Live ids, by generation.
  std::int64_t recent_ = 0;                         ///< A generation, and when it begins.
  Timestamp recent_begin_ = 0;
};

}  // namespace streamobs::window

#include "window/id_table.h"

#include <iterator>

namespace streamobs::window {

IdTable::Place IdTable::find(const IdHash& id) const {
  if (places_.empty()) return {};
  constexpr auto kNone = static_cast<std::size_t>(-1);
  std::size_t dead = kNone;
  for (std::size_t i = home(id);;) {
    const Entry& entry = places_[i];
    if (entry.id.low == 0) return {false, dead == kNone ? i : dead};
    if (entry.time < floor_) {
      if (dead == kNone) dead = i;
    } else if (entry.id == id) {
      return {true, i};
    }
    if (++i == places_.size()) i = 0;
  }
}

void IdTable::place(const Entry& entry) {
  std::size_t i = home(entry.id);
  while (places_[i].id.low != 0) {
    if (++i == places_.size()) i = 0;
  }
  places_[i] = entry;
}

void IdTable::reserve(std::size_t ids) {
  if (ids > live_) make_anew(ids);
}

void IdTable::make_anew(std::size_t ids) {
  // At most four fifths of the places are taken; made anew, a little less than two thirds.
  PodVector<Entry> old;
  old.swap(places_);
  places_.resize(std::max(kFirstPlaces, ids / 16 * 25), Entry{});
  used_ = 0;
  for (const Entry& entry : old) {
    if (!is_live(entry)) continue;
    place(entry);
    ++used_;
  }
}

void IdTable::insert(Place at, const IdHash& id, Timestamp time) {
  const bool free = places_.empty() || places_[at.index].id.low == 0;
  if (!free) {
    places_[at.index] = {id, time};
  } else if ((used_ + 1) * 5 <= places_.size() * 4) {
    places_[at.index] = {id, time};
    ++used_;
  } else {
    make_anew(live_);
    place({id, time});
    ++used_;
  }
  ++live_;
  ++count_at(time);
}

void IdTable::raise_floor(Timestamp floor) {
  if (floor <= floor_) return;
  const std::int64_t from = generation(floor_);
  const std::int64_t to = generation(floor);
  floor_ = floor;
  if (live_ == 0) return;
  if (floor % step_ == 0) {
    // Whole generations die; there are fewer with live ids in them than counters.
    const std::int64_t end = std::min(to, from + static_cast<std::int64_t>(kGenerations));
    for (std::int64_t g = from; g < end; ++g) {
      live_ -= count_of(g);
      count_of(g) = 0;
    }
    return;
  }
  live_ = 0;
  counts_ = {};
  for (const Entry& entry : places_) {
    if (!is_live(entry)) continue;
    ++live_;
    ++count_at(entry.time);
  }
}

Timestamp IdTable::nth_time(std::size_t n) const {
  std::vector<Timestamp> times;
  times.reserve(live_);
  for (const Entry& entry : places_) {
    if (is_live(entry)) times.push_back(entry.time);
  }
  const auto nth = times.begin() + static_cast<std::ptrdiff_t>(n);
  std::nth_element(times.begin(), nth, times.end());
  return *nth;
}

std::vector<IdTable::Entry> IdTable::sorted() const {
  std::vector<Entry> entries;
  entries.reserve(live_);
  std::ptrdiff_t front = -1;  // How many stand before the first free place.
  for (const Entry& entry : places_) {
    if (is_live(entry)) entries.push_back(entry);
    if (front < 0 && entry.id.low == 0) front = std::ssize(entries);
  }
  // Places rise with hashes, so that only neighbours can be out of order, but for those at the
  // front that came around from the end.
  const auto around =
      std::stable_partition(entries.begin(), entries.begin() + std::max<std::ptrdiff_t>(front, 0),
                            [&](const Entry& e) { return home(e.id) > places_.size() / 2; });
  std::rotate(entries.begin(), around, entries.end());
  // Insertion sort: an entry is a few places from where it belongs.
  for (std::size_t i = 1; i < entries.size(); ++i) {
    const Entry entry = entries[i];
    std::size_t at = i;
    for (; at > 0 && entry.id < entries[at - 1].id; --at) entries[at] = entries[at - 1];
    entries[at] = entry;
  }
  return entries;
}

}  // namespace streamobs::window

// Copies of a table's memory: what pointed into the original is made to point into the copy.
//
// A lane that hands out a copy of its groups only copies blocks of memory; whoever receives the
// copy sets it right, on its own strand. Private to this folder.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "window/aggregate/arena.h"
#include "window/aggregate/functions.h"
#include "window/group_key.h"

namespace streamobs::window {

class Relocation {
 public:
  /// `blocks` as Arena::copy() gave them.
  explicit Relocation(std::vector<Arena::Moved> blocks) : blocks_(std::move(blocks)) {
    std::sort(blocks_.begin(), blocks_.end(),
              [](const Arena::Moved& a, const Arena::Moved& b) { return a.from < b.from; });
  }

  /// Makes a pointer into a block that was copied, or a null one, point into the copy.
  template <class T>
  void operator()(T*& pointer) const {
    if (pointer == nullptr) return;
    const auto place = std::bit_cast<std::uintptr_t>(pointer);
    if (place - last_.from >= last_.size) {
      // Pieces of one row mostly stand in one block, and so do those of the next.
      last_ =
          *(std::upper_bound(blocks_.begin(), blocks_.end(), place,
                             [](std::uintptr_t p, const Arena::Moved& m) { return p < m.from; }) -
            1);
    }
    pointer = std::bit_cast<T*>(place - last_.from + last_.to);
  }

 private:
  std::vector<Arena::Moved> blocks_;
  mutable Arena::Moved last_;
};

/// Sets right a key that was copied with its row.
void relocate(GroupKey& key, const Relocation& moved);
/// Sets right an accumulator that was copied with its row. Nothing to do where it is flat.
void relocate(AccumulatorKind kind, std::byte* state, const Relocation& moved);

}  // namespace streamobs::window

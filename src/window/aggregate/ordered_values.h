// Least, greatest, first and last values as plain bytes of a group's row. All zeros is "none yet".
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/clock.h"
#include "window/aggregate/arena.h"

namespace streamobs::window {

/// Text of a row, in the arena. Grows, and keeps its memory.
struct TextState {
  char* data = nullptr;  ///< Null: none. (An empty text has memory too.)
  std::uint32_t size = 0;
  std::uint32_t capacity = 0;

  std::string_view view() const { return {data, size}; }
  void assign(std::string_view text, Arena& arena) {
    if (data == nullptr || text.size() > capacity) {
      if (data != nullptr) arena.release(data, capacity);
      capacity = static_cast<std::uint32_t>(text.size() < 16 ? 16 : text.size());
      data = static_cast<char*>(arena.allocate(capacity));
    }
    size = static_cast<std::uint32_t>(text.size());
    if (size != 0) std::memcpy(data, text.data(), size);
  }
};

template <class T>
struct ScalarState {
  T value;
  std::uint64_t present;
};

/// When a row was: its event time, then its place in the log.
struct Moment {
  Timestamp time;
  std::uint64_t sequence;
  std::uint32_t row;
  std::uint32_t present;

  bool before(const Moment& other) const {
    if (time != other.time) return time < other.time;
    if (sequence != other.sequence) return sequence < other.sequence;
    return row < other.row;
  }
};

template <class T>
struct MomentState {
  Moment moment;
  T value;
};

}  // namespace streamobs::window

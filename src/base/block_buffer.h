// The bytes of a block as its source read them, with readable padding behind them, so that a
// vectorised parser may look past the end. Reused: resize() keeps the memory.
#pragma once

#include <cstddef>
#include <cstring>
#include <string_view>

#include "base/pod_vector.h"

namespace streamobs {

class BlockBuffer {
 public:
  static constexpr std::size_t kPadding = 64;

  char* data() { return bytes_.data(); }
  const char* data() const { return bytes_.data(); }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::string_view view() const { return {bytes_.data(), size_}; }
  /// New bytes are uninitialised, the padding is zero.
  void resize(std::size_t size) {
    bytes_.resize(size + kPadding);
    std::memset(bytes_.data() + size, 0, kPadding);
    size_ = size;
  }
  void reserve(std::size_t size) { bytes_.reserve(size + kPadding); }
  std::size_t capacity() const { return bytes_.capacity() < kPadding ? 0 : bytes_.capacity() - kPadding; }
  void append(std::string_view text) {
    const std::size_t at = size_;
    resize(at + text.size());
    if (!text.empty()) std::memcpy(data() + at, text.data(), text.size());
  }

 private:
  PodVector<char> bytes_;
  std::size_t size_ = 0;
};

}  // namespace streamobs

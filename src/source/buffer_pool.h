// Block buffers that come back: a source fills one, the engine reads it, and when the last of its
// readers lets go it can be filled again.
//
// How many are out at a time is bounded by the channels they travel through; how many rest here is
// bounded by the pool. A buffer may be released on any thread, and also after the pool has gone.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

#include "base/block_buffer.h"

namespace streamobs::source {

class BufferPool {
 public:
  /// Buffers that grew beyond this for one huge event are given back to the system.
  static constexpr std::size_t kKeptBytesMax = 4 << 20;

  explicit BufferPool(std::size_t kept_max = 16) : shelf_(std::make_shared<Shelf>(kept_max)) {}

  /// An empty buffer, its memory kept from earlier use where there is one.
  std::shared_ptr<BlockBuffer> take();
  std::size_t resting() const;

 private:
  struct Shelf {
    explicit Shelf(std::size_t max) : kept_max(max) {}
    const std::size_t kept_max;
    std::mutex mutex;
    std::vector<std::unique_ptr<BlockBuffer>> buffers;
  };
  std::shared_ptr<Shelf> shelf_;
};

}  // namespace streamobs::source

#include "source/buffer_pool.h"

#include <utility>

namespace streamobs::source {

std::shared_ptr<BlockBuffer> BufferPool::take() {
  std::unique_ptr<BlockBuffer> buffer;
  {
    const std::lock_guard lock(shelf_->mutex);
    if (!shelf_->buffers.empty()) {
      buffer = std::move(shelf_->buffers.back());
      shelf_->buffers.pop_back();
    }
  }
  if (buffer == nullptr) buffer = std::make_unique<BlockBuffer>();
  buffer->resize(0);
  const auto give_back = [shelf = shelf_](BlockBuffer* released) {
    std::unique_ptr<BlockBuffer> owned(released);
    if (owned->capacity() > kKeptBytesMax) return;
    const std::lock_guard lock(shelf->mutex);
    if (shelf->buffers.size() < shelf->kept_max) shelf->buffers.push_back(std::move(owned));
  };
  return {buffer.release(), give_back};
}

std::size_t BufferPool::resting() const {
  const std::lock_guard lock(shelf_->mutex);
  return shelf_->buffers.size();
}

}  // namespace streamobs::source

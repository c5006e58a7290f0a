// Body buffers that are used again and again, wherever they are let go.
//
// The pipeline keeps a body for as long as it needs it and drops it on any thread; the last owner's
// drop brings the buffer back. Taking one allocates nothing once the pool is warm: the shared_ptr's
// control block stands beside the buffer. The pool lives as long as the server or any buffer taken
// from it, whichever is longer. take() may be called on any thread.
#pragma once

#include <cstddef>
#include <memory>

#include "base/block_buffer.h"

namespace streamobs::http {

class BufferPool {
 public:
  /// Keeps at most `bytes_max` of capacity in buffers that nobody uses.
  explicit BufferPool(std::size_t bytes_max);
  ~BufferPool();
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;

  /// An empty buffer (what memory it has, it keeps).
  std::shared_ptr<BlockBuffer> take();
  /// Bytes held by idle buffers.
  std::size_t idle_bytes() const;

 private:
  struct Node;
  struct State;
  template <class T>
  struct NodeAllocator;
  std::shared_ptr<State> state_;
};

}  // namespace streamobs::http

#include "http/buffer_pool.h"

#include <mutex>
#include <new>
#include <utility>
#include <vector>

namespace streamobs::http {

struct BufferPool::Node {
  BlockBuffer buffer;
  alignas(std::max_align_t) unsigned char control[128];  ///< The shared_ptr's control block.
};

struct BufferPool::State {
  static constexpr std::size_t kIdleMax = 256;

  explicit State(std::size_t max) : bytes_max(max) { idle.reserve(kIdleMax); }
  void put(std::unique_ptr<Node> node) {
    node->buffer.resize(0);
    const std::lock_guard lock(mutex);
    const std::size_t bytes = node->buffer.capacity();
    if (idle.size() == kIdleMax || idle_bytes + bytes > bytes_max) return;
    idle_bytes += bytes;
    idle.push_back(std::move(node));
  }

  const std::size_t bytes_max;
  std::mutex mutex;
  std::size_t idle_bytes = 0;
  std::vector<std::unique_ptr<Node>> idle;  ///< The last one used is taken first: it is warm.
};

/// Puts the control block into the node, and the node back into the pool when the block is freed:
/// only then is the shared_ptr wholly gone.
template <class T>
struct BufferPool::NodeAllocator {
  using value_type = T;
  Node* node;
  std::shared_ptr<State> state;

  NodeAllocator(Node* n, std::shared_ptr<State> s) : node(n), state(std::move(s)) {}
  template <class U>
  NodeAllocator(const NodeAllocator<U>& other) : node(other.node), state(other.state) {}

  T* allocate(std::size_t n) {
    static_assert(sizeof(T) <= sizeof(Node::control) || sizeof(T) == 1);
    if (n * sizeof(T) > sizeof(Node::control)) throw std::bad_alloc();
    return reinterpret_cast<T*>(node->control);
  }
  void deallocate(T*, std::size_t) { state->put(std::unique_ptr<Node>(node)); }
  template <class U>
  bool operator==(const NodeAllocator<U>& other) const {
    return node == other.node;
  }
};

BufferPool::BufferPool(std::size_t bytes_max) : state_(std::make_shared<State>(bytes_max)) {}
BufferPool::~BufferPool() = default;

std::shared_ptr<BlockBuffer> BufferPool::take() {
  std::unique_ptr<Node> node;
  {
    const std::lock_guard lock(state_->mutex);
    if (!state_->idle.empty()) {
      node = std::move(state_->idle.back());
      state_->idle.pop_back();
      state_->idle_bytes -= node->buffer.capacity();
    }
  }
  if (!node) node = std::make_unique<Node>();
  Node* const raw = node.release();
  // Nothing to delete: the allocator takes the node back when the control block goes.
  const auto keep = [](BlockBuffer*) {};
  return std::shared_ptr<BlockBuffer>(&raw->buffer, keep, NodeAllocator<BlockBuffer>(raw, state_));
}

std::size_t BufferPool::idle_bytes() const {
  const std::lock_guard lock(state_->mutex);
  return state_->idle_bytes;
}

}  // namespace streamobs::http

// A bounded ring for one producer thread and one consumer thread, without locks.
//
// After rigtorp/SPSCQueue: each side keeps a copy of the other side's index and rereads the shared
// one only when the copy says full (or empty), so that in steady state the two cores do not fight
// over a cache line. Lives in a Channel. One strand pushes, one strand pops.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <memory>
#include <new>
#include <utility>

namespace streamobs::flow {

template <class T>
class SpscRing {
 public:
  /// Holds at least `capacity` items (rounded up to a power of two).
  explicit SpscRing(std::size_t capacity)
      : mask_(std::bit_ceil(capacity < 2 ? std::size_t{2} : capacity) - 1),
        slots_(std::make_unique<Slot[]>(mask_ + 1)) {}
  ~SpscRing() {
    while (T* item = front()) {
      item->~T();
      head_.store(head_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }
  }
  SpscRing(const SpscRing&) = delete;
  SpscRing& operator=(const SpscRing&) = delete;

  std::size_t capacity() const { return mask_ + 1; }
  /// Items in it; exact only while both sides stand still, never more than there is room for.
  std::size_t size() const {
    // The head first: the tail can only have moved on since, never fallen behind it.
    const std::size_t head = head_.load(std::memory_order_acquire);
    const std::size_t tail = tail_.load(std::memory_order_acquire);
    return tail - head > mask_ + 1 ? mask_ + 1 : tail - head;
  }

  /// Producer: moves `item` in, or leaves it as it is and returns false when the ring is full.
  bool try_push(T& item) {
    const std::size_t tail = tail_.load(std::memory_order_relaxed);
    if (tail - head_seen_ > mask_) {
      head_seen_ = head_.load(std::memory_order_acquire);
      if (tail - head_seen_ > mask_) return false;
    }
    ::new (static_cast<void*>(slots_[tail & mask_].bytes)) T(std::move(item));
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }

  /// Consumer: the oldest item, or null.
  T* front() {
    const std::size_t head = head_.load(std::memory_order_relaxed);
    if (head == tail_seen_) {
      tail_seen_ = tail_.load(std::memory_order_acquire);
      if (head == tail_seen_) return nullptr;
    }
    return std::launder(reinterpret_cast<T*>(slots_[head & mask_].bytes));
  }
  /// Consumer: destroys what front() returned.
  void pop() {
    const std::size_t head = head_.load(std::memory_order_relaxed);
    std::launder(reinterpret_cast<T*>(slots_[head & mask_].bytes))->~T();
    head_.store(head + 1, std::memory_order_release);
  }

 private:
  struct Slot {
    alignas(T) unsigned char bytes[sizeof(T)];
  };
  static constexpr std::size_t kCacheLine = 64;

  const std::size_t mask_;
  std::unique_ptr<Slot[]> slots_;
  alignas(kCacheLine) std::atomic<std::size_t> head_{0};  ///< Written by the consumer.
  alignas(kCacheLine) std::size_t tail_seen_ = 0;         ///< The consumer's copy of tail_.
  alignas(kCacheLine) std::atomic<std::size_t> tail_{0};  ///< Written by the producer.
  alignas(kCacheLine) std::size_t head_seen_ = 0;         ///< The producer's copy of head_.
};

}  // namespace streamobs::flow

// A bounded channel between two coroutines: a lock-free ring with `co_await` on both ends.
//
// One strand pushes, one strand pops; the topology owns the channel and keeps it until both have
// ended. A full channel makes its producer wait: that is the engine's backpressure. close() means
// "no more items": what is queued stays readable, and a waiting producer gives up.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "flow/asio.h"
#include "flow/signal.h"
#include "flow/spsc_ring.h"

namespace streamobs::flow {

template <class T>
class Channel {
 public:
  explicit Channel(std::size_t capacity) : Channel(capacity, nullptr) {}
  /// With a signal shared by several channels that one consumer reads (see Conveyor).
  Channel(std::size_t capacity, Signal* consumer)
      : ring_(capacity), consumer_(consumer != nullptr ? consumer : &own_consumer_) {}

  /// Producer: waits while the channel is full. False: it is closed and `item` was not taken.
  asio::awaitable<bool> push(T item) {
    while (true) {
      if (closed()) co_return false;
      if (ring_.try_push(item)) break;
      const auto has_space = [this] { return closed() || ring_.size() < ring_.capacity(); };
      co_await producer_.wait(has_space);
    }
    consumer_->notify();
    co_return true;
  }

  /// Producer: takes `item`, or leaves it and returns false when the channel is full or closed.
  bool try_push(T& item) {
    if (closed() || !ring_.try_push(item)) return false;
    consumer_->notify();
    return true;
  }

  /// Consumer: waits for items and appends at most `max` of them to `out`. 0: closed and drained.
  asio::awaitable<std::size_t> pop_batch(std::vector<T>& out, std::size_t max) {
    const auto has_news = [this] { return !empty() || closed(); };
    co_await consumer_->wait(has_news);
    co_return try_pop_batch(out, max);
  }

  /// Any thread: lets the consumer look again at something of its own (pop_batch_or).
  void notify_consumer() { consumer_->notify(); }
  /// Consumer: as pop_batch, but also returns (with 0) when `other()` is true; whoever makes it so
  /// calls notify_consumer() after.
  template <class Other>
  asio::awaitable<std::size_t> pop_batch_or(std::vector<T>& out, std::size_t max, Other other) {
    const auto has_news = [this, &other] { return !empty() || closed() || other(); };
    co_await consumer_->wait(has_news);
    co_return try_pop_batch(out, max);
  }

  /// Consumer: what is there now, at most `max`.
  std::size_t try_pop_batch(std::vector<T>& out, std::size_t max) {
    std::size_t count = 0;
    for (; count < max; ++count) {
      T* item = ring_.front();
      if (item == nullptr) break;
      out.push_back(std::move(*item));
      ring_.pop();
    }
    if (count != 0) producer_.notify();
    return count;
  }

  /// Any thread. No more items will be taken; what is queued stays readable.
  void close() {
    closed_.store(true, std::memory_order_seq_cst);
    producer_.notify();
    consumer_->notify();
  }

  bool closed() const { return closed_.load(std::memory_order_acquire); }
  bool empty() const { return ring_.size() == 0; }
  std::size_t size() const { return ring_.size(); }
  std::size_t capacity() const { return ring_.capacity(); }
  double fill_ratio() const {
    return static_cast<double>(size()) / static_cast<double>(capacity());
  }

 private:
  SpscRing<T> ring_;
  std::atomic<bool> closed_{false};
  Signal producer_;
  Signal own_consumer_;
  Signal* consumer_;
};

/// Several producers, one consumer: a ring for each of them, never a shared queue.
template <class T>
class Conveyor {
 public:
  Conveyor(std::size_t producers, std::size_t capacity) {
    for (std::size_t i = 0; i < producers; ++i) {
      channels_.push_back(std::make_unique<Channel<T>>(capacity, &consumer_));
    }
  }

  Channel<T>& operator[](std::size_t producer) { return *channels_[producer]; }
  const Channel<T>& operator[](std::size_t producer) const { return *channels_[producer]; }
  std::size_t producers() const { return channels_.size(); }

  /// Consumer: waits for items of any producer and appends at most `max_each` of each to `out`.
  /// 0: all are closed and drained.
  asio::awaitable<std::size_t> pop_batch(std::vector<T>& out, std::size_t max_each) {
    while (true) {
      const auto has_news = [this] { return any() || all_closed(); };
      co_await consumer_.wait(has_news);
      // Closed is asked before popping: an item pushed in between must not be missed.
      const bool ended = all_closed();
      std::size_t count = 0;
      for (const auto& channel : channels_) count += channel->try_pop_batch(out, max_each);
      if (count != 0 || ended) co_return count;
    }
  }

  /// Consumer: waits until some producer has sent something or all are closed. For a consumer that
  /// must know who sent what, and pops each channel itself.
  asio::awaitable<void> wait() {
    const auto has_news = [this] { return any() || all_closed(); };
    co_await consumer_.wait(has_news);
  }

  /// Any thread: lets the consumer look again at something of its own (`wait_or`).
  void notify_consumer() { consumer_.notify(); }
  /// Consumer: as pop_batch, but also returns (with 0) when `other()` is true; whoever makes it so
  /// calls notify_consumer() after.
  template <class Other>
  asio::awaitable<std::size_t> pop_batch_or(std::vector<T>& out, std::size_t max_each,
                                            Other other) {
    const auto has_news = [this, &other] { return any() || all_closed() || other(); };
    co_await consumer_.wait(has_news);
    std::size_t count = 0;
    for (const auto& channel : channels_) count += channel->try_pop_batch(out, max_each);
    co_return count;
  }

  void close() {
    for (const auto& channel : channels_) channel->close();
  }
  bool any() const {
    for (const auto& channel : channels_) {
      if (!channel->empty()) return true;
    }
    return false;
  }
  bool all_closed() const {
    for (const auto& channel : channels_) {
      if (!channel->closed()) return false;
    }
    return true;
  }
  double fill_ratio() const {
    double fullest = 0;
    for (const auto& channel : channels_) fullest = std::max(fullest, channel->fill_ratio());
    return fullest;
  }

 private:
  Signal consumer_;
  std::vector<std::unique_ptr<Channel<T>>> channels_;
};

}  // namespace streamobs::flow

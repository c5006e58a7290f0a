// Coroutines that belong together: none is detached, each one's end is recorded.
//
// The topology owns a group for its sources and one for its stages, and joins them in that order at
// shutdown. spawn() may be called on any thread; join() by one coroutine.
#pragma once

#include <atomic>
#include <exception>
#include <functional>
#include <mutex>
#include <string>
#include <utility>

#include "flow/asio.h"
#include "flow/signal.h"

namespace streamobs::flow {

class TaskGroup {
 public:
  /// `on_failure(name, error)` is called, on the failed task's thread, for each task that ends with
  /// an exception: that is a bug or the machine's end, and the engine stops.
  using OnFailure = std::function<void(const std::string& name, std::exception_ptr error)>;
  explicit TaskGroup(OnFailure on_failure) : on_failure_(std::move(on_failure)) {}
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;

  void spawn(const asio::any_io_executor& executor, std::string name, asio::awaitable<void> task) {
    running_.fetch_add(1, std::memory_order_relaxed);
    asio::co_spawn(executor, std::move(task),
                   [this, name = std::move(name)](std::exception_ptr error) {
                     if (error && on_failure_) on_failure_(name, error);
                     running_.fetch_sub(1, std::memory_order_acq_rel);
                     ended_.notify();
                   });
  }

  /// Returns when every task has ended.
  asio::awaitable<void> join() {
    const auto all_ended = [this] { return running() == 0; };
    co_await ended_.wait(all_ended);
  }

  std::size_t running() const { return running_.load(std::memory_order_acquire); }

 private:
  OnFailure on_failure_;
  std::atomic<std::size_t> running_{0};
  Signal ended_;
};

}  // namespace streamobs::flow

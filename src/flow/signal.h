// A coroutine's way to sleep until something it looks at has changed.
//
// One waiter at a time, any number of notifiers on any thread. The waiter says what it waits for as
// a predicate over atomics; the notifier changes them first and calls notify() after. Both sides
// put a sequentially consistent fence between their write and their look at the other's, so that
// no wake-up is lost (the store-buffer litmus test). Lives in a Channel, Conveyor or TaskGroup,
// which must outlive the waiting coroutine.
#pragma once

#include <atomic>
#include <optional>
#include <utility>

#include "flow/asio.h"

namespace streamobs::flow {

class Signal {
 public:
  Signal() = default;
  Signal(const Signal&) = delete;
  Signal& operator=(const Signal&) = delete;

  /// Returns once `ready()` has been true. `ready` is called on the waiter's strand.
  template <class Ready>
  asio::awaitable<void> wait(Ready ready) {
    while (!ready()) {
      // Named and trivially destructible: g++ 12 destroys temporaries of a co_await twice.
      const Arm<Ready> arm{this, &ready};
      co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(arm,
                                                                           asio::use_awaitable);
    }
  }

  /// Wakes the waiter, if there is one. What it waits for must have been changed before.
  void notify() {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (waiting_.load(std::memory_order_relaxed) &&
        waiting_.exchange(false, std::memory_order_acq_rel)) {
      resume();
    }
  }

 private:
  using Handler = asio::async_result<asio::use_awaitable_t<>, void()>::handler_type;

  template <class Ready>
  struct Arm {
    Signal* signal;
    Ready* ready;

    void operator()(Handler handler) const {
      signal->handler_.emplace(std::move(handler));
      signal->waiting_.store(true, std::memory_order_release);
      std::atomic_thread_fence(std::memory_order_seq_cst);
      // The second look: what was notified between the first look and now would be lost.
      if ((*ready)() && signal->waiting_.exchange(false, std::memory_order_acq_rel)) {
        signal->resume();
      }
    }
  };

  /// Called by whoever turned waiting_ from true to false.
  void resume() {
    Handler handler = std::move(*handler_);
    handler_.reset();
    const auto executor = asio::get_associated_executor(handler);
    asio::post(executor, std::move(handler));
  }

  std::atomic<bool> waiting_{false};
  std::optional<Handler> handler_;
};

}  // namespace streamobs::flow

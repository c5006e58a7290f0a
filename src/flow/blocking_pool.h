// Threads for what blocks: disk reads, SQLite, name look-ups. No coroutine of the event loop may.
//
// Owned by the engine; outlives every coroutine that uses it, and is destroyed (which joins its
// threads) before the io_context they post to. run() may be awaited on any strand;
// the function runs on a thread of the pool, the coroutine goes on where it was.
//
// g++ 12 destroys temporaries of a co_await expression twice: give run() a named lambda.
//
//   const auto read = [&] { return file.read(buffer); };
//   const auto bytes = co_await pool.run(read);
//
// A coroutine that blocks again and again (the log's) may live on a pool of one thread instead:
// spawn it on executor().
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#include "flow/asio.h"

namespace streamobs::flow {

class BlockingPool {
 public:
  enum class Priority : std::uint8_t {
    normal,
    low,  ///< Yields the processor to all others: for work that nobody waits for.
  };

  explicit BlockingPool(std::size_t threads, Priority priority = Priority::normal);
  ~BlockingPool() { pool_.join(); }

  asio::any_io_executor executor() { return pool_.get_executor(); }

  /// Waits until there is nothing left to do; what is handed over later is never done. For owners
  /// of executors made from this one, which have to go before it does.
  void join() { pool_.join(); }

  /// What `work()` returns. An exception thrown by it is thrown here.
  template <class Work>
  asio::awaitable<std::invoke_result_t<const Work&>> run(const Work& work) {
    using R = std::invoke_result_t<const Work&>;
    Outcome<R> outcome;
    const Submit<Work, R> submit{&pool_, &work, &outcome};
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(submit,
                                                                         asio::use_awaitable);
    if (outcome.error) std::rethrow_exception(outcome.error);
    if constexpr (!std::is_void_v<R>) co_return std::move(*outcome.value);
  }

 private:
  using Handler = asio::async_result<asio::use_awaitable_t<>, void()>::handler_type;

  template <class R>
  struct Outcome {
    std::optional<R> value;
    std::exception_ptr error;
  };

  template <class Work, class R>
  struct Submit {
    asio::thread_pool* pool;
    const Work* work;
    Outcome<R>* outcome;

    void operator()(Handler handler) const {
      // `work` and `outcome` stand in the frame of run(), which waits for the handler.
      asio::post(*pool, [work = work, outcome = outcome, handler = std::move(handler)]() mutable {
        try {
          if constexpr (std::is_void_v<R>) {
            (*work)();
          } else {
            outcome->value.emplace((*work)());
          }
        } catch (...) {
          outcome->error = std::current_exception();
        }
        const auto executor = asio::get_associated_executor(handler);
        asio::post(executor, std::move(handler));
      });
    }
  };

  asio::thread_pool pool_;
};

template <>
struct BlockingPool::Outcome<void> {
  std::exception_ptr error;
};

}  // namespace streamobs::flow

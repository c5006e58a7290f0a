#include "flow/blocking_pool.h"

#include <latch>
#include <memory>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace streamobs::flow {

namespace {

/// A tenth of the processor where others want all of it, so that the work is done all the same.
constexpr int kLowNiceness = 10;

/// Linux has a niceness for each thread. Where it cannot be set, the work competes with the rest.
void lower_priority_of_this_thread() {
  const auto thread = static_cast<id_t>(::syscall(SYS_gettid));
  (void)::setpriority(PRIO_PROCESS, thread, kLowNiceness);
}

}  // namespace

BlockingPool::BlockingPool(std::size_t threads, Priority priority) : pool_(threads) {
  if (priority == Priority::normal) return;
  // Each task keeps its thread until all have one.
  const auto all = std::make_shared<std::latch>(static_cast<std::ptrdiff_t>(threads));
  for (std::size_t i = 0; i < threads; ++i) {
    const auto lower = [all] {
      lower_priority_of_this_thread();
      all->arrive_and_wait();
    };
    asio::post(pool_, lower);
  }
}

}  // namespace streamobs::flow

#include "app/loop_threads.h"

#include <mutex>
#include <set>
#include <thread>

#include <boost/asio/post.hpp>

#include "support/catch.h"

using streamobs::app::LoopThreads;

TEST_CASE("all threads run the loop until it has nothing left to do", "[app]") {
  boost::asio::io_context loop;
  LoopThreads threads(loop, 4);
  std::mutex mutex;
  std::set<std::thread::id> seen;
  // Each waits until all have come.
  for (int i = 0; i < 4; ++i) {
    boost::asio::post(loop, [&] {
      std::unique_lock lock(mutex);
      seen.insert(std::this_thread::get_id());
      while (seen.size() < 4) {
        lock.unlock();
        std::this_thread::yield();
        lock.lock();
      }
    });
  }
  threads.run();
  CHECK(seen.size() == 4);
  CHECK(seen.count(std::this_thread::get_id()) == 1);
}

TEST_CASE("threads of a loop that is not run run nothing", "[app]") {
  boost::asio::io_context loop;
  bool ran = false;
  boost::asio::post(loop, [&] { ran = true; });
  {
    LoopThreads threads(loop, 4);
  }
  CHECK_FALSE(ran);
}

TEST_CASE("a loop of one thread has the caller's", "[app]") {
  boost::asio::io_context loop;
  std::thread::id ran;
  boost::asio::post(loop, [&] { ran = std::this_thread::get_id(); });
  LoopThreads threads(loop, 1);
  threads.run();
  CHECK(ran == std::this_thread::get_id());
}

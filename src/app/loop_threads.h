// The event loop's threads but one, which is the caller's of run().
//
// Made before anything is spawned on the loop and before run(), where they wait: a machine that has
// no threads left says so (by std::system_error) while there is nothing to be unwound yet. Of one
// thread; run() at most once. Goes before the loop does.
#pragma once

#include <cstddef>
#include <future>
#include <thread>
#include <vector>

#include <boost/asio/io_context.hpp>

namespace streamobs::app {

class LoopThreads {
 public:
  /// `count` with the caller's, at least 1.
  LoopThreads(boost::asio::io_context& loop, std::size_t count);
  ~LoopThreads();
  LoopThreads(const LoopThreads&) = delete;
  LoopThreads& operator=(const LoopThreads&) = delete;

  /// Runs the loop on all of them; returns when it has nothing left to do.
  void run();

 private:
  /// Those that have not run the loop, and will not.
  void dismiss();

  boost::asio::io_context& loop_;
  std::promise<bool> gate_;  ///< Whether they are to run the loop.
  bool opened_ = false;
  std::vector<std::thread> others_;
};

}  // namespace streamobs::app

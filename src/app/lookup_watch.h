// Looks at the files of look-up tables again and again, and hands on what has changed.
//
// A coroutine on the main strand, from when events are taken until shutdown; the files are read on
// the blocking pool. Lives as long as the topology.
#pragma once

#include <chrono>
#include <vector>

#include "app/lane.h"
#include "app/lookups.h"
#include "app/plan.h"
#include "flow/asio.h"
#include "flow/blocking_pool.h"
#include "flow/channel.h"

namespace streamobs::app {

class LookupWatch {
 public:
  LookupWatch(const Plan& plan, const asio::any_io_executor& executor, flow::BlockingPool& pool,
              LookupFiles& files);

  /// Until stop(). Who stops it closes `out`.
  asio::awaitable<void> run(flow::Channel<SequencerInput>& out);
  /// On the executor's strand.
  void stop();

 private:
  asio::awaitable<void> look_at(std::size_t index, flow::Channel<SequencerInput>& out);

  const Plan& plan_;
  flow::BlockingPool& pool_;
  LookupFiles& files_;
  asio::steady_timer timer_;
  std::vector<std::chrono::steady_clock::time_point> due_;  ///< By table.
  bool stopped_ = false;
};

}  // namespace streamobs::app

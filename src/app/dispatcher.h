// The dispatcher: gives what has its place in history, and is durable, to the lanes.
//
// Each batch goes back to the lane that decoded it, marks and cuts go to all lanes in their place
// between. Near a window's cap of keys it hands out one batch at a time. One strand (the
// sequencer's), lives as long as the topology.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "app/lane.h"
#include "app/plan.h"
#include "app/step.h"
#include "base/clock.h"
#include "flow/asio.h"
#include "flow/channel.h"
#include "telemetry/registry.h"
#include "window/admission.h"

namespace streamobs::app {

class Dispatcher {
 public:
  /// `durable`: positions mean something beyond this run; else everything behind bears 0.
  Dispatcher(const Plan& plan, const asio::any_io_executor& executor, const Clock& clock,
             std::vector<std::unique_ptr<Lane>>& lanes,
             std::vector<std::unique_ptr<window::Admission>>& admissions, InFlight& in_flight,
             telemetry::Registry& metrics, bool durable);

  /// Any thread. Work given to lanes so far, as InFlight::work_done counts it.
  std::uint64_t handed_out() const { return handed_out_.load(std::memory_order_relaxed); }
  /// Any thread. Position of the newest cut sent after it.
  std::uint64_t cut_at_position() const { return cut_position_.load(std::memory_order_relaxed); }

  /// Until `in` is closed and drained; then closes the lanes' work.
  asio::awaitable<void> run(flow::Channel<Step>& in);

 private:
  asio::awaitable<void> dispatch(Step& step);
  asio::awaitable<void> dispatch_batch(EventBatchPtr batch);
  asio::awaitable<void> dispatch_mark(wal::Mark mark);
  template <class Work>
  asio::awaitable<void> tell_all_lanes(Work work);
  asio::awaitable<void> cut(std::shared_ptr<CheckpointParts> checkpoint);
  bool cut_due();
  bool at_rest(std::uint32_t stream_id) const;
  asio::awaitable<void> wait_until_at_rest(std::uint32_t stream_id);

  struct StreamState {
    std::uint64_t rows_dispatched = 0;
    std::uint64_t work_dispatched = 0;  ///< Batches, marks and the rest, to all lanes.
    bool ordered = false;
  };

  const Plan& plan_;
  asio::any_io_executor executor_;
  const Clock& clock_;
  std::vector<std::unique_ptr<Lane>>& lanes_;
  std::vector<std::unique_ptr<window::Admission>>& admissions_;
  InFlight& in_flight_;
  const bool durable_;
  std::vector<StreamState> streams_;
  std::uint64_t position_ = 0;  ///< Newest of which all has been dispatched.
  bool dirty_ = false;          ///< Something has been dispatched since the last cut …
  bool marked_ = false;         ///< … a mark, or what else gives results.
  /// Nothing has been dispatched of a position that is not complete: a cut in its middle would put
  /// into the database what may never be in the log.
  bool whole_ = true;
  Timestamp cut_at_ = 0;
  std::atomic<std::uint64_t> handed_out_{0};
  std::atomic<std::uint64_t> cut_position_{0};
  telemetry::Counter& ordered_batches_;
};

}  // namespace streamobs::app

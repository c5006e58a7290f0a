// The dispatcher: the coroutine shell round the sequencer.
//
// Takes decoded batches from every lane, has them numbered and stamped, acknowledges them to
// whoever waits, and gives each back to the lane that decoded it, with marks to all lanes in their
// place between. One strand, lives as long as the topology.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "app/lane.h"
#include "app/plan.h"
#include "base/clock.h"
#include "flow/asio.h"
#include "flow/channel.h"
#include "telemetry/registry.h"
#include "wal/sequencer.h"
#include "window/admission.h"

namespace streamobs::app {

class Dispatcher {
 public:
  /// `bounded`: nothing but the configured sources will ever send anything (replay).
  Dispatcher(const Plan& plan, asio::io_context& io, const Clock& clock,
             std::vector<std::unique_ptr<Lane>>& lanes,
             std::vector<std::unique_ptr<window::Admission>>& admissions, InFlight& in_flight,
             telemetry::Registry& metrics, bool bounded);

  const asio::any_io_executor& executor() const { return executor_; }
  /// Rings into the sequencer: for each lane one for blocks of sources and one for requests, then
  /// one for each configured source's end.
  flow::Conveyor<SequencerInput>& input() { return input_; }
  flow::Channel<SequencerInput>& blocks_of(std::size_t lane) { return input_[2 * lane]; }
  flow::Channel<SequencerInput>& requests_of(std::size_t lane) { return input_[2 * lane + 1]; }
  flow::Channel<SequencerInput>& end_of(std::size_t source) {
    return input_[2 * lanes_.size() + source];
  }

  /// Until the input is closed and drained; then has the lanes hand over what is left, and closes
  /// them.
  asio::awaitable<void> run();
  /// Wakes the dispatcher for idle timeouts and for showing open windows, until stop_ticking().
  asio::awaitable<void> run_ticks();
  void stop_ticking();

  /// What people see of a stream's time; any thread.
  struct StreamTime {
    std::atomic<Timestamp> watermark{kMinTimestamp};
    std::atomic<Timestamp> newest{kMinTimestamp};
    std::atomic<bool> idle{true};
  };
  const StreamTime& time_of(std::uint32_t stream_id) const { return times_[stream_id]; }
  double input_fill() const { return input_.fill_ratio(); }
  std::uint64_t position() const { return position_.load(std::memory_order_relaxed); }

 private:
  asio::awaitable<void> dispatch(wal::Sequenced& item);
  asio::awaitable<void> dispatch_batch(EventBatchPtr batch);
  template <class Work>
  asio::awaitable<void> tell_all_lanes(Work work);
  asio::awaitable<void> show_open_windows(Timestamp now);
  void tick(Timestamp now, std::vector<wal::Sequenced>& out);
  void publish_times();
  bool at_rest(std::uint32_t stream_id) const;
  asio::awaitable<void> wait_until_at_rest(std::uint32_t stream_id);

  struct StreamState {
    std::uint64_t rows_dispatched = 0;
    std::uint64_t batches_dispatched = 0;
    std::uint64_t work_dispatched = 0;  ///< Batches, marks and the rest, to all lanes.
    bool ordered = false;
  };
  struct WindowState {
    std::uint32_t stream_id = 0;
    std::size_t index = 0;  ///< Within its stream.
    Duration emit_every = 0;
    Timestamp next_emit = 0;
    std::uint64_t batches_shown = 0;  ///< Of the stream, at the last showing.
  };

  const Plan& plan_;
  const Clock& clock_;
  asio::any_io_executor executor_;
  std::vector<std::unique_ptr<Lane>>& lanes_;
  std::vector<std::unique_ptr<window::Admission>>& admissions_;
  InFlight& in_flight_;
  flow::Conveyor<SequencerInput> input_;
  wal::Sequencer sequencer_;
  std::vector<StreamState> streams_;
  std::vector<WindowState> windows_;
  std::unique_ptr<StreamTime[]> times_;
  std::atomic<std::uint64_t> position_{0};
  Duration tick_every_;
  asio::steady_timer timer_;
  bool tick_due_ = false;
  bool ticking_ = true;
  telemetry::Counter& batches_;
  telemetry::Counter& ordered_batches_;
};

}  // namespace streamobs::app

#include "app/dispatcher.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "window/closing.h"

namespace streamobs::app {

namespace {

constexpr std::size_t kBatchesPerRing = 1024;
constexpr Duration kTickEvery = 250 * kMillisecond;
constexpr Duration kTickAtLeast = 5 * kMillisecond;

std::vector<wal::StreamTiming> timings(const Plan& plan, bool bounded) {
  std::vector<wal::StreamTiming> all;
  for (std::size_t id = 0; id < plan.streams.size(); ++id) {
    const PlannedStream& stream = plan.streams[id];
    wal::StreamTiming timing;
    timing.idle_timeout = plan.config.streams[id].idle_timeout;
    timing.may_go_on = !bounded;
    timing.closing_watermark = [windows = stream.windows](Timestamp t) {
      return windows == nullptr ? t : window::closing_watermark(*windows, t);
    };
    if (stream.windows != nullptr) {
      for (const window::ClosingGrid& grid : window::closing_grids(*stream.windows)) {
        timing.grids.push_back({grid.step, grid.lateness});
      }
    }
    all.push_back(std::move(timing));
  }
  return all;
}

}  // namespace

Dispatcher::Dispatcher(const Plan& plan, asio::io_context& io, const Clock& clock,
                       std::vector<std::unique_ptr<Lane>>& lanes,
                       std::vector<std::unique_ptr<window::Admission>>& admissions,
                       InFlight& in_flight, telemetry::Registry& metrics, bool bounded)
    : plan_(plan),
      clock_(clock),
      executor_(asio::make_strand(io)),
      lanes_(lanes),
      admissions_(admissions),
      in_flight_(in_flight),
      input_(2 * lanes.size() + plan.config.sources.size(), kBatchesPerRing),
      sequencer_(timings(plan, bounded)),
      streams_(plan.streams.size()),
      times_(std::make_unique<StreamTime[]>(plan.streams.size())),
      tick_every_(kTickEvery),
      timer_(executor_),
      batches_(metrics.counter("streamobs_sequenced_batches_total",
                               "Batches that were given their place in history.")),
      ordered_batches_(metrics.counter(
          "streamobs_ordered_batches_total",
          "Batches counted one at a time, because a window was near its max_keys.")) {
  const Timestamp now = clock.now();
  for (std::uint32_t id = 0; id < plan.sources.size(); ++id) {
    sequencer_.add_source(id, plan.sources[id].stream_id, plan.sources[id].configured.has_value());
  }
  for (std::uint32_t id = 0; id < plan.streams.size(); ++id) {
    for (std::size_t i = 0; i < plan.streams[id].window_ids.size(); ++i) {
      const Duration every = plan.windows[plan.streams[id].window_ids[i]].options.emit_every;
      if (every == 0) continue;
      windows_.push_back({id, i, every, now + every, 0});
      tick_every_ = std::clamp(every, kTickAtLeast, tick_every_);
    }
  }
}

asio::awaitable<void> Dispatcher::run() {
  std::vector<SequencerInput> inputs;
  std::vector<wal::Sequenced> sequenced;
  while (true) {
    inputs.clear();
    const auto tick_due = [this] { return tick_due_; };
    const std::size_t count = co_await input_.pop_batch_or(inputs, 64, tick_due);
    if (count == 0 && !tick_due_) break;  // Closed and drained.
    const Timestamp now = clock_.now();
    for (SequencerInput& input : inputs) {
      sequenced.clear();
      if (auto* decoded = std::get_if<Decoded>(&input)) {
        const std::uint32_t source_id = decoded->batch->origin.source_id;
        sequencer_.admit(std::move(decoded->batch), now, sequenced);
        in_flight_.blocks[source_id].fetch_sub(1, std::memory_order_relaxed);
        batches_.add();
        // Numbered is taken; the write-ahead log will put its sync before this line.
        if (decoded->acknowledgement != nullptr) decoded->acknowledgement->complete();
      } else {
        const SourceEnd& end = std::get<SourceEnd>(input);
        sequencer_.end_source(end.source_id, end.blocks, now, sequenced);
      }
      for (wal::Sequenced& item : sequenced) co_await dispatch(item);
    }
    if (tick_due_) {
      tick_due_ = false;
      sequenced.clear();
      tick(now, sequenced);
      for (wal::Sequenced& item : sequenced) co_await dispatch(item);
      co_await show_open_windows(now);
    }
    publish_times();
  }
  for (std::uint32_t id = 0; id < plan_.streams.size(); ++id) {
    if (plan_.streams[id].windows == nullptr) continue;
    const Finish finish{id, sequencer_.position(), sequencer_.watermark(id)};
    co_await tell_all_lanes(finish);
  }
  for (const auto& lane : lanes_) lane->work().close();
}

asio::awaitable<void> Dispatcher::dispatch(wal::Sequenced& item) {
  if (auto* batch = std::get_if<wal::EventBatchPtr>(&item)) {
    EventBatchPtr events = std::move(*batch);
    co_await dispatch_batch(std::move(events));
    co_return;
  }
  const wal::Mark mark = std::get<wal::Mark>(item);
  if (plan_.streams[mark.stream_id].windows == nullptr) co_return;
  admissions_[mark.stream_id]->note_closing();
  co_await tell_all_lanes(mark);
}

asio::awaitable<void> Dispatcher::dispatch_batch(EventBatchPtr batch) {
  const std::uint32_t stream_id = batch->schema->stream_id;
  StreamState& stream = streams_[stream_id];
  const std::size_t rows = batch->rows;
  bool ordered = false;
  if (lanes_.size() > 1 && plan_.streams[stream_id].windows != nullptr) {
    const std::uint64_t in_flight =
        stream.rows_dispatched -
        in_flight_.windowed_rows[stream_id].load(std::memory_order_acquire);
    window::Admission& admission = *admissions_[stream_id];
    ordered = admission.must_order(rows, in_flight);
    if (ordered || stream.ordered) {
      co_await wait_until_at_rest(stream_id);
      admission.set_ordered(ordered);
      // Counted anew at rest, there may be room after all.
      if (ordered && !admission.must_order(rows, 0)) {
        ordered = false;
        admission.set_ordered(false);
      }
      stream.ordered = ordered;
    }
  }
  Lane& lane = *lanes_[batch->lane];
  ++stream.batches_dispatched;
  ++stream.work_dispatched;
  stream.rows_dispatched += rows;
  LaneWork work = std::move(batch);
  co_await lane.work().push(std::move(work));
  if (ordered) {
    ordered_batches_.add();
    co_await wait_until_at_rest(stream_id);
  }
}

template <class Work>
asio::awaitable<void> Dispatcher::tell_all_lanes(Work work) {
  streams_[work.stream_id].work_dispatched += lanes_.size();
  for (const auto& lane : lanes_) {
    LaneWork item = work;
    co_await lane->work().push(std::move(item));
  }
}

bool Dispatcher::at_rest(std::uint32_t stream_id) const {
  return in_flight_.work_done[stream_id].load(std::memory_order_acquire) ==
         streams_[stream_id].work_dispatched;
}

asio::awaitable<void> Dispatcher::wait_until_at_rest(std::uint32_t stream_id) {
  // Rare (a window near its cap of keys), and then short: a lane is busy with one batch.
  asio::steady_timer pause(executor_);
  while (!at_rest(stream_id)) {
    pause.expires_after(std::chrono::microseconds(20));
    co_await pause.async_wait(asio::use_awaitable);
  }
}

void Dispatcher::tick(Timestamp now, std::vector<wal::Sequenced>& out) {
  const auto busy = [this](std::uint32_t source_id) {
    const bool turned_away =
        in_flight_.turned_away[source_id].exchange(false, std::memory_order_relaxed);
    return turned_away || in_flight_.blocks[source_id].load(std::memory_order_relaxed) > 0;
  };
  sequencer_.tick(now, busy, out);
}

asio::awaitable<void> Dispatcher::show_open_windows(Timestamp now) {
  for (WindowState& window : windows_) {
    const std::uint64_t batches = streams_[window.stream_id].batches_dispatched;
    // A wall clock set back must not silence the view until it has caught up.
    const bool waiting = now < window.next_emit && window.next_emit - now <= window.emit_every;
    if (waiting || batches == window.batches_shown) continue;
    window.next_emit = now + window.emit_every;
    window.batches_shown = batches;
    const ShowOpen show{window.stream_id, window.index, sequencer_.position(),
                        sequencer_.watermark(window.stream_id)};
    co_await tell_all_lanes(show);
  }
}

void Dispatcher::publish_times() {
  position_.store(sequencer_.position(), std::memory_order_relaxed);
  for (std::uint32_t id = 0; id < plan_.streams.size(); ++id) {
    times_[id].watermark.store(sequencer_.watermark(id), std::memory_order_relaxed);
    times_[id].newest.store(sequencer_.newest(id), std::memory_order_relaxed);
    times_[id].idle.store(sequencer_.idle(id), std::memory_order_relaxed);
  }
}

asio::awaitable<void> Dispatcher::run_ticks() {
  while (ticking_) {
    timer_.expires_after(std::chrono::microseconds(tick_every_));
    const auto token = asio::as_tuple(asio::use_awaitable);
    co_await timer_.async_wait(token);
    if (!ticking_) break;
    tick_due_ = true;
    input_.notify_consumer();
  }
}

void Dispatcher::stop_ticking() {
  ticking_ = false;
  timer_.cancel();
}

}  // namespace streamobs::app

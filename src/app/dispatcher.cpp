#include "app/dispatcher.h"

#include <chrono>
#include <utility>

namespace streamobs::app {

namespace {

constexpr std::size_t kStepsAtATime = 64;
/// What only dead letters wait for.
constexpr Duration kCutEvery = 50 * kMillisecond;

}  // namespace

Dispatcher::Dispatcher(const Plan& plan, const asio::any_io_executor& executor, const Clock& clock,
                       std::vector<std::unique_ptr<Lane>>& lanes,
                       std::vector<std::unique_ptr<window::Admission>>& admissions,
                       InFlight& in_flight, telemetry::Registry& metrics, bool durable)
    : plan_(plan),
      executor_(executor),
      clock_(clock),
      lanes_(lanes),
      admissions_(admissions),
      in_flight_(in_flight),
      durable_(durable),
      streams_(plan.streams.size()),
      ordered_batches_(metrics.counter(
          "streamobs_ordered_batches_total",
          "Batches counted one at a time, because a window was near its max_keys.")) {}

asio::awaitable<void> Dispatcher::run(flow::Channel<Step>& in) {
  std::vector<Step> steps;
  while (true) {
    steps.clear();
    const std::size_t count = co_await in.pop_batch(steps, kStepsAtATime);
    if (count == 0) break;
    for (Step& step : steps) {
      const bool of_position = std::holds_alternative<wal::Sequenced>(step.what) ||
                               std::holds_alternative<Made>(step.what);
      co_await dispatch(step);
      if (step.completes != 0) position_ = step.completes;
      if (of_position || step.completes != 0) whole_ = step.completes != 0;
      if (step.cut_behind) co_await cut(nullptr);
    }
    if (whole_ && cut_due()) co_await cut(nullptr);
  }
  if (whole_) co_await cut(nullptr);
  for (const auto& lane : lanes_) lane->work().close();
}

asio::awaitable<void> Dispatcher::dispatch(Step& step) {
  if (auto* sequenced = std::get_if<wal::Sequenced>(&step.what)) {
    if (auto* batch = std::get_if<wal::EventBatchPtr>(&sequenced->what)) {
      EventBatchPtr events = std::move(*batch);
      co_await dispatch_batch(std::move(events));
    } else if (const auto* mark = std::get_if<wal::Mark>(&sequenced->what)) {
      co_await dispatch_mark(*mark);
    }
  } else if (auto* made = std::get_if<Made>(&step.what)) {
    EventBatchPtr events = std::move(made->batch);
    co_await dispatch_batch(std::move(events));
  } else if (const auto* show = std::get_if<ShowOpen>(&step.what)) {
    const ShowOpen ask = *show;
    co_await tell_all_lanes(ask);
  } else if (const auto* finish = std::get_if<Finish>(&step.what)) {
    Finish ask = *finish;
    if (!durable_) ask.position = 0;
    marked_ = true;
    co_await tell_all_lanes(ask);
  } else if (auto* barrier = std::get_if<Barrier>(&step.what)) {
    std::shared_ptr<CheckpointParts> parts = std::move(barrier->parts);
    // Also past records of no consequence, which never come by as a step when they are replayed.
    position_ = parts->position;
    co_await cut(std::move(parts));
  }
}

asio::awaitable<void> Dispatcher::dispatch_mark(wal::Mark mark) {
  if (plan_.streams[mark.stream_id].windows == nullptr) co_return;
  admissions_[mark.stream_id]->note_closing();
  if (!durable_) mark.position = 0;
  marked_ = true;
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
  ++stream.work_dispatched;
  handed_out_.fetch_add(1, std::memory_order_relaxed);
  stream.rows_dispatched += rows;
  dirty_ = true;
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
  handed_out_.fetch_add(lanes_.size(), std::memory_order_relaxed);
  for (const auto& lane : lanes_) {
    LaneWork item = work;
    co_await lane->work().push(std::move(item));
  }
}

bool Dispatcher::cut_due() {
  if (marked_) return true;
  if (!dirty_) return false;
  const Timestamp now = clock_.now();
  return now - cut_at_ >= kCutEvery || now < cut_at_;
}

asio::awaitable<void> Dispatcher::cut(std::shared_ptr<CheckpointParts> checkpoint) {
  dirty_ = false;
  marked_ = false;
  cut_at_ = clock_.now();
  CutWork work;
  work.position = durable_ ? position_ : 0;
  cut_position_.store(work.position, std::memory_order_relaxed);
  work.checkpoint = std::move(checkpoint);
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

}  // namespace streamobs::app

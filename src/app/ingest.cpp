#include "app/ingest.h"

#include <chrono>
#include <utility>

namespace streamobs::app {

using source::IngestOutcome;

Ingest::Ingest(std::vector<std::unique_ptr<Lane>>& lanes, Dispatcher& dispatcher,
               InFlight& in_flight)
    : lanes_(lanes), dispatcher_(dispatcher), in_flight_(in_flight) {}

asio::awaitable<IngestOutcome> Ingest::submit(std::size_t lane_index, Block block) {
  IngestOutcome outcome;
  if (stopping()) {
    outcome.status = IngestOutcome::Status::stopping;
    co_return outcome;
  }
  // Asked before anything is decoded or counted: what is turned away leaves no trace but this.
  // This lane's strand is the ring's only producer, so the room found here is still there below.
  flow::Channel<SequencerInput>& out = dispatcher_.requests_of(lane_index);
  if (out.size() >= out.capacity() ||
      in_flight_.bytes.load(std::memory_order_relaxed) > kInFlightBytesMax) {
    in_flight_.turned_away[block.origin.source_id].store(true, std::memory_order_relaxed);
    outcome.status = IngestOutcome::Status::overloaded;
    co_return outcome;
  }
  block.origin.number = 0;  // Requests take their place by arrival.
  EventBatchPtr batch = lanes_[lane_index]->decode(block);
  block.bytes.reset();
  outcome.accepted = batch->rows;
  outcome.rejected = batch->refused;
  for (const DeadLetter& letter : batch->dead_letters) {
    if (outcome.errors.size() == IngestOutcome::kErrorsMax) break;
    outcome.errors.push_back({letter.event_index, letter.reason, letter.detail});
  }
  in_flight_.blocks[batch->origin.source_id].fetch_add(1, std::memory_order_relaxed);
  const auto acknowledgement = std::make_shared<Acknowledgement>();
  SequencerInput input = Decoded{std::move(batch), acknowledgement};
  if (!out.try_push(input)) {  // Closed since: the engine is ending.
    outcome.status = IngestOutcome::Status::stopping;
    co_return outcome;
  }
  const auto acknowledged = [&acknowledgement] {
    return acknowledgement->done.load(std::memory_order_acquire);
  };
  co_await acknowledgement->signal.wait(acknowledged);
  co_return outcome;
}

asio::awaitable<bool> SourceFeed::push(Block block) {
  // The channels are bounded in items; this bounds what the items hold. Asked here and not in the
  // lane: a block must not wait behind a later one of its own source.
  asio::steady_timer pause(co_await asio::this_coro::executor);
  while (in_flight_.bytes.load(std::memory_order_relaxed) > kInFlightBytesMax && !stop_) {
    pause.expires_after(std::chrono::milliseconds(1));
    co_await pause.async_wait(asio::use_awaitable);
  }
  Lane& lane = *lanes_[blocks_ % lanes_.size()];
  in_flight_.blocks[source_id_].fetch_add(1, std::memory_order_relaxed);
  const bool taken = co_await lane.blocks()[source_id_].push(std::move(block));
  if (taken) ++blocks_;
  co_return taken;
}

}  // namespace streamobs::app

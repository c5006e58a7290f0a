#include "app/ingest.h"

#include <chrono>
#include <utility>

#include "base/bytes.h"

namespace streamobs::app {

using source::IngestOutcome;

namespace {

constexpr std::uint8_t kAnswerVersion = 1;
constexpr auto kLookAtProposalEvery = std::chrono::microseconds(500);

IngestOutcome decode_answer(std::string_view bytes) {
  ByteReader in(bytes);
  IngestOutcome outcome;
  const bool known = in.u8() == kAnswerVersion;
  outcome.repeated = true;
  outcome.accepted = in.varint();
  outcome.rejected = in.varint();
  for (std::size_t n = in.count(); known && n != 0 && in.ok(); --n) {
    source::RefusedEvent refused;
    refused.index = static_cast<std::uint32_t>(in.varint());
    refused.reason = in.text();
    refused.detail = in.text();
    outcome.errors.push_back(std::move(refused));
  }
  if (!known || !in.ok()) {
    outcome.status = IngestOutcome::Status::failed;
    outcome.message = "the answer to the first request with this key cannot be read any more";
  }
  return outcome;
}

}  // namespace

IngestOutcome outcome_of(const EventBatch& batch) {
  IngestOutcome outcome;
  outcome.accepted = batch.rows;
  outcome.rejected = batch.refused;
  for (const DeadLetter& letter : batch.dead_letters) {
    if (outcome.errors.size() == IngestOutcome::kErrorsMax) break;
    outcome.errors.push_back({letter.event_index, letter.reason, letter.detail});
  }
  return outcome;
}

std::string encode_answer(const EventBatch& batch) {
  const IngestOutcome outcome = outcome_of(batch);
  std::string out;
  put_u8(out, kAnswerVersion);
  put_varint(out, outcome.accepted);
  put_varint(out, outcome.rejected);
  put_varint(out, outcome.errors.size());
  for (const source::RefusedEvent& refused : outcome.errors) {
    put_varint(out, refused.index);
    put_text(out, refused.reason);
    put_text(out, refused.detail);
  }
  return out;
}

Ingest::Ingest(std::vector<std::unique_ptr<Lane>>& lanes, Sequencing& sequencing,
               const Journal& journal, InFlight& in_flight, HeldUp held_up)
    : lanes_(lanes),
      sequencing_(sequencing),
      journal_(journal),
      in_flight_(in_flight),
      held_up_(std::move(held_up)) {}

asio::awaitable<IngestOutcome> Ingest::submit(std::size_t lane_index, Block block) {
  IngestOutcome outcome;
  if (const State state = state_.load(); state != State::open) {
    outcome.status = state == State::starting ? IngestOutcome::Status::starting
                                              : IngestOutcome::Status::stopping;
    co_return outcome;
  }
  if (journal_.disk_full()) {
    outcome.status = IngestOutcome::Status::no_space;
    co_return outcome;
  }
  // Asked before anything is decoded or counted: what is turned away leaves no trace but this.
  // This lane's strand is the ring's only producer, so the room found here is still there below.
  flow::Channel<SequencerInput>& out = sequencing_.requests_of(lane_index);
  if (out.size() >= out.capacity() ||
      in_flight_.bytes.load(std::memory_order_relaxed) > kInFlightBytesMax) {
    in_flight_.of(block.origin.source_id, 0).turned_away.store(true, std::memory_order_relaxed);
    outcome.status = IngestOutcome::Status::overloaded;
    outcome.message = held_up_();
    co_return outcome;
  }
  block.origin.number = 0;  // Requests take their place by arrival.
  EventBatchPtr batch = lanes_[lane_index]->decode(block);
  block.bytes.reset();
  outcome = outcome_of(*batch);
  in_flight_.of(batch->origin.source_id, 0).blocks.fetch_add(1, std::memory_order_relaxed);
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
  switch (acknowledgement->fate) {
    case Acknowledgement::Fate::taken:
      break;
    case Acknowledgement::Fate::repeated:
      outcome = decode_answer(acknowledgement->answer);
      break;
    case Acknowledgement::Fate::key_reused:
      outcome.status = IngestOutcome::Status::key_reused;
      break;
    case Acknowledgement::Fate::no_space:
      outcome.status = IngestOutcome::Status::no_space;
      break;
    case Acknowledgement::Fate::not_durable:
      outcome.status = IngestOutcome::Status::not_durable;
      break;
  }
  co_return outcome;
}

/// The channels are bounded in items; this bounds what the items hold. Asked here and not in the
/// lane: a block must not wait behind a later one of its own source.
asio::awaitable<void> SourceFeed::wait_for_room() {
  asio::steady_timer pause(co_await asio::this_coro::executor);
  const auto must_wait = [this] {
    return journal_.disk_full() ||
           in_flight_.bytes.load(std::memory_order_relaxed) > kInFlightBytesMax;
  };
  while (must_wait() && !stop_) {
    pause.expires_after(std::chrono::milliseconds(1));
    co_await pause.async_wait(asio::use_awaitable);
  }
}

asio::awaitable<bool> SourceFeed::push(Block block) {
  co_await wait_for_room();
  Lane& lane = *lanes_[blocks_ % lanes_.size()];
  in_flight_.of(source_id_, block.origin.partition).blocks.fetch_add(1, std::memory_order_relaxed);
  const bool taken = co_await lane.blocks()[source_id_].push(std::move(block));
  if (taken) ++blocks_;
  if (taken) ++blocks_now_;
  co_return taken;
}

/// Until it has been acted on: the next blocks go by other rings, which may be emptied before that
/// one. `acknowledgement` is the input's, which the caller holds too.
asio::awaitable<bool> SourceFeed::say(SequencerInput input, Acknowledgement& acknowledgement) {
  const bool taken = co_await sequencing_.end_of(source_id_).push(std::move(input));
  if (!taken) co_return false;
  const auto acknowledged = [&acknowledgement] {
    return acknowledgement.done.load(std::memory_order_acquire);
  };
  co_await acknowledgement.signal.wait(acknowledged);
  co_return true;
}

asio::awaitable<bool> SourceFeed::join(std::vector<PartitionPlace> partitions) {
  co_await wait_for_room();
  const auto acknowledgement = std::make_shared<Acknowledgement>();
  SequencerInput input = SourceJoin{source_id_, std::move(partitions), acknowledgement};
  const bool said = co_await say(std::move(input), *acknowledgement);
  co_return said;
}

asio::awaitable<bool> SourceFeed::leave(std::vector<std::uint32_t> partitions) {
  SequencerInput input = SourceLeave{source_id_, std::move(partitions)};
  const bool taken = co_await sequencing_.end_of(source_id_).push(std::move(input));
  co_return taken;
}

asio::awaitable<std::optional<std::uint64_t>> SourceFeed::propose() {
  const auto acknowledgement = std::make_shared<Acknowledgement>();
  SequencerInput input = SourceProposal{source_id_, blocks_now_, acknowledgement};
  const bool taken = co_await sequencing_.end_of(source_id_).push(std::move(input));
  if (!taken) co_return std::nullopt;
  // With a full disk it may be long until it is in the log: then a stop does not wait for it.
  asio::steady_timer pause(co_await asio::this_coro::executor);
  while (!acknowledgement->done.load(std::memory_order_acquire)) {
    if (stop_ && journal_.disk_full()) co_return std::nullopt;
    pause.expires_after(kLookAtProposalEvery);
    co_await pause.async_wait(asio::use_awaitable);
  }
  if (acknowledgement->fate != Acknowledgement::Fate::taken) co_return std::nullopt;
  co_return acknowledgement->position;
}

asio::awaitable<bool> SourceFeed::decide(std::vector<RangeVerdict> verdicts) {
  const auto acknowledgement = std::make_shared<Acknowledgement>();
  SequencerInput input = SourceVerdicts{source_id_, std::move(verdicts), acknowledgement};
  const bool said = co_await say(std::move(input), *acknowledgement);
  co_return said;
}

void SourceFeed::set_behind(std::uint32_t partition, bool behind) {
  in_flight_.of(source_id_, partition).behind.store(behind, std::memory_order_relaxed);
}

Duration SourceFeed::ahead(std::uint32_t partition) const {
  return in_flight_.of(source_id_, partition).ahead.load(std::memory_order_relaxed);
}

}  // namespace streamobs::app

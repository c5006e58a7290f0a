// How events get into the pipeline: from requests, on the lane that received them, and from
// sources, spread over the lanes in turn.
//
// Ingest outlives the HTTP server; a SourceFeed lives as long as its source's coroutine.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "app/journal.h"
#include "app/lane.h"
#include "app/sequencing.h"
#include "source/block_sink.h"
#include "source/ingest_port.h"

namespace streamobs::app {

/// What a request is told of its batch.
source::IngestOutcome outcome_of(const EventBatch& batch);
/// The same as bytes that can be kept, for a request that is sent again (wal::RequestKeys).
std::string encode_answer(const EventBatch& batch);

class Ingest final : public source::IngestPort {
 public:
  /// Bytes of decoded batches on their way to the windows beyond which clients are told to wait.
  static constexpr std::uint64_t kInFlightBytesMax = 64 << 20;

  /// Why the pipeline's end takes nothing at the moment, for who is turned away; may be empty.
  using HeldUp = std::function<std::string_view()>;

  /// `held_up` is called on any lane's strand.
  Ingest(std::vector<std::unique_ptr<Lane>>& lanes, Sequencing& sequencing, const Journal& journal,
         InFlight& in_flight, HeldUp held_up);

  asio::awaitable<source::IngestOutcome> submit(std::size_t lane, Block block) override;
  /// Any thread: recovery is over, events are taken; of no effect after stop().
  void open() {
    State expected = State::starting;
    state_.compare_exchange_strong(expected, State::open);
  }
  /// Any thread: nothing more is taken from now on.
  void stop() { state_.store(State::stopping); }
  bool stopping() const { return state_.load() == State::stopping; }

 private:
  std::vector<std::unique_ptr<Lane>>& lanes_;
  Sequencing& sequencing_;
  const Journal& journal_;
  InFlight& in_flight_;
  HeldUp held_up_;
  enum class State : std::uint8_t { starting, open, stopping };
  std::atomic<State> state_{State::starting};
};

/// Gives a source's blocks to the lanes in turn. One strand: its source's.
class SourceFeed final : public source::BlockSink {
 public:
  /// Bytes of decoded batches on their way to the windows beyond which sources wait: less than what
  /// turns clients away, so that reading an old file does not.
  static constexpr std::uint64_t kInFlightBytesMax = 32 << 20;

  /// `blocks`: of this source that have reached the log in earlier lives.
  SourceFeed(std::uint32_t source_id, std::uint64_t blocks,
             std::vector<std::unique_ptr<Lane>>& lanes, Sequencing& sequencing,
             const Journal& journal, InFlight& in_flight, const std::atomic<bool>& stop)
      : source_id_(source_id),
        lanes_(lanes),
        sequencing_(sequencing),
        journal_(journal),
        in_flight_(in_flight),
        stop_(stop),
        blocks_(blocks) {}

  asio::awaitable<bool> push(Block block) override;
  asio::awaitable<bool> join(std::vector<PartitionPlace> partitions) override;
  asio::awaitable<bool> leave(std::vector<std::uint32_t> partitions) override;
  asio::awaitable<std::optional<std::uint64_t>> propose() override;
  asio::awaitable<bool> decide(std::vector<RangeVerdict> verdicts) override;
  void set_behind(std::uint32_t partition, bool behind) override;
  Duration ahead(std::uint32_t partition) const override;
  /// How many it has taken, of all partitions and lives.
  std::uint64_t blocks() const { return blocks_; }

 private:
  asio::awaitable<void> wait_for_room();
  asio::awaitable<bool> say(SequencerInput input, Acknowledgement& acknowledgement);

  std::uint32_t source_id_;
  std::vector<std::unique_ptr<Lane>>& lanes_;
  Sequencing& sequencing_;
  const Journal& journal_;
  InFlight& in_flight_;
  const std::atomic<bool>& stop_;
  std::uint64_t blocks_;
  std::uint64_t blocks_now_ = 0;  ///< In this life.
};

}  // namespace streamobs::app

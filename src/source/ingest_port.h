// Where posted events go in: implemented by the app over decode lanes and the sequencer.
//
// One per engine, outlives the HTTP server.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "event/block.h"
#include "flow/asio.h"

namespace streamobs::source {

/// One event that was refused, as the client is told.
struct RefusedEvent {
  std::uint32_t index = 0;  ///< Which event of the request, from 0.
  std::string reason;       ///< One of streamobs::reason, or the name of a check.
  std::string detail;
};

struct IngestOutcome {
  enum class Status {
    taken,       ///< Decoded and sequenced; see the counts.
    overloaded,  ///< The pipeline is full: nothing was taken, try again.
    starting,    ///< Still recovering: nothing was taken, try again.
    stopping,    ///< Shutting down: nothing was taken.
    failed,      ///< Our fault: nothing was taken; see `message`.
    key_reused,  ///< The Idempotency-Key came before with another body: nothing was taken.
    no_space,    ///< The disk is full: nothing was taken.
    /// The log could not be synced, so that nobody knows whether the events are on disk. The engine
    /// is ending; after its restart a repeat under the same key or ids counts them once.
    not_durable,
  };
  static constexpr std::size_t kErrorsMax = 100;

  IngestOutcome() = default;  // Not an aggregate: g++ 12 destroys those twice in a co_await.
  IngestOutcome(Status s, std::string text) : status(s), message(std::move(text)) {}

  Status status = Status::taken;
  /// Of what is `taken`: the request's key came before with the same body, and this is the answer
  /// it got then. Nothing was counted again.
  bool repeated = false;
  std::uint64_t accepted = 0;
  std::uint64_t rejected = 0;
  std::vector<RefusedEvent> errors;  ///< The first kErrorsMax of the rejected ones.
  std::string message;  ///< Of `failed` and `overloaded`: why, for the client; may be empty.
};

class IngestPort {
 public:
  virtual ~IngestPort() = default;
  /// Called on the strand of `lane`. Returns when the block's fate is decided: acknowledged events
  /// are not lost. `block.bytes` may be kept for as long as need be.
  virtual asio::awaitable<IngestOutcome> submit(std::size_t lane, Block block) = 0;
};

}  // namespace streamobs::source

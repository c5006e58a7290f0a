// The requests that bore an Idempotency-Key and have their place in history: a repeat gets the
// answer the first one got, and nothing is counted again.
//
// A function of the log alone: which keys are known at a position follows from the batches before
// it, so a replay gives the same, and it is part of every checkpoint. One strand (the sequencer's),
// lives as long as the engine. Bounded by time and by bytes; what a client repeats later than that
// counts again, and docs/api.md says so.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/clock.h"
#include "base/result.h"
#include "event/event_batch.h"

namespace streamobs::wal {

class RequestKeys {
 public:
  /// By the arrival times of the requests in the log.
  static constexpr Duration kRemembered = 24 * kHour;
  static constexpr std::size_t kBytesMax = std::size_t{64} << 20;

  struct Known {
    std::uint64_t digest = 0;    ///< Of the body.
    std::uint64_t position = 0;  ///< Of its batch in the log.
    std::string answer;          ///< Opaque: what the caller passed to remember().
  };

  /// Null: no request to that stream bore the key, as far as is remembered.
  const Known* find(std::string_view stream, std::string_view key) const;
  /// The batch that has just been given its place bore a key.
  void remember(const EventBatch& batch, std::string answer);

  std::size_t size() const { return known_.size(); }

  /// The same state gives the same bytes.
  void snapshot(std::string& out) const;
  Result<> restore(std::string_view bytes);

 private:
  struct Age {
    Timestamp received_at = 0;
    std::string name;
  };
  /// A key belongs to its stream: two clients of different streams do not know of each other.
  static std::string name_of(std::string_view stream, std::string_view key);
  void add(std::string name, Timestamp received_at, Known known);
  void forget_old(Timestamp now);
  void forget_oldest();

  std::unordered_map<std::string, Known> known_;
  std::deque<Age> ages_;  ///< In log order.
  std::size_t bytes_ = 0;
};

}  // namespace streamobs::wal

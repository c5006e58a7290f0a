// [wal]: the write-ahead log and its checkpoints.
#pragma once

#include <cstdint>

#include "base/clock.h"

namespace streamobs::wal {

/// What an acknowledgement means.
enum class Durability : std::uint8_t {
  sync,      ///< The event is on disk: neither a crash nor a power cut loses it.
  interval,  ///< It is in the log file: a crash of the process loses nothing, a power cut up to
             ///< `sync_every` of what was acknowledged.
};

struct WalOptions {
  Durability durability = Durability::sync;
  Duration sync_every = kSecond;  ///< With durability = "interval".
  std::uint64_t segment_bytes = std::uint64_t{64} << 20;
  /// Sealed segments beyond what recovery needs are kept while younger than keep_age and while all
  /// of them together stay under keep_bytes. 0 and 0: none.
  Duration keep_age = 0;
  std::uint64_t keep_bytes = 0;
  Duration checkpoint_every = 30 * kSecond;
  /// Of log since the last checkpoint: bounds the time recovery takes.
  std::uint64_t checkpoint_bytes = std::uint64_t{256} << 20;
};

}  // namespace streamobs::wal

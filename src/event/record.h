// What flows behind the windows: results, anomalies, incidents, dead letters, in one order.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "event/anomaly.h"
#include "event/dead_letter.h"
#include "event/window_result.h"

namespace streamobs {

using DeadLetters = std::vector<DeadLetter>;
using DeadLettersPtr = std::shared_ptr<const DeadLetters>;

/// The event of a dead letter has been sent again and has its place in the log.
struct ReplayedLetter {
  std::uint64_t position = 0;  ///< Where it is now.
  LetterId letter;             ///< Which one it was; late events may have several of it.
  Timestamp at = 0;
};
using ReplayedLetterPtr = std::shared_ptr<const ReplayedLetter>;

/// Events of one batch for one sink outside.
struct OutboundEvents {
  struct Event {
    std::optional<std::string> key;  ///< None: the message has no key.
    std::string value;               ///< JSON.
  };
  std::uint64_t position = 0;
  std::string sink;
  std::vector<Event> events;
  std::shared_ptr<const void> charge;  ///< Whoever bounds what is under way counts it by this.
};
using OutboundEventsPtr = std::shared_ptr<const OutboundEvents>;
/// About what they take in memory.
std::size_t bytes_of(const OutboundEvents& events);

/// The whole state of the engine at one log position, gathered part by part as its barrier travels
/// from the sequencer to the store: each operator adds its own under its name ("sequencer",
/// "windows/STREAM", "detect", "narrate").
struct CheckpointParts {
  std::uint64_t position = 0;
  std::map<std::string, std::string> parts;
};

/// A line across the flow: every record that log positions up to `position` gave rise to has come
/// before it, and none of a later one. The store commits at these lines, and only there.
struct Cut {
  std::uint64_t position = 0;
  /// Set: the line is a checkpoint's barrier. Not shared: whoever holds the record may add to it.
  std::shared_ptr<CheckpointParts> checkpoint;
};
using CutPtr = std::shared_ptr<const Cut>;

/// Shared and read-only: one record goes to detection, the store and every live reader.
using Record = std::variant<WindowBatchPtr, AnomalyPtr, IncidentPtr, DeadLettersPtr,
                            ReplayedLetterPtr, OutboundEventsPtr, CutPtr>;

/// The log position that gave rise to a record; 0: of none.
std::uint64_t position_of(const Record& record);

/// What an operator hands on, in order.
using Records = std::vector<Record>;

}  // namespace streamobs

// What flows from the sequencer through the log to the lanes, in one order.
//
// Plain data; each step belongs to whoever holds it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <variant>

#include "event/record.h"
#include "flow/signal.h"
#include "wal/record.h"
#include "wal/sequencer.h"

namespace streamobs::app {

/// How a request learns what has become of its batch. Shared: the one who waits may be gone before
/// the one who completes has left complete().
struct Acknowledgement {
  enum class Fate : std::uint8_t {
    taken,        ///< It has its place in history, and is on disk where there is a log.
    repeated,     ///< Its key came before: `answer` is what was said then.
    key_reused,   ///< Its key came before with another body.
    no_space,     ///< The log's disk is full: it was not taken.
    not_durable,  ///< The log could not be synced: nobody knows.
  };
  Fate fate = Fate::taken;     ///< Written before `done`.
  std::uint64_t position = 0;  ///< Of the log, where that was asked for. The same.
  std::string answer;
  std::atomic<bool> done{false};
  flow::Signal signal;

  void complete(Fate how) {
    fate = how;
    done.store(true, std::memory_order_release);
    signal.notify();
  }
};
using AcknowledgementPtr = std::shared_ptr<Acknowledgement>;

/// Asks every lane for a copy of a window that is still open.
struct ShowOpen {
  std::uint32_t stream_id = 0;
  std::size_t window = 0;  ///< Within the stream.
  std::uint64_t position = 0;
  Timestamp watermark = 0;
};

/// The end of a run without a log: asks every lane for all that is left.
struct Finish {
  std::uint32_t stream_id = 0;
  std::uint64_t position = 0;
  Timestamp watermark = 0;
};

/// A checkpoint is to be made of the state at this position.
struct Barrier {
  std::shared_ptr<CheckpointParts> parts;
};

/// Events that a join made of those before them: as little a record as a mark.
struct Made {
  std::uint64_t position = 0;
  wal::EventBatchPtr batch;
};

/// A record of no consequence for time: a session's start, a table's new version.
struct Noted {
  std::uint64_t position = 0;
  wal::ControlRecord record;
};

/// Nothing new: whoever waits hears of it once all before it is durable.
struct Answer {
  Acknowledgement::Fate fate = Acknowledgement::Fate::repeated;
  bool sync = false;  ///< Durable for certain, also with durability = "interval".
};

/// What a source has proposed to its consumer group: for the log alone.
struct Proposal {
  std::uint64_t position = 0;
  std::shared_ptr<const std::string> payload;
  std::uint32_t crc32c = 0;
};

/// Nothing new either: lets each stage look at what time has brought.
struct Nudge {};

struct Step {
  std::variant<wal::Sequenced, Made, Noted, Proposal, ShowOpen, Finish, Barrier, Answer, Nudge>
      what;
  AcknowledgementPtr acknowledgement;  ///< Null where nobody waits.
  bool replayed = false;               ///< It comes from the log.
  std::uint64_t bytes_in_log = 0;      ///< That its record takes; set by the journal.
  /// Log position that nothing more follows from behind this step; 0: something does, or it is of
  /// none. A batch and the mark it causes are one position: a cut never falls between them.
  std::uint64_t completes = 0;
  bool cut_behind = false;  ///< A cut is to follow at once.

  /// Log position of a step that is a record, else 0.
  std::uint64_t position() const {
    if (const auto* sequenced = std::get_if<wal::Sequenced>(&what)) {
      return sequenced->is_record() ? sequenced->position : 0;
    }
    if (const auto* noted = std::get_if<Noted>(&what)) return noted->position;
    if (const auto* proposal = std::get_if<Proposal>(&what)) return proposal->position;
    return 0;
  }
};

}  // namespace streamobs::app

// What the quick checks look at: one look at the engine's counters. Plain data, filled by the app
// on whatever strand it has, since it reads atomics and snapshots only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"

namespace streamobs::health {

struct StreamSeen {
  std::string name;
  std::optional<Timestamp> newest_event_at;  ///< Its own time; none: there never was one.
  std::optional<Timestamp> watermark;        ///< None: none yet, or all of its sources are silent.
  std::uint64_t received = 0;  ///< Since the start of the process, as all counts here.
  std::uint64_t accepted = 0;
  bool input_over = false;  ///< All of its sources have been read to their end.
};

/// A Kafka cluster, as a source or a sink finds it.
struct BrokersSeen {
  std::optional<std::uint64_t> up;      ///< There is a connection to so many; none: not known yet.
  std::string trouble;                  ///< What was wrong last.
  std::string advice;                   ///< What to do about that; may be empty.
  std::optional<Timestamp> trouble_at;  ///< None: nothing ever was.
};

struct SourceSeen {
  enum class State : std::uint8_t { starting, reading, ended, failed };

  std::string name;
  State state = State::reading;
  bool has_backlog = false;           ///< Whether it can tell what waits: topics can.
  std::uint64_t messages = 0;         ///< Read.
  std::uint64_t behind = 0;           ///< Known, and not yet read.
  std::uint64_t partitions_held = 0;  ///< Wait for others (max_skew).
  bool waits_for_group = false;       ///< Its consumer group has not given it a turn.
  std::uint64_t partitions = 0;       ///< It reads.
  BrokersSeen brokers;
};

/// A channel, or the input of a stage behind one; in the order of an event's way.
struct ChannelSeen {
  std::string from;
  std::string to;
  double fill = 0;
};

/// A part of the way through the engine: what has come to it, and what it has done of that. In the
/// order of an event's way.
struct WorkSeen {
  std::string part;        ///< "the log".
  std::string advice;      ///< What to do where it stands still.
  std::uint64_t done = 0;  ///< Grows with whatever it does.
  bool waits = false;      ///< It has not done all that has come.
};

struct StageSeen {
  std::uint64_t records = 0;  ///< That it has taken.
  double input_fill = 0;
  double output_fill = 0;
};

struct StoreSeen {
  std::string held_up;             ///< Why it takes nothing, and the way out; empty: it does.
  std::uint64_t rows_waiting = 0;  ///< Not yet committed.
  std::uint64_t transactions = 0;
  std::uint64_t checkpoints_failed = 0;
  Timestamp tidied_at =
      0;  ///< When what is too old was last removed without a failure; 0: not yet.
};

struct SinkSeen {
  std::string name;
  bool stopped = false;
  std::uint64_t rows_waiting = 0;
  std::uint64_t dropped = 0;
  std::optional<Timestamp> oldest_at;  ///< When the oldest result was made that waits.
  BrokersSeen brokers;
};

struct LookupSeen {
  std::string name;
  std::string error;    ///< What is wrong with the file at the moment; empty: nothing.
  bool loaded = false;  ///< There is a version in force.
};

/// Where rows go before they are removed.
struct ArchiveSeen {
  std::string name;  ///< The window and the resolution.
  std::string directory;
  std::string error;  ///< What keeps it from writing at the moment; empty: nothing.
};

struct DiskSeen {
  std::string path;
  std::optional<std::uint64_t> free_bytes;  ///< For us, not for root; none: it cannot be asked.
  std::uint64_t bytes = 0;
  bool log_full = false;  ///< The log refuses events for want of space.
};

struct Observation {
  Timestamp now = 0;
  Timestamp ready_at = 0;  ///< Since when events are taken; 0: not yet.
  std::string not_ready;   ///< Why they are not just now; empty: they are.
  std::vector<StreamSeen> streams;
  std::vector<SourceSeen> sources;
  std::vector<ChannelSeen> channels;
  std::vector<WorkSeen> work;  ///< The same parts in each look.
  bool has_rules = false;
  StageSeen detection;
  StageSeen narration;
  StoreSeen store;
  std::vector<SinkSeen> sinks;
  std::vector<LookupSeen> lookups;
  std::vector<ArchiveSeen> archives;
  DiskSeen disk;
};

}  // namespace streamobs::health

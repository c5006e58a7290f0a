// The records of the write-ahead log: what decides the outcome, and in which order.
//
// Each stands in one frame of the log (wal/format.h), whose header bears its type and sequence
// number: the log position. Here are the payloads of all but `batch` and `range_proposed`, which
// are batches and have a codec of their own (wal/batch_codec.h). Plain data; encoding is
// deterministic, and decoding gives ErrorCode::corrupt for whatever was not written by encode().
// Bytes: docs/wal-format.md, "Record payloads".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"
#include "event/resume_state.h"

namespace streamobs::wal {

/// Frozen: these numbers are on disk.
enum class RecordType : std::uint8_t {
  session_started = 1,
  batch = 2,
  advanced = 3,
  source_ended = 4,
  set_aside = 5,
  partitions_joined = 6,
  range_proposed = 7,
  range_discarded = 8,
  lookup_loaded = 9,
};

/// "batch", "advanced", …; "unknown" for a number that is none of them.
std::string_view to_text(RecordType type);

/// A process has taken the log over: what the ids in the records after it mean.
struct SessionStarted {
  Timestamp at = 0;
  std::string program;      ///< Version of the program that writes from here on.
  std::string config_text;  ///< The config in force, as its file said it.
  /// Each stream by its id (its index here).
  std::vector<std::string> streams;
  struct Source {
    std::string name;
    std::uint32_t stream_id = 0;
    friend bool operator==(const Source&, const Source&) = default;
  };
  /// Each source by its id.
  std::vector<Source> sources;

  friend bool operator==(const SessionStarted&, const SessionStarted&) = default;
};

/// A partition of a source.
struct PartitionId {
  std::uint32_t source_id = 0;
  std::uint32_t partition = 0;
  auto operator<=>(const PartitionId&) const = default;
};

/// Time went on without an event: silence was noticed.
struct Advanced {
  Timestamp at = 0;
  std::uint32_t stream_id = 0;
  std::vector<PartitionId> idle;        ///< Those that became idle, in rising order.
  Timestamp watermark = kMinTimestamp;  ///< What it was raised to; kMinTimestamp: it was not.

  friend bool operator==(const Advanced&, const Advanced&) = default;
};

/// A bounded source has been read to its end.
struct SourceEnded {
  Timestamp at = 0;
  std::uint32_t source_id = 0;
  std::uint64_t blocks = 0;  ///< In all.

  friend bool operator==(const SourceEnded&, const SourceEnded&) = default;
};

/// A source reads these partitions from here on: at its start, and again when there are further
/// ones. Each holds the watermark back until it has sent something or has been silent for long.
struct PartitionsJoined {
  Timestamp at = 0;
  std::uint32_t source_id = 0;
  std::vector<PartitionPlace> partitions;  ///< In rising order.

  friend bool operator==(const PartitionsJoined&, const PartitionsJoined&) = default;
};

/// A batch that is not to be replayed any more, because it brought the process down each time.
struct SetAside {
  Timestamp at = 0;
  std::uint64_t sequence = 0;  ///< Of the batch.
  std::uint32_t attempts = 0;  ///< How often it was tried.

  friend bool operator==(const SetAside&, const SetAside&) = default;
};

/// From here on a look-up table is what this text of its file says.
struct LookupLoaded {
  Timestamp at = 0;
  std::string lookup;  ///< The table's name in the config.
  std::string text;    ///< The file's, whole.

  friend bool operator==(const LookupLoaded&, const LookupLoaded&) = default;
};

/// Messages that were proposed to their consumer group (range_proposed) have not become this log's:
/// the block of that number will never be a batch. What does become its own is told by the batch
/// itself, which bears the same source, partition and number.
struct RangeDiscarded {
  Timestamp at = 0;
  PartitionId partition;
  std::uint64_t number = 0;  ///< Of the block, within its partition.

  friend bool operator==(const RangeDiscarded&, const RangeDiscarded&) = default;
};

using ControlRecord = std::variant<SessionStarted, Advanced, SourceEnded, SetAside,
                                   PartitionsJoined, LookupLoaded, RangeDiscarded>;

/// How a place stands in records and in the sequencer's snapshots.
void put_place(std::string& out, const ResumePoint& place);
ResumePoint read_place(ByteReader& in);

RecordType type_of(const ControlRecord& record);
/// Bytes of the long text that a record bears, a config or a table; 0 where it has none.
std::size_t text_bytes(const ControlRecord& record);

/// Appends the payload of `record` to `out`.
void encode(const ControlRecord& record, std::string& out);

/// The record of type `type` whose payload is `payload`. `batch` and `range_proposed` are none of
/// them, and neither is a type that this version does not know: ErrorCode::invalid.
Result<ControlRecord> decode_control(RecordType type, std::string_view payload);

}  // namespace streamobs::wal

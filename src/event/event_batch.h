// A block's events as columns, with what had to be refused beside them: what travels from decode
// to the sequencer and on to the windows.
//
// Made by decode from one block (a request body, a piece of a file), owned by whoever holds it,
// passed on whole, never shared. String columns and raw texts may point into `block` and `text`,
// which the batch keeps alive. Batches are recycled: clear() keeps the memory.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/pod_vector.h"
#include "event/block.h"
#include "event/column.h"
#include "event/dead_letter.h"
#include "event/schema.h"

namespace streamobs {

/// Text that outlives the call that made it: unescaped strings, joined pieces. Views into it stay
/// good until clear().
class TextArena {
 public:
  char* allocate(std::size_t size);
  std::string_view keep(std::string_view text);
  void clear();

 private:
  struct Chunk {
    std::unique_ptr<char[]> bytes;
    std::size_t size = 0;
  };
  std::vector<Chunk> chunks_;
  std::size_t chunk_ = 0;  ///< The chunk being filled.
  std::size_t used_ = 0;   ///< Bytes used of it.
};

struct LookupTables;

/// What the sequencer adds: the batch's place in history and time as it was just before it.
struct Stamp {
  std::uint64_t sequence = 0;                ///< Position in the log: 1, 2, 3 …
  Timestamp partition_time = kMinTimestamp;  ///< Newest event time of its own partition before it.
  /// Least of the other active partitions of the stream; kMaxTimestamp where there is none.
  Timestamp others_time = kMaxTimestamp;
  Timestamp floor_time = kMinTimestamp;  ///< The stream's watermark before it: it never falls.
};

/// A batch as the payload of its log record (wal/batch_codec).
struct EncodedBatch {
  std::string bytes;
  std::uint32_t crc32c = 0;  ///< Of `bytes`, unseeded: what the record's frame bears.
};

struct EventBatch {
  const StreamSchema* schema = nullptr;  ///< Owned by the plan, which outlives every batch.
  std::size_t rows = 0;
  PodVector<Timestamp> time;    ///< Event time of each row.
  std::vector<Column> columns;  ///< One for each field of the schema.
  /// What the batch's place in history adds to each row (window/template_column), behind the
  /// schema's columns in the order of the stream's scope. Not in the log: it follows from the log.
  std::vector<Column> mined;
  /// The tables as they are at the batch's place in history (event/lookup_table); null: none.
  std::shared_ptr<const LookupTables> lookups;
  PodVector<std::uint32_t> event_index;  ///< Which event of the block (from 0) each row was.
  /// Empty, or one for each row: the stream's watermark just before it. Of rows that a join makes,
  /// which take their time from elsewhere than from the rows before them; the stamp's times then
  /// say nothing.
  PodVector<Timestamp> watermarks;
  /// Empty, or one for each row: the event's text as it came, without the end of its line. Only of
  /// streams that keep it. Points into `block` or `text`.
  PodVector<std::string_view> raw;
  /// Empty, or one byte for each row: 1 marks a row that is not to be counted, because an event
  /// with its id came before. Set by the deduplicator, when the batch has its place in history.
  PodVector<std::uint8_t> excluded;
  std::uint32_t events = 0;            ///< Events in the block, refused ones included.
  Timestamp time_max = kMinTimestamp;  ///< Newest event time in the batch.
  /// Refused events, the first kMaxDeadLetters of the batch; the others are only counted.
  static constexpr std::size_t kMaxDeadLetters = 10'000;
  std::vector<DeadLetter> dead_letters;
  std::map<std::string, std::uint64_t, std::less<>> refused_unkept;  ///< By reason.
  std::uint64_t refused = 0;                                         ///< All of them.

  BlockOrigin origin;
  std::uint32_t lane = 0;  ///< The lane that decoded it and will count it.
  /// It comes from the log: people's counters had it in an earlier life of the engine.
  bool counted_before = false;
  Stamp stamp;
  std::shared_ptr<BlockBuffer> block;
  TextArena text;
  EncodedBatch encoded;  ///< Made by the lane that decoded it; empty where there is no log.

  /// Appends what expressions see of the rows from `begin` on: `columns`, then `mined`, as in the
  /// stream's scope.
  void append_views(std::size_t begin, std::vector<ColumnView>& out) const;

  void clear();
};

}  // namespace streamobs

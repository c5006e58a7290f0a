// A block: the bytes a source hands to decode, whole events of one stream, and where they came
// from.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/block_buffer.h"
#include "base/clock.h"

namespace streamobs {

/// The numbers are stored with dead letters (docs/wal-format.md): they are never reused.
enum class Format : std::uint8_t {
  json = 0,        ///< One JSON object, an array of them, or one object a line (NDJSON).
  ndjson = 1,      ///< One JSON object a line.
  csv = 2,         ///< RFC 4180; the header line is in Block::header.
  access_log = 3,  ///< Apache's and nginx's combined log format.
  syslog = 4,      ///< RFC 5424 and RFC 3164, told apart line by line.
  logfmt = 5,      ///< key=value key="a value".
  pattern = 6,     ///< Lines cut by the stream's own patterns.
};
inline constexpr Format kLastFormat = Format::pattern;

/// As config and command line have it: "access_log".
std::string_view to_text(Format format);
/// The reverse.
std::optional<Format> parse_format(std::string_view word);
/// Every format's word, in the order of the enum.
std::span<const std::string_view> format_words();
/// Formats of plain lines, one event each, that need nothing from outside the line.
constexpr bool is_line_format(Format format) {
  return format >= Format::access_log;
}

/// Where a source goes on after a block: enough to find the place again after a restart. Of Kafka
/// it has a name and an offset only: "TOPIC/PARTITION", and that of the next message.
struct ResumePoint {
  std::string file;  ///< Path of the file, as the source names it; empty: nothing to resume.
  std::uint64_t device = 0;  ///< With the inode: the same file, whatever it is called by then.
  std::uint64_t inode = 0;
  std::uint64_t offset = 0;  ///< Bytes of it (uncompressed) that have been pushed.
  std::uint64_t lines = 0;   ///< Lines of it that have been pushed.
  /// XXH3 of its first min(offset, kHeadBytes) bytes (uncompressed), for inodes are used again; 0:
  /// not known.
  std::uint64_t head_digest = 0;
  static constexpr std::uint64_t kHeadBytes = 1024;
  friend bool operator==(const ResumePoint&, const ResumePoint&) = default;
};

/// Messages of a block, or lines of a file, one behind the other: its events from `first_event` on,
/// up to the next run, are those of the message (line) at `offset` and the following ones, one
/// event each, or with `one_message` all of them of that one.
struct MessageRun {
  std::uint32_t first_event = 0;
  std::uint64_t offset = 0;
  bool one_message = false;
  friend bool operator==(const MessageRun&, const MessageRun&) = default;
};

/// Where a block came from: enough to name an event in it to a person, and to go on after it.
struct BlockOrigin {
  std::uint32_t source_id = 0;  ///< Index of the source in the plan.
  /// Of that source, below kPartitionsMax; 0 where it has only one.
  std::uint32_t partition = 0;
  static constexpr std::uint32_t kPartitionsMax = 1024;
  std::uint64_t number = 0;      ///< 1, 2, 3 … within the partition; 0: order of arrival decides.
  std::uint64_t offset = 0;      ///< Of the block's first byte in its file (uncompressed), else 0.
  std::uint64_t first_line = 0;  ///< Line number of its first line in a file, from 1, else 0.
  Timestamp received_at = 0;     ///< Wall clock on arrival: the record's now().
  std::string name;              ///< A file's path, a client's address; may be empty.
  ResumePoint resume;            ///< Of a file or a topic: the place behind this block.
  std::vector<MessageRun> messages;  ///< Which message or line each event was; empty: see below.
  std::string request_key;           ///< A request's Idempotency-Key; empty: none.
  std::uint64_t request_digest = 0;  ///< XXH3 of the body that bore the key, as received.
};

/// Where an event stands, as a person would look for it: the offset of its message, its line in the
/// file (by the runs, or `line` lines behind the block's first), else which event of the block.
std::uint64_t position_of(const BlockOrigin& origin, std::uint32_t event, std::uint64_t line);

/// What a source has put in front of the members of its JSON events, right behind the brace: so
/// many bytes in each event from `first_event` on, up to the next of these.
struct GivenMembers {
  std::uint32_t first_event = 0;
  std::uint32_t bytes = 0;
};

struct Block {
  std::uint32_t stream_id = 0;
  Format format = Format::json;
  std::shared_ptr<BlockBuffer> bytes;  ///< Ends at the end of an event, or of the input.
  /// CSV: the file's first record. Pattern, of a dead letter that is sent again: the patterns that
  /// its stream had when it came, one a line. Else null.
  std::shared_ptr<const std::string> header;
  std::vector<GivenMembers> given;  ///< Empty: nothing.
  BlockOrigin origin;
};

}  // namespace streamobs

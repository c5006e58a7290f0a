// An event that could not be taken, kept with everything a person needs to see why and to send it
// again.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "event/block.h"

namespace streamobs {

/// Why events are refused. The texts are what users see in answers, metrics and the store.
namespace reason {
inline constexpr std::string_view not_json = "not_json";  ///< Not one JSON object.
inline constexpr std::string_view not_a_record =
    "not_a_record";  ///< A CSV or log line that does not fit.
inline constexpr std::string_view missing_field =
    "missing_field";  ///< A required one is absent or null.
inline constexpr std::string_view wrong_type = "wrong_type";
inline constexpr std::string_view bad_time = "bad_time";
inline constexpr std::string_view out_of_range =
    "out_of_range";  ///< NaN, infinity, more than 64 bits.
inline constexpr std::string_view bad_utf8 = "bad_utf8";
inline constexpr std::string_view duplicate_key = "duplicate_key";
inline constexpr std::string_view too_deep = "too_deep";  ///< Nested deeper than 32.
inline constexpr std::string_view too_long = "too_long";  ///< A line over the limit.
inline constexpr std::string_view future = "future";      ///< Further ahead than max_future.
inline constexpr std::string_view late = "late";          ///< Its window had closed.
/// Its batch brought the process down each time it was replayed.
inline constexpr std::string_view set_aside = "set_aside";

/// No partner came within the time that its join waits.
inline constexpr std::string_view unmatched = "unmatched";

/// All of them. A failed check is refused under the check's own name, which is none of these.
inline constexpr std::string_view kAll[] = {
    not_json,      not_a_record, missing_field, wrong_type, bad_time, out_of_range, bad_utf8,
    duplicate_key, too_deep,     too_long,      future,     late,     set_aside,    unmatched};
}  // namespace reason

/// What names the event of a dead letter for as long as its log lives.
struct LetterId {
  std::uint64_t sequence = 0;
  std::uint32_t event_index = 0;
  /// What a join makes or leaves at a position is numbered from here on: no block has so many
  /// events of its own.
  static constexpr std::uint32_t kOfJoin = std::uint32_t{1} << 31;
  friend auto operator<=>(const LetterId&, const LetterId&) = default;
};

struct DeadLetter {
  std::string reason;  ///< One of the above, or the name of a check.
  std::string detail;  ///< In words: which field, what was there, what was expected.
  std::string stream;
  std::string source;  ///< The source's name in the config.
  /// A file's path, a client's address, "TOPIC/PARTITION", "join NAME", "replay of" any of them;
  /// may be empty.
  std::string origin;
  std::uint64_t sequence = 0;  ///< Log position of its batch; with event_index and window: its id.
  /// Line number in a file; index within a request; offset of a message; of what a join made or
  /// left its log position.
  std::uint64_t position = 0;
  std::uint32_t event_index = 0;  ///< Which event of the block, from 0.
  std::string
      window;  ///< For late events: the window that had closed; for unmatched ones: the join.
  Timestamp received_at = 0;
  std::string payload;  ///< As received, cut at kMaxPayload bytes.

  /// How the payload is to be read; none where that is not known: letters that versions before 0.1
  /// have left, and events of which there is no text.
  std::optional<Format> format;
  /// Of CSV: the first record of its file, which says what the cells are. Of pattern: the patterns
  /// that its stream had, one a line. Of JSON refused for a key that is there twice: the members
  /// that its source had put in front (behind the payload's brace). Else null. Shared by the
  /// letters of a block.
  std::shared_ptr<const std::string> header;
  Timestamp replayed_at = 0;  ///< When its event was sent again; 0: it was not.

  static constexpr std::size_t kMaxPayload = 64 << 10;

  LetterId letter_id() const { return {sequence, event_index}; }
  /// Where its event came from, in words: "topic orders, partition 3, offset 4711". Only words: a
  /// file "orders/3" is taken for a partition.
  std::string place() const;
  /// Why its event cannot be sent again as it was; empty: it can.
  std::string_view not_replayable() const;
};

/// The Idempotency-Key under which a letter's event is sent again, and back. The key is in the log
/// with the event: so however often it is sent, it counts once, and from the log alone it follows
/// that the letter has been replayed.
std::string replay_key(LetterId letter);
std::optional<LetterId> replayed_letter(std::string_view request_key);

}  // namespace streamobs

// The join operator: pairs of rows of two streams that have a key in common and times near each
// other.
//
// One for each [join.NAME]; belongs to the sequencing, which shows it every batch of both streams
// and every change of their times in log order. Synchronous, no clock of its own: what it makes
// follows from the log alone, row by row, never from how events were cut into batches.
//
// Each side has a clock that never falls: the watermark of its stream. Where that is silent, it
// goes on as far as silence has ever been said to let it (pass_over_silence), also when it falls
// silent later; where it is over, with the later of both watermarks. A row waits until the other
// side's clock has passed its time by more than `within`. Rows of a pair are at most `within`
// apart, whichever comes first in time or in the log; of several that fit, a row is paired with all
// (or, one_to_one, with the one that came first) in the order in which they came. Who leaves
// without a partner is a row by itself (keep_left), a dead letter, or counted only.
//
// The joined stream's watermark is the lesser of both clocks, but not beyond the time of a row that
// waits (for its first partner or, unless one_to_one, a further one) and would bear the time of the
// pair, as long as the other clock has not passed that by more than `hold`.
//
// Bounded: a row beyond pending_bytes_max, or beyond kRowsOfKeyMax of a key and side, makes the
// oldest go as if its time were over.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "event/event_batch.h"
#include "event/lookup_table.h"
#include "window/join_plan.h"
#include "window/pending_rows.h"

namespace streamobs::window {

/// What a side's stream is up to.
enum class Pace : std::uint8_t { active, silent, over };

/// What a join has done since the last time it was asked.
struct JoinCounts {
  std::uint64_t rows = 0;               ///< Joined, those of the left alone included.
  std::uint64_t unmatched[2] = {0, 0};  ///< By side: left without a partner.
  std::uint64_t pushed_out = 0;         ///< Of all that left: before their time, for lack of room.
  std::uint64_t letters_unkept = 0;     ///< Dead letters beyond kMaxDeadLetters.
};

/// What restore() found.
struct RestoredJoin {
  std::size_t rows = 0;       ///< That wait again.
  std::size_t forgotten = 0;  ///< That waited under another definition.
};

class StreamJoin {
 public:
  static constexpr std::size_t kRowsOfKeyMax = 100;
  static constexpr std::size_t kMaxDeadLetters = 10'000;

  /// `source_names` by source id; outlives it.
  StreamJoin(std::shared_ptr<const JoinPlan> plan, const std::vector<std::string>& source_names);
  ~StreamJoin();

  /// What may be made before it is to be taken.
  static constexpr std::size_t kMadeBytesMax = std::size_t{4} << 20;

  /// A batch of that side's stream, in its place: stamped and settled. From a row on, up to its end
  /// or until so much has been made that it is to be taken first; returns the row to go on with.
  std::size_t process(Side side, const EventBatch& batch, std::size_t from = 0);
  /// How far that side's stream has come behind it.
  void tell(Side side, Timestamp watermark, Pace pace);
  /// Silence, now or later, lets time go on to there: whoever is silent has been so for long
  /// enough.
  void pass_over_silence(Timestamp watermark);

  /// What comes next in the log came at that time of the wall clock.
  void at(Timestamp time) { at_ = time; }

  /// What has been joined and left since the last call: a batch of the joined schema with its rows'
  /// watermarks and the dead letters, without a place or an origin; null: nothing.
  std::unique_ptr<EventBatch> take();
  JoinCounts take_counts();

  Timestamp watermark() const { return watermark_; }
  /// Whether a side has an active partition.
  bool active() const { return sides_[0].pace == Pace::active || sides_[1].pace == Pace::active; }
  /// Newest time of a joined row.
  Timestamp newest() const { return newest_; }
  /// Rows that wait, and the memory they take.
  std::size_t pending() const;
  std::size_t pending_alone() const;  ///< Without a partner so far.
  std::size_t pending_bytes() const;

  /// Appends the state; the same state gives the same bytes.
  void snapshot(std::string& out) const;
  /// Takes over a snapshot, before the first batch. Refuses (corrupt) what is none.
  Result<RestoredJoin> restore(std::string_view snapshot);

  const JoinPlan& plan() const { return *plan_; }

 private:
  struct SideState {
    explicit SideState(const JoinSidePlan& plan);
    expr::Evaluator evaluator;
    PendingRows rows;
    Timestamp watermark = kMinTimestamp;
    Timestamp clock = kMinTimestamp;
    Pace pace = Pace::silent;
  };
  SideState& of(Side side) { return sides_[static_cast<std::size_t>(side)]; }
  const SideState& of(Side side) const { return sides_[static_cast<std::size_t>(side)]; }

  void process_row(Side side, const EventBatch& batch, std::size_t slice_begin, std::size_t row);
  bool match(Side side, Timestamp time, const PendingRow& row);
  void keep(Side side, Timestamp time, PendingRow row);
  void raise_clocks();
  void raise_watermark();
  void leave_due();
  enum class Why : std::uint8_t { time_over, no_room, no_key };
  void leave(Side side, const PendingRows::Place& place, Why why);
  void leave(Side side, Timestamp time, const PendingRow& row, Why why);
  void add_letter(Side side, Timestamp time, const PendingRow& row, Why why);
  std::string words_for(Side side, Why why) const;
  void emit(Timestamp time, const std::string* left, const std::string* right);
  EventBatch& made();
  bool waits_no_more(Side side, Timestamp time) const;
  std::uint32_t source_index(std::uint32_t source_id);

  std::shared_ptr<const JoinPlan> plan_;
  const std::vector<std::string>& source_names_;
  std::array<SideState, 2> sides_;
  std::vector<std::string> sources_;  ///< Names of sources that rows came from.
  std::uint64_t next_number_ = 1;
  Timestamp watermark_ = kMinTimestamp;
  Timestamp newest_ = kMinTimestamp;
  Timestamp silence_limit_ = kMinTimestamp;  ///< As far as silence lets time go.
  Timestamp at_ = 0;                         ///< Of the wall clock.
  std::unique_ptr<EventBatch> made_;
  std::size_t made_bytes_ = 0;
  JoinCounts counts_;
  std::vector<ColumnView> views_;   ///< Of the batch in hand.
  std::vector<ColumnView> inputs_;  ///< Of the slice.
};

}  // namespace streamobs::window

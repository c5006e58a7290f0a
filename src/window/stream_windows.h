// The window operator: one lane's share of all windows of one stream.
//
// Lanes keep partial accumulators, each for the batches it was given; a WindowMerger combines them
// once every lane has passed the log position that closes a window. Belongs to one lane, is used on
// its strand only, lives as long as the engine. Synchronous: no clock, no I/O.
//
// What is late follows from the log alone: for each row the watermark is
//   max(stamp.floor_time, min(stamp.others_time, max(stamp.partition_time, times of the rows before
//   it)))
// and the row is late for a window whose end + allowed_lateness ≤ that watermark (or that had
// closed under an earlier config). Each window it
// would be in is judged for itself: of hopping windows, some may have closed and others not.
// A window that is corrected (late = "update") takes it all the same for correct_for longer: the
// row waits for the next revision, which is due at an end that follows from that watermark too.
//
// (of a batch that brings them, EventBatch::watermarks says it instead).
//
// Rows that the batch marks as excluded are in no count, neither late nor filtered. Their times
// are part of history all the same: they move the watermark exactly as if they were counted, so
// that the sequencer, which knows nothing of them, and every lane see the same time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "event/event_batch.h"
#include "event/record.h"
#include "window/admission.h"
#include "window/window_plan.h"

namespace streamobs::window {

/// One lane's accumulators of one or more window instances on their way to the merger.
class Partial;
/// So that a PartialPtr can be held and dropped where Partial's inside is not known.
struct PartialDeleter {
  void operator()(Partial* partial) const;
};
using PartialPtr = std::unique_ptr<Partial, PartialDeleter>;

/// What one call to process() did, for the counters.
struct ProcessCounts {
  std::uint64_t excluded = 0;  ///< Marked in the batch: repeats, and what may be one.
  std::uint64_t filtered = 0;  ///< Left out by the stream's filter.
  std::span<const std::uint64_t>
      late;  ///< For each window of the stream: nothing took them; good until the next call.
  /// Likewise: too late for some of the (hopping) windows they would be in, in time for others.
  std::span<const std::uint64_t> partly_late;
  /// Likewise: came when windows they belong to had closed, which are corrected.
  std::span<const std::uint64_t> correcting;
  /// The watermark that makes the last revision that any of those wait for; else kMinTimestamp.
  Timestamp revised_at = kMinTimestamp;
  std::uint64_t late_unsent = 0;    ///< Late rows beyond kMaxDeadLetters: only counted.
  std::uint64_t overflow_rows = 0;  ///< Counted into an __overflow__ group.
};

/// A window of a snapshot whose open state the plan has no place for.
struct LostWindow {
  struct Instance {  ///< Of hopping windows: a pane.
    Timestamp start = 0;
    Timestamp end = 0;
    std::uint64_t rows = 0;  ///< Result rows (groups) it would have given, so far.
    bool late = false;       ///< Of a closed window: it waited for a revision.
  };
  std::string window;
  /// What is defined differently now: "size", "by", "sum_int(amount)" …; empty: the window is gone.
  /// "late" alone: what is open goes on, and of closed windows nothing is there to be corrected.
  std::vector<std::string> altered;
  std::vector<Instance> instances;
  /// Events that it had counted, each once; none: it has no count(*), so nobody knows.
  std::optional<std::uint64_t> events;
};

/// What a snapshot of a stream's windows has open of each, for those who have no plan for it.
Result<std::vector<LostWindow>> open_in_snapshot(const std::string& stream, std::string_view bytes);

/// What of a window had closed when a snapshot was made.
struct ClosedBefore {
  Timestamp end = kMinTimestamp;        ///< Windows that end by then.
  Timestamp forgotten = kMinTimestamp;  ///< Those that end by then cannot be corrected any more.
};

/// What restore() found in a snapshot.
struct RestoredWindows {
  std::size_t instances = 0;  ///< Taken over, by the lane and the merger.
  std::uint64_t rows = 0;     ///< Groups in them.
  std::vector<LostWindow> lost;
  /// Windows taken over whose max_keys is another now. Groups stay as they are: a lower cap admits
  /// no new keys, a higher one admits keys whose earlier events remain in __overflow__.
  std::vector<std::string> recapped;
  std::vector<ClosedBefore> closed;  ///< For each window of the plan: for keep_closed().
  /// As in ProcessCounts, of all that was taken over.
  Timestamp revised_at = kMinTimestamp;
};

class StreamWindows {
 public:
  StreamWindows(std::shared_ptr<const StreamWindowsPlan> plan, std::size_t lane,
                Admission& admission);
  ~StreamWindows();

  /// Dead letters of one process() call at most; the late rows beyond are counted only.
  static constexpr std::size_t kMaxDeadLetters = 10'000;
  /// Windows with more keys than this are copied less often by copy_open().
  static constexpr std::size_t kOftenCopiedKeys = 10'000;

  /// Adds a stamped batch. Late rows are left out and appended to `late` as dead letters (their
  /// `source` is left for the caller, who knows the names of sources).
  ProcessCounts process(const EventBatch& batch, DeadLetters& late);

  /// Hands over all it has for the windows that `watermark` closes and has not handed over before.
  /// Null where that is nothing.
  PartialPtr take_closed(Timestamp watermark);
  /// A copy of the instances it holds, only of window `index` and only if it changed since the
  /// last such copy; null where there is nothing new. The time it takes grows with the keys held,
  /// so above kOftenCopiedKeys only every n-th call makes a copy, n growing with the keys: a call
  /// copies that many at most on average.
  PartialPtr copy_open(std::size_t index);
  /// Hands over all that is left: at the end of bounded input, or at shutdown.
  PartialPtr take_all();
  /// A copy of all instances it holds, for a checkpoint; null where there is none. Costs little
  /// more than copying their memory; WindowMerger::snapshot() does the rest, off this strand.
  PartialPtr copy_all() const;

  /// Takes over the instances of a snapshot that no lane had handed over (the rest is for
  /// WindowMerger::restore()). Called once, on one lane (any) of a fresh engine,
  /// before the first batch and with every lane made and at rest. Refuses (corrupt) bytes that are
  /// no snapshot of this stream's windows, and is then as it was. `watermark` is the stream's at
  /// the snapshot's position: windows that are new, or have to begin anew, begin with those that
  /// end behind it. No snapshot: the stream had no windows there, and all are new.
  Result<RestoredWindows> restore(std::optional<std::string_view> snapshot, Timestamp watermark);
  /// On every lane, with what restore() gave on one of them: what has closed stays closed, also
  /// where a window waits for longer now.
  void keep_closed(const std::vector<ClosedBefore>& closed);

  /// Without what waits to correct windows that have closed.
  std::size_t open_instances() const;
  std::size_t keys() const;   ///< Groups held, over all open instances.
  std::size_t bytes() const;  ///< Memory held by them, about.

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace streamobs::window

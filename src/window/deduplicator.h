// Which events of a stream have come before: those whose declared `id` was seen within the horizon.
//
// One for each stream that declares an id; belongs to the dispatcher, which calls it for every
// batch in log order, when the batch has its place in history. Synchronous, no clock: what it
// decides follows from the log alone, row by row, never from how events were cut into batches.
//
// An id is remembered by the time of the event that bore it first. Two moments bound what is
// known: an id is forgotten `horizon` before the newest event of the stream (in steps of a 64th of
// it), and when there is one more than `max_ids`, the oldest eighth is forgotten at once. An event
// older than what is still known could be a repeat or not, so it is not counted: it is excluded
// and handed back as a dead letter. Events without an id (null) are always counted. Every event
// moves the newest time, counted or not.
//
// Ids are known by the 128-bit XXH3 hash of their value. Two different ids among a million share
// one with a chance of 1.5e-27; a new event passes for a repeat with one of 3e-33.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "event/event_batch.h"
#include "event/record.h"
#include "window/options.h"

namespace streamobs::window {

/// What one call to process() did.
struct DeduplicationCounts {
  std::uint64_t duplicates = 0;
  std::uint64_t too_old = 0;         ///< Older than what is known.
  std::uint64_t too_old_unsent = 0;  ///< Of these, beyond kMaxDeadLetters: only counted.
};

/// What restore() found.
struct RestoredIds {
  std::uint64_t ids = 0;  ///< Known again.
  /// The snapshot is of another id field or type (named here): nothing of it was taken over.
  std::string altered;
};

class Deduplicator {
 public:
  /// Dead letters of one process() call at most; the events beyond are counted only.
  static constexpr std::size_t kMaxDeadLetters = 10'000;

  /// `schema` must outlive it. The id field is a string or a number; a null id is never a repeat.
  Deduplicator(const StreamSchema& schema, const DeduplicationOptions& options);
  ~Deduplicator();

  /// Marks in `batch.excluded` the rows that are not to be counted, and appends dead letters for
  /// those that are too old to tell (`source` is left for the caller, who knows the names).
  DeduplicationCounts process(EventBatch& batch, DeadLetters& too_old);

  std::size_t ids() const;    ///< Known now.
  std::size_t bytes() const;  ///< Memory held.

  /// Appends the state; the same state gives the same bytes.
  void snapshot(std::string& out) const;
  /// Takes over a snapshot, before the first batch. Horizon and max_ids may be others by now.
  /// Refuses (corrupt) what is none.
  Result<RestoredIds> restore(std::string_view snapshot);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace streamobs::window

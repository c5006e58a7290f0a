// The templates of a stream's messages as columns: template, template_id, template_is_new.
//
// One for each stream that declares them; belongs to the sequencing, which calls it for every batch
// in log order, behind the deduplicator. Synchronous, no clock: what it says follows from the log
// alone, row by row, never from how events were cut into batches. Rows that are excluded are passed
// over; theirs are NULL, as are those of a message that is NULL or has no words.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "event/dictionary.h"
#include "event/event_batch.h"
#include "window/options.h"
#include "window/template_miner.h"

namespace streamobs::window {

struct TemplateCounts {
  std::uint64_t called_new = 0;
  std::uint64_t forgotten = 0;  ///< Templates that had to go.
};

class TemplateColumn {
 public:
  /// `schema` must outlive it; the field is a string.
  TemplateColumn(const StreamSchema& schema, const TemplateOptions& options);

  /// Fills `batch.mined`.
  TemplateCounts process(EventBatch& batch);

  const TemplateMiner& miner() const { return miner_; }

  /// Appends the state; the same state gives the same bytes.
  void snapshot(std::string& out) const;
  /// Takes over a snapshot, before the first batch. Refuses (corrupt) what is none. Else the field
  /// whose templates it holds, if that is another one by now (nothing was taken over then), or "".
  Result<std::string> restore(std::string_view snapshot);

 private:
  const std::string& field_name() const { return schema_.fields[options_.field].name; }
  bool is_known_for(Timestamp time, Duration learn) const;
  void begin_to_grow(Column& texts, std::size_t row);
  void set_text(EventBatch& batch, Column& texts, std::size_t row, std::string_view text);

  const StreamSchema& schema_;
  TemplateOptions options_;
  TemplateMiner miner_;
  Timestamp first_time_ = kMaxTimestamp;  ///< Of the first message; kMaxTimestamp: none yet.
  /// Of the templates' texts. Batches bear it to other strands, which look at its size too, so it
  /// never changes: a batch with a new text makes another one, that grows out of it.
  std::shared_ptr<const Dictionary> texts_;
  std::shared_ptr<Dictionary> grown_;  ///< For the batch in hand; null: it has no new text yet.
};

}  // namespace streamobs::window

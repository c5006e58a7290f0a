// What becomes of one event: a row or a dead letter. Counts events and lines on the way, and runs
// the stream's checks over the rows at the end.
//
// Part of a decoder, on its strand; turned to each batch in turn. The readers of the formats find
// the events and hand them over; the shapes write rows themselves and only say accept().
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/pod_vector.h"
#include "decode/batch_writer.h"
#include "decode/row_reader.h"
#include "decode/stream_plan.h"
#include "decode/token.h"
#include "event/block.h"
#include "event/event_batch.h"
#include "expr/program.h"

namespace streamobs::decode {

class EventCollector {
 public:
  /// All of them outlive the collector.
  EventCollector(const StreamPlan& plan, const std::vector<std::string>& source_names,
                 BatchWriter& writer, RowReader& rows, Refusal& refusal);

  void begin(const Block& block, EventBatch& batch);
  /// Runs the checks and closes the batch.
  void finish();

  /// The event at [begin, end) has been read into `tokens`: makes a row of it or refuses it. True
  /// if it became a row.
  bool take(const Token* tokens, const char* begin, const char* end);
  /// The writer's row holds the event at [begin, end).
  void accept(const char* begin, const char* end) {
    if (checks_) [[unlikely]]
      row_lines_.push_back(writer_.events() + other_lines_);
    writer_.commit(begin, end);
  }
  /// The event at [begin, end) is refused for what the refusal says.
  void refuse(const char* begin, const char* end);
  void refuse(const char* begin, const char* end, std::string_view reason, std::string_view detail);
  /// True (and refused) if the event is longer than the stream allows.
  bool refuse_if_too_long(const char* begin, const char* end);

  /// Lines that are no events of their own, for the line numbers: blank ones, those within quotes.
  void count_lines(std::uint64_t lines);

  /// True if the collector must see every event: it keeps their lines for the checks.
  bool sees_all() const { return checks_.has_value(); }
  std::size_t max_event_bytes() const { return plan_.options.max_event_bytes; }

 private:
  void add_dead_letter(std::string_view reason, std::string_view detail, std::string_view payload,
                       std::uint32_t event, std::uint64_t line);
  std::shared_ptr<const std::string> members_given(std::uint32_t event,
                                                   std::string_view payload) const;
  bool run_checks();
  void remove_rows();

  const StreamPlan& plan_;
  const std::vector<std::string>& source_names_;
  BatchWriter& writer_;
  RowReader& rows_;
  Refusal& refusal_;
  EventBatch* batch_ = nullptr;
  const Block* block_ = nullptr;  ///< While it is being read.
  std::uint64_t other_lines_ = 0;

  std::optional<expr::Evaluator> checks_;
  std::vector<ColumnView> inputs_;
  PodVector<std::uint64_t> row_lines_;  ///< Of each row, where there are checks.
  PodVector<std::uint8_t> refused_;     ///< Rows that a check has refused.
};

}  // namespace streamobs::decode

#include "decode/event_collector.h"

#include <algorithm>
#include <iterator>
#include <limits>

#include <fmt/format.h>

#include "event/dead_letter.h"

namespace streamobs::decode {

namespace {

/// Moves the elements of kept rows together.
template <class T>
void compact(PodVector<T>& values, const PodVector<std::uint8_t>& refused) {
  if (values.empty()) return;
  std::size_t kept = 0;
  for (std::size_t row = 0; row < refused.size(); ++row) {
    values[kept] = values[row];
    kept += refused[row] == 0 ? 1 : 0;
  }
  values.resize(kept);
}

Timestamp add_saturating(Timestamp t, Duration d) {
  Timestamp sum = 0;
  return __builtin_add_overflow(t, d, &sum) ? kMaxTimestamp : sum;
}

}  // namespace

EventCollector::EventCollector(const StreamPlan& plan, const std::vector<std::string>& source_names,
                               BatchWriter& writer, RowReader& rows, Refusal& refusal)
    : plan_(plan), source_names_(source_names), writer_(writer), rows_(rows), refusal_(refusal) {
  if (plan.checks) checks_.emplace(plan.checks);
}

void EventCollector::begin(const Block& block, EventBatch& batch) {
  batch_ = &batch;
  block_ = &block;
  batch.origin = block.origin;
  batch.block = block.bytes;
  other_lines_ = 0;
  row_lines_.clear();
  rows_.set_arrival(block.origin.received_at);
  rows_.set_time_limit(add_saturating(block.origin.received_at, plan_.options.max_future));
}

void EventCollector::finish() {
  writer_.finish();
  if (checks_ && batch_->rows != 0 && run_checks()) remove_rows();
  if (!plan_.options.keep_raw) batch_->raw.clear();
  batch_ = nullptr;
  block_ = nullptr;
}

/// From the next event on lines are further than events: of a file that is kept with the batch, for
/// whoever has to name an event's line when the text is gone (a late one, a repeat).
void EventCollector::count_lines(std::uint64_t lines) {
  if (lines == 0) return;
  other_lines_ += lines;
  BlockOrigin& origin = batch_->origin;
  if (origin.first_line == 0) return;
  const std::uint32_t next = writer_.events();
  std::vector<MessageRun>& runs = origin.messages;
  if (runs.empty() && next != 0) runs.push_back({0, origin.first_line, false});
  if (runs.empty() || runs.back().first_event != next) runs.push_back({next, 0, false});
  runs.back().offset = origin.first_line + next + other_lines_;
}

bool EventCollector::take(const Token* tokens, const char* begin, const char* end) {
  writer_.prepare_row();
  if (rows_.read(tokens)) {
    accept(begin, end);
    return true;
  }
  writer_.reset_row();
  refuse(begin, end);
  return false;
}

void EventCollector::refuse(const char* begin, const char* end) {
  add_dead_letter(refusal_.reason, refusal_.detail, {begin, static_cast<std::size_t>(end - begin)},
                  writer_.events(), writer_.events() + other_lines_);
  writer_.skip_event();
}

void EventCollector::refuse(const char* begin, const char* end, std::string_view reason,
                            std::string_view detail) {
  refusal_.reason = reason;
  refusal_.detail = detail;
  refuse(begin, end);
}

bool EventCollector::refuse_if_too_long(const char* begin, const char* end) {
  const auto size = static_cast<std::size_t>(end - begin);
  if (size <= plan_.options.max_event_bytes) return false;
  refuse(begin, end, reason::too_long,
         fmt::format("the event has {} bytes, the stream takes {}", size,
                     plan_.options.max_event_bytes));
  return true;
}

void EventCollector::add_dead_letter(std::string_view reason, std::string_view detail,
                                     std::string_view payload, std::uint32_t event,
                                     std::uint64_t line) {
  ++batch_->refused;
  if (batch_->dead_letters.size() == EventBatch::kMaxDeadLetters) {
    // A body of nothing but "1," is small and makes millions of these.
    const auto known = batch_->refused_unkept.find(reason);
    if (known != batch_->refused_unkept.end()) {
      ++known->second;
    } else {
      batch_->refused_unkept.emplace(reason, 1);
    }
    return;
  }
  const BlockOrigin& origin = batch_->origin;
  DeadLetter letter;
  letter.reason = reason;
  letter.detail = detail;
  letter.stream = plan_.schema.stream;
  if (origin.source_id < source_names_.size()) letter.source = source_names_[origin.source_id];
  letter.origin = origin.name;
  letter.position = position_of(origin, event, line);
  letter.event_index = event;
  letter.received_at = origin.received_at;
  letter.payload = payload.substr(0, DeadLetter::kMaxPayload);
  if (reason == reason::duplicate_key) letter.header = members_given(event, letter.payload);
  batch_->dead_letters.push_back(std::move(letter));
}

/// What the event's source has put in front of its own members: one of them may be the one that is
/// there twice. Null: nothing.
std::shared_ptr<const std::string> EventCollector::members_given(std::uint32_t event,
                                                                 std::string_view payload) const {
  const std::vector<GivenMembers>& given = block_->given;
  const auto behind =
      std::upper_bound(given.begin(), given.end(), event,
                       [](std::uint32_t e, const GivenMembers& g) { return e < g.first_event; });
  if (behind == given.begin() || !payload.starts_with('{')) return nullptr;
  const std::size_t bytes = std::prev(behind)->bytes;
  if (bytes == 0 || 1 + bytes >= payload.size()) return nullptr;
  return std::make_shared<const std::string>(payload.substr(1, bytes));
}

/// Refuses every row for which a check is not true; the first such check gives the reason. True if
/// there was one.
bool EventCollector::run_checks() {
  EventBatch& batch = *batch_;
  refused_.clear();
  refused_.resize(batch.rows, 0);
  bool any = false;
  for (std::size_t begin = 0; begin < batch.rows; begin += expr::Evaluator::kMaxRows) {
    const std::size_t rows = std::min(expr::Evaluator::kMaxRows, batch.rows - begin);
    inputs_.clear();
    for (const Column& column : batch.columns) inputs_.push_back(column.view().slice(begin));
    checks_->run(inputs_, rows, batch.origin.received_at);
    for (std::size_t check = 0; check < plan_.check_names.size(); ++check) {
      const ColumnView& holds = checks_->output(check);
      for (std::size_t i = 0; i < rows; ++i) {
        if (!holds.is_null(i) && holds.bool_at(i)) continue;
        const std::size_t row = begin + i;
        if (refused_[row] != 0) continue;
        refused_[row] = 1;
        any = true;
        add_dead_letter(plan_.check_names[check],
                        fmt::format("{} is {}", plan_.options.checks[check].expression.text,
                                    holds.is_null(i) ? "null" : "false"),
                        batch.raw[row], batch.event_index[row], row_lines_[row]);
      }
    }
  }
  return any;
}

void EventCollector::remove_rows() {
  EventBatch& batch = *batch_;
  compact(batch.time, refused_);
  compact(batch.event_index, refused_);
  compact(batch.raw, refused_);
  for (Column& column : batch.columns) {
    compact(column.nulls, refused_);
    compact(column.bools, refused_);
    compact(column.ints, refused_);
    compact(column.floats, refused_);
    compact(column.ids, refused_);
    compact(column.strings, refused_);
  }
  batch.rows = batch.time.size();
  batch.time_max = kMinTimestamp;
  for (const Timestamp t : batch.time) batch.time_max = std::max(batch.time_max, t);
  // The checks' letters came after the others; no event has two.
  std::sort(batch.dead_letters.begin(), batch.dead_letters.end(),
            [](const DeadLetter& a, const DeadLetter& b) { return a.event_index < b.event_index; });
}

}  // namespace streamobs::decode

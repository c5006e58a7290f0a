#include "window/stream_join.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/time_format.h"
#include "base/wording.h"
#include "event/row_json.h"
#include "window/assigner.h"
#include "window/late_letter.h"
#include "window/row_values.h"

namespace streamobs::window {

namespace {

/// 1 knew neither how far silence lets time go nor the time of the wall clock; it is still read.
constexpr std::uint8_t kVersion = 2;
constexpr std::size_t kSliceRows = expr::Evaluator::kMaxRows;

}  // namespace

StreamJoin::SideState::SideState(const JoinSidePlan& plan) : evaluator(plan.program) {}

StreamJoin::StreamJoin(std::shared_ptr<const JoinPlan> plan,
                       const std::vector<std::string>& source_names)
    : plan_(std::move(plan)),
      source_names_(source_names),
      sides_{SideState(plan_->sides[0]), SideState(plan_->sides[1])} {}

StreamJoin::~StreamJoin() = default;

std::size_t StreamJoin::process(Side side, const EventBatch& batch, std::size_t from) {
  if (from >= batch.rows) return batch.rows;
  const JoinSidePlan& plan = plan_->sides[static_cast<std::size_t>(side)];
  SideState& state = of(side);
  state.evaluator.set_lookups(batch.lookups);
  views_.clear();
  batch.append_views(0, views_);
  inputs_.resize(views_.size());
  Timestamp newest = batch.stamp.partition_time;
  for (std::size_t row = 0; row < from; ++row) newest = std::max(newest, batch.time[row]);
  for (std::size_t begin = from; begin < batch.rows; begin += kSliceRows) {
    const std::size_t rows = std::min(kSliceRows, batch.rows - begin);
    for (const std::size_t i : plan.program->inputs_used()) inputs_[i] = views_[i].slice(begin);
    state.evaluator.run(inputs_, rows, batch.origin.received_at);
    for (std::size_t row = 0; row < rows; ++row) {
      const Timestamp time = batch.time[begin + row];
      // As the lanes have it: see stream_windows.h.
      const Stamp& stamp = batch.stamp;
      tell(side, std::max(stamp.floor_time, std::min(stamp.others_time, newest)), Pace::active);
      newest = std::max(newest, time);
      const bool excluded = !batch.excluded.empty() && batch.excluded[begin + row] != 0;
      if (!excluded) process_row(side, batch, begin, row);
      if (made_bytes_ >= kMadeBytesMax) return begin + row + 1;
    }
  }
  return batch.rows;
}

void StreamJoin::process_row(Side side, const EventBatch& batch, std::size_t slice_begin,
                             std::size_t row) {
  const JoinSidePlan& plan = plan_->sides[static_cast<std::size_t>(side)];
  const expr::Evaluator& evaluator = of(side).evaluator;
  if (plan.filter) {
    const ColumnView& wanted = evaluator.output(*plan.filter);
    if (wanted.is_null(row) || !wanted.bool_at(row)) return;
  }
  const Timestamp time = batch.time[slice_begin + row];
  PendingRow mine;
  mine.source = source_index(batch.origin.source_id);
  mine.received_at = batch.origin.received_at;
  for (std::size_t i = 0; i < plan.columns; ++i) put_value(mine.values, evaluator.output(i), row);
  LookupKey key(plan.keys.size() == 1);
  bool has_key = true;
  for (const std::size_t column : plan.keys) {
    const ColumnView& part = evaluator.output(column);
    has_key = has_key && !part.is_null(row);
    if (has_key) key.add(part, row);
  }
  if (!has_key) {  // NULL is equal to nothing.
    leave(side, time, mine, Why::no_key);
    return;
  }
  mine.key = key.bytes();
  mine.matched = match(side, time, mine);
  if (mine.matched && plan_->options.one_to_one) return;
  if (waits_no_more(side, time)) {
    leave(side, time, mine, Why::time_over);
  } else {
    keep(side, time, std::move(mine));
  }
}

/// Pairs the row with those that wait for it on the other side; whether there was one.
bool StreamJoin::match(Side side, Timestamp time, const PendingRow& row) {
  const JoinOptions& options = plan_->options;
  PendingRows& theirs = of(other(side)).rows;
  bool found = false;
  std::optional<PendingRows::Place> partner;
  for (const PendingRows::Place& place : theirs.of_key(row.key)) {
    const Timestamp their_time = place.first;
    if (saturating_add(std::min(time, their_time), options.within) < std::max(time, their_time)) {
      continue;
    }
    found = true;
    const std::string& values = theirs.at(place).values;
    const bool is_left = side == Side::left;
    emit(side == options.time ? time : their_time, is_left ? &row.values : &values,
         is_left ? &values : &row.values);
    if (options.one_to_one) {
      partner = place;
      break;
    }
    theirs.note_match(place);
  }
  if (partner) theirs.take(*partner);
  return found;
}

void StreamJoin::keep(Side side, Timestamp time, PendingRow row) {
  PendingRows& rows = of(side).rows;
  const std::vector<PendingRows::Place>& same = rows.of_key(row.key);
  if (same.size() >= kRowsOfKeyMax) {
    const PendingRows::Place first = same.front();
    leave(side, first, Why::no_room);
  }
  rows.add({time, next_number_++}, std::move(row));
  while (pending_bytes() > plan_->options.pending_bytes_max) {
    const PendingRows& left = of(Side::left).rows;
    const PendingRows& right = of(Side::right).rows;
    const bool of_left = right.empty() || (!left.empty() && left.oldest() < right.oldest());
    const Side oldest = of_left ? Side::left : Side::right;
    const PendingRows::Place place = of(oldest).rows.oldest();
    leave(oldest, place, Why::no_room);
  }
}

void StreamJoin::tell(Side side, Timestamp watermark, Pace pace) {
  SideState& state = of(side);
  if (watermark > state.watermark || pace != state.pace) {
    state.watermark = std::max(state.watermark, watermark);
    state.pace = pace;
    raise_clocks();
  }
  raise_watermark();
}

void StreamJoin::pass_over_silence(Timestamp watermark) {
  silence_limit_ = std::max(silence_limit_, watermark);
  raise_clocks();
  raise_watermark();
}

void StreamJoin::raise_clocks() {
  const Timestamp later = std::max(sides_[0].watermark, sides_[1].watermark);
  for (SideState& state : sides_) {
    state.clock = std::max(state.clock, state.watermark);
    if (state.pace == Pace::over) state.clock = std::max(state.clock, later);
    if (state.pace == Pace::silent) state.clock = std::max(state.clock, silence_limit_);
  }
  leave_due();
}

/// Clocks, and those who hold it back, may have changed.
void StreamJoin::raise_watermark() {
  const JoinOptions& options = plan_->options;
  const Timestamp clocks = std::min(sides_[0].clock, sides_[1].clock);
  if (clocks <= watermark_) return;
  const Timestamp held_from = saturating_add(of(other(options.time)).clock, -options.hold);
  // Partner found or not: one_to_one, who has found one waits no more; else a further one may come.
  const Timestamp held = of(options.time).rows.oldest_from(held_from);
  watermark_ = std::max(watermark_, std::min(clocks, held));
}

/// Whether the other side can bring no partner any more.
bool StreamJoin::waits_no_more(Side side, Timestamp time) const {
  return saturating_add(time, plan_->options.within) < of(other(side)).clock;
}

void StreamJoin::leave_due() {
  for (const Side side : {Side::left, Side::right}) {
    const PendingRows& rows = of(side).rows;
    while (!rows.empty() && waits_no_more(side, rows.oldest().first)) {
      const PendingRows::Place place = rows.oldest();
      leave(side, place, Why::time_over);
    }
  }
}

void StreamJoin::leave(Side side, const PendingRows::Place& place, Why why) {
  const PendingRow row = of(side).rows.take(place);
  counts_.pushed_out += why == Why::no_room ? 1 : 0;
  leave(side, place.first, row, why);
}

void StreamJoin::leave(Side side, Timestamp time, const PendingRow& row, Why why) {
  if (row.matched) return;
  const JoinOptions& options = plan_->options;
  ++counts_.unmatched[static_cast<std::size_t>(side)];
  if (side == Side::left && options.keep_left) {
    // Of the right's time it is known only that it would have been before this.
    emit(options.time == Side::left ? time : saturating_add(time, options.within), &row.values,
         nullptr);
  } else if (!options.drop_unmatched) {
    add_letter(side, time, row, why);
  }
}

void StreamJoin::add_letter(Side side, Timestamp time, const PendingRow& row, Why why) {
  EventBatch& batch = made();
  if (batch.dead_letters.size() >= kMaxDeadLetters) {
    ++counts_.letters_unkept;
    return;
  }
  const JoinOptions& options = plan_->options;
  const JoinSidePlan& plan = plan_->sides[static_cast<std::size_t>(side)];
  EventBatch event;
  event.schema = plan.schema;
  event.rows = 1;
  event.columns.resize(plan.schema->fields.size());
  ByteReader in(row.values);
  for (std::size_t i = 0; i < event.columns.size(); ++i) {
    event.columns[i].type = plan.schema->fields[i].type;
    append_value(event.columns[i], in, event.text);
  }
  DeadLetter letter;
  letter.reason = std::string(reason::unmatched);
  const std::string& partner = options.streams[static_cast<std::size_t>(other(side))].text;
  letter.detail =
      fmt::format("no event of {} belongs to it within {} of {}: {}", partner,
                  span_in_words(options.within), to_rfc3339(time), words_for(side, why));
  letter.stream = plan.schema->stream;
  letter.source = sources_[row.source];
  letter.window = options.name.text;
  letter.received_at = row.received_at;
  letter.payload = row_to_json(event, 0);
  cut_payload(letter);
  batch.dead_letters.push_back(std::move(letter));
}

std::string StreamJoin::words_for(Side side, Why why) const {
  switch (why) {
    case Why::time_over:
      return fmt::format("its time has come to {}", to_rfc3339(of(other(side)).clock));
    case Why::no_room:
      return "it had to go before its time, because max_pending_bytes or too many of one key "
             "waited";
    case Why::no_key:
      return "a part of its key is NULL";
  }
  return {};
}

EventBatch& StreamJoin::made() {
  if (made_ != nullptr) return *made_;
  made_ = std::make_unique<EventBatch>();
  made_->schema = plan_->schema;
  made_->columns.resize(plan_->schema->fields.size());
  for (std::size_t i = 0; i < made_->columns.size(); ++i) {
    made_->columns[i].type = plan_->schema->fields[i].type;
  }
  return *made_;
}

/// A row of both or, with null for the right, of the left alone.
void StreamJoin::emit(Timestamp time, const std::string* left, const std::string* right) {
  EventBatch& batch = made();
  const std::string* const values[2] = {left, right};
  for (std::size_t side = 0; side < 2; ++side) {
    const JoinSidePlan& plan = plan_->sides[side];
    ByteReader in(values[side] == nullptr ? std::string_view() : *values[side]);
    for (std::size_t i = 0; i < plan.columns; ++i) {
      const std::optional<std::size_t> field = plan_->fields[side][i];
      if (!field) {
        if (values[side] != nullptr) skip_value(plan.program->type(i).kind, in);
      } else if (values[side] == nullptr) {
        append_null(batch.columns[*field]);
      } else {
        append_value(batch.columns[*field], in, batch.text);
      }
    }
  }
  Column& times = batch.columns[plan_->time_field];
  times.ints.push_back(time);
  batch.time.push_back(time);
  batch.time_max = std::max(batch.time_max, time);
  batch.watermarks.push_back(watermark_);
  ++batch.rows;
  made_bytes_ += 64 + (left == nullptr ? 0 : left->size()) + (right == nullptr ? 0 : right->size());
  newest_ = std::max(newest_, time);
  ++counts_.rows;
}

std::unique_ptr<EventBatch> StreamJoin::take() {
  made_bytes_ = 0;
  if (made_ != nullptr) made_->origin.received_at = at_;
  return std::move(made_);
}

JoinCounts StreamJoin::take_counts() {
  return std::exchange(counts_, {});
}

std::size_t StreamJoin::pending() const {
  return sides_[0].rows.size() + sides_[1].rows.size();
}

std::size_t StreamJoin::pending_alone() const {
  return sides_[0].rows.alone() + sides_[1].rows.alone();
}

std::size_t StreamJoin::pending_bytes() const {
  return sides_[0].rows.bytes() + sides_[1].rows.bytes();
}

std::uint32_t StreamJoin::source_index(std::uint32_t source_id) {
  const std::string& name = source_names_[source_id];
  const auto known = std::find(sources_.begin(), sources_.end(), name);
  if (known != sources_.end()) return static_cast<std::uint32_t>(known - sources_.begin());
  sources_.push_back(name);
  return static_cast<std::uint32_t>(sources_.size() - 1);
}

void StreamJoin::snapshot(std::string& out) const {
  put_u8(out, kVersion);
  put_text(out, plan_->definition);
  put_signed(out, watermark_);
  put_signed(out, newest_);
  put_signed(out, silence_limit_);
  put_signed(out, at_);
  put_varint(out, next_number_);
  put_varint(out, sources_.size());
  for (const std::string& source : sources_) put_text(out, source);
  for (const SideState& state : sides_) {
    put_signed(out, state.watermark);
    put_signed(out, state.clock);
    put_u8(out, static_cast<std::uint8_t>(state.pace));
    state.rows.snapshot(out);
  }
}

Result<RestoredJoin> StreamJoin::restore(std::string_view snapshot) {
  const auto corrupt = [this](std::string_view what) {
    return fail(ErrorCode::corrupt, fmt::format("join {}: {}", plan_->options.name.text, what));
  };
  ByteReader in(snapshot);
  const std::uint8_t version = in.u8();
  if (!in.ok()) return corrupt("empty");
  if (version == 0 || version > kVersion)
    return corrupt(fmt::format("version {} is not known", version));
  const bool same = in.text() == plan_->definition;
  watermark_ = in.signed_varint();
  newest_ = in.signed_varint();
  if (version > 1) {
    silence_limit_ = in.signed_varint();
    at_ = in.signed_varint();
  }
  next_number_ = in.varint();
  for (std::size_t n = in.count(); n != 0 && in.ok(); --n) sources_.emplace_back(in.text());
  std::size_t forgotten = 0;
  for (SideState& state : sides_) {
    state.watermark = in.signed_varint();
    state.clock = in.signed_varint();
    const std::uint8_t pace = in.u8();
    if (pace > static_cast<std::uint8_t>(Pace::over)) return corrupt("damaged");
    state.pace = static_cast<Pace>(pace);
    if (!state.rows.restore(in, sources_.size())) return corrupt("damaged");
    if (same) continue;
    forgotten += state.rows.size();
    // Its clock may be another stream's.
    state.rows = PendingRows();
    state.watermark = state.clock = kMinTimestamp;
    state.pace = Pace::silent;
  }
  if (!in.ok() || !in.at_end()) return corrupt("damaged");
  if (!same) silence_limit_ = kMinTimestamp;
  return RestoredJoin{pending(), forgotten};
}

}  // namespace streamobs::window

#include "app/outbound.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "event/row_json.h"
#include "event/value.h"
#include "event/window_result.h"

namespace streamobs::app {

namespace {

std::optional<std::string> key_of(const EventBatch& batch, std::size_t row,
                                  const std::vector<std::size_t>& columns) {
  if (columns.empty()) return std::nullopt;
  std::vector<Value> values;
  for (const std::size_t column : columns) {
    values.push_back(Value::from(batch.columns[column].view(), row));
  }
  return key_text(values);
}

/// Counted as under way for as long as somebody has the record.
class Charge {
 public:
  Charge(std::atomic<std::uint64_t>& total, std::uint64_t bytes) : total_(total), bytes_(bytes) {
    total_.fetch_add(bytes_, std::memory_order_relaxed);
  }
  ~Charge() { total_.fetch_sub(bytes_, std::memory_order_relaxed); }
  Charge(const Charge&) = delete;
  Charge& operator=(const Charge&) = delete;

 private:
  std::atomic<std::uint64_t>& total_;
  const std::uint64_t bytes_;
};

}  // namespace

Outbound::Outbound(const PlannedStream& stream, std::atomic<std::uint64_t>& bytes_under_way,
                   bool to_sinks)
    : stream_(stream),
      to_sinks_(to_sinks && !stream.outbound.empty()),
      bytes_under_way_(bytes_under_way) {
  if (stream.filter != nullptr) filter_.emplace(stream.filter);
}

void Outbound::process(const EventBatch& batch, Records& out) {
  // What is replayed was looked at in an earlier life.
  const bool shown = feed_ != nullptr && feed_->wanted() && !batch.counted_before;
  if (!to_sinks_ && !shown) return;
  select(batch);
  if (rows_.empty()) return;
  if (to_sinks_) send(batch, out);
  if (shown) show(batch);
}

void Outbound::show(const EventBatch& batch) {
  const std::size_t count = feed_->admit(rows_.size(), std::chrono::steady_clock::now());
  if (count == 0) return;
  std::vector<std::string> events;
  events.reserve(count);
  // The middle one of each of so many equal parts.
  for (std::size_t i = 0; i < count; ++i) {
    events.push_back(row_to_json(batch, rows_[(2 * i + 1) * rows_.size() / (2 * count)]));
  }
  feed_->show(events);
}

void Outbound::send(const EventBatch& batch, Records& out) {
  for (const PlannedOutbound& sink : stream_.outbound) {
    auto events = std::make_shared<OutboundEvents>();
    events->position = batch.stamp.sequence;
    events->sink = sink.sink;
    events->events.reserve(rows_.size());
    for (const std::uint32_t row : rows_) {
      events->events.push_back({key_of(batch, row, sink.key), row_to_json(batch, row)});
    }
    events->charge = std::make_shared<const Charge>(bytes_under_way_, bytes_of(*events));
    out.emplace_back(std::move(events));
  }
}

/// The rows of the batch that the stream counts.
void Outbound::select(const EventBatch& batch) {
  rows_.clear();
  const auto excluded = [&](std::size_t row) {
    return !batch.excluded.empty() && batch.excluded[row] != 0;
  };
  if (filter_) filter_->set_lookups(batch.lookups);
  for (std::size_t begin = 0; begin < batch.rows; begin += expr::Evaluator::kMaxRows) {
    const std::size_t count = std::min(expr::Evaluator::kMaxRows, batch.rows - begin);
    const ColumnView* wanted = nullptr;
    if (filter_) {
      inputs_.clear();
      batch.append_views(begin, inputs_);
      filter_->run(inputs_, count, batch.origin.received_at);
      wanted = &filter_->output(0);
    }
    for (std::size_t i = 0; i < count; ++i) {
      const bool passes = wanted == nullptr || (!wanted->is_null(i) && wanted->bool_at(i));
      if (passes && !excluded(begin + i)) rows_.push_back(static_cast<std::uint32_t>(begin + i));
    }
  }
}

}  // namespace streamobs::app

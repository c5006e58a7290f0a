#include "window/row_finisher.h"

#include <limits>

namespace streamobs::window {

namespace {

/// `value` must stay where it is while the column is in use: text is only pointed at.
void append(Column& column, const Value& value) {
  column.nulls.push_back(value.null ? 1 : 0);
  column.has_nulls = column.has_nulls || value.null;
  switch (column.type.kind) {
    case Kind::boolean:
      column.bools.push_back(static_cast<std::uint8_t>(value.integer));
      break;
    case Kind::floating:
      column.floats.push_back(value.floating);
      break;
    case Kind::string:
    case Kind::map:
      column.strings.push_back(value.text);
      break;
    default:
      column.ints.push_back(value.integer);
  }
}

/// A damaged snapshot may say anything of where a session begins.
Duration length_of(const WindowRow& row) {
  Duration length = 0;
  const bool overflows = __builtin_sub_overflow(row.end, row.start, &length);
  return overflows ? std::numeric_limits<Duration>::max() : length;
}

}  // namespace

RowFinisher::RowFinisher(const WindowPlan& plan)
    : plan_(plan),
      evaluator_(plan.select),
      columns_(plan.key_types.size() + plan.aggregates.size()),
      texts_(plan.aggregates.size()),
      views_(columns_.size()) {
  for (std::size_t i = 0; i < plan.key_types.size(); ++i) columns_[i].type = plan.key_types[i];
  for (std::size_t i = 0; i < plan.aggregates.size(); ++i) {
    columns_[plan.key_types.size() + i].type = plan.aggregates[i].type;
  }
}

void RowFinisher::finish(std::span<WindowRow> rows, std::span<const std::byte* const> groups,
                         Timestamp now) {
  const std::size_t keys = plan_.key_types.size();
  for (Column& column : columns_) column.clear();
  for (std::size_t k = 0; k < keys; ++k) {
    for (const WindowRow& row : rows) append(columns_[k], row.keys[k]);
  }
  for (std::size_t i = 0; i < plan_.aggregates.size(); ++i) {
    const AggregatePlan& aggregate = plan_.aggregates[i];
    const AccumulatorPlan& a = plan_.accumulators[aggregate.accumulator];
    std::vector<Value>& values = texts_[i];
    values.clear();
    values.reserve(rows.size());
    for (std::size_t r = 0; r < rows.size(); ++r) {
      values.push_back(window::finish(aggregate.finish, a.kind, a.type, groups[r] + a.offset,
                                      aggregate.parameter, length_of(rows[r]), sums_over_));
      append(columns_[keys + i], values.back());
    }
  }
  for (std::size_t c = 0; c < columns_.size(); ++c) views_[c] = columns_[c].view();
  evaluator_.run(views_, rows.size(), now);
  for (std::size_t r = 0; r < rows.size(); ++r) {
    rows[r].metrics.clear();
    rows[r].metrics.reserve(plan_.schema->metrics.size());
    for (std::size_t m = 0; m < plan_.schema->metrics.size(); ++m) {
      rows[r].metrics.push_back(Value::from(evaluator_.output(m), r));
      // SQLite knows no -0.0: a row says the same wherever it is read.
      rows[r].metrics.back().floating += 0.0;
    }
  }
}

}  // namespace streamobs::window

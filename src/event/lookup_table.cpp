#include "event/lookup_table.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/time_format.h"
#include "event/value.h"

namespace streamobs {

void LookupKey::add(const ColumnView& column, std::size_t row) {
  switch (column.type.kind) {
    case Kind::boolean:
      put_u8(bytes_, column.bool_at(row) ? 1 : 0);
      break;
    case Kind::string:
      if (single_) {
        bytes_ += column.string_at(row);
      } else {
        put_text(bytes_, column.string_at(row));
      }
      break;
    default:
      put_u64(bytes_, static_cast<std::uint64_t>(column.int_at(row)));
      break;
  }
}

LookupTable::LookupTable(const LookupSchema& schema, EventBatch rows)
    : schema_(schema), rows_(std::move(rows)) {
  rows_.append_views(0, views_);
}

Result<std::shared_ptr<const LookupTable>> LookupTable::make(
    const LookupSchema& schema, EventBatch rows,
    const std::function<std::string(std::size_t)>& row_name) {
  std::shared_ptr<LookupTable> table(new LookupTable(schema, std::move(rows)));
  const std::size_t count = table->rows();
  std::vector<std::string> keys(count);
  std::vector<Timestamp> since(count, kMinTimestamp);
  LookupKey key(schema.keys.size() == 1);
  for (std::size_t row = 0; row < count; ++row) {
    key.clear();
    for (const std::size_t column : schema.keys) {
      if (table->views_[column].is_null(row)) {
        return fail(ErrorCode::invalid, fmt::format("{} has no {}, which is part of the key",
                                                    row_name(row), schema.columns[column].name));
      }
      key.add(table->views_[column], row);
    }
    keys[row] = key.bytes();
    // Without a time it has held for ever.
    if (schema.valid_from && !table->views_[*schema.valid_from].is_null(row)) {
      since[row] = table->views_[*schema.valid_from].int_at(row);
    }
  }
  std::vector<std::uint32_t>& order = table->order_;
  order.resize(count);
  std::iota(order.begin(), order.end(), std::uint32_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return std::tie(keys[a], since[a]) < std::tie(keys[b], since[b]);
  });
  std::size_t bytes = 0;
  for (const std::string& one : keys) bytes += one.size();
  table->keys_.reserve(bytes);  // Views into it are kept.
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t row = order[i];
    const bool known = i > 0 && keys[order[i - 1]] == keys[row];
    if (known && since[order[i - 1]] == since[row]) {
      std::string named;
      for (const std::size_t column : schema.keys) {
        named += named.empty() ? "" : ", ";
        named += Value::from(table->views_[column], row).to_string();
      }
      if (since[row] != kMinTimestamp) named += " from " + to_rfc3339(since[row]);
      return fail(ErrorCode::invalid, fmt::format("{} and {} are both for {}",
                                                  row_name(order[i - 1]), row_name(row), named));
    }
    table->valid_from_.push_back(since[row]);
    const auto at = static_cast<std::uint32_t>(i);
    if (known) {
      const std::string_view last =
          std::string_view(table->keys_).substr(table->keys_.size() - keys[row].size());
      table->index_[last].end = at + 1;
      continue;
    }
    const std::size_t begin = table->keys_.size();
    table->keys_ += keys[row];
    table->index_[std::string_view(table->keys_).substr(begin)] = {at, at + 1};
  }
  return std::shared_ptr<const LookupTable>(std::move(table));
}

std::size_t LookupTable::find(std::string_view key, Timestamp at) const {
  const auto found = index_.find(key);
  if (found == index_.end()) return kNone;
  const Range range = found->second;
  if (!schema_.valid_from) return order_[range.begin];
  const auto begin = valid_from_.begin() + range.begin;
  const auto end = valid_from_.begin() + range.end;
  const auto behind = std::upper_bound(begin, end, at);
  if (behind == begin) return kNone;
  return order_[static_cast<std::size_t>(behind - valid_from_.begin()) - 1];
}

}  // namespace streamobs

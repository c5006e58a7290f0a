#include "store/rollup.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "base/log.h"
#include "base/time_format.h"

namespace streamobs::store {

Result<> Rollup::load(const Connection& connection, Timestamp removed_until) {
  Result<Statement> select = connection.prepare(
      "SELECT window_start, _key, clearing, finer FROM streamobs_progress WHERE name = ?1");
  if (select.has_error()) return select.error();
  const std::string name = coarser_.table();
  select->bind(1, std::string_view(name));
  const Result<bool> any = select->step();
  if (any.has_error()) return any.error();
  at_ = *any ? Place{select->int_at(0), select->text_at(1)} : Place();
  clearing_ = *any && select->int_at(2) != 0;
  if (*any && select->text_at(3) != finer_.table()) {
    // How far another table had been read says nothing of this one within a day. The day is merged
    // anew; where it is not there whole any more, what was merged of it stays as it is.
    const Timestamp day = floor_to(at_.start, kDay);
    const bool whole = day >= removed_until;
    at_ = {whole ? day : day + kDay, {}};
    clearing_ = clearing_ || whole;
  }
  merged_until_ = floor_to(at_.start, step_);
  return {};
}

Result<> Rollup::save(const Connection& connection) const {
  Result<Statement> replace = connection.prepare(
      "INSERT OR REPLACE INTO streamobs_progress (name, window_start, _key, clearing, finer) "
      "VALUES (?1, ?2, ?3, ?4, ?5)");
  if (replace.has_error()) return replace.error();
  const std::string name = coarser_.table();
  replace->bind(1, std::string_view(name));
  replace->bind(2, at_.start);
  replace->bind(3, std::string_view(at_.key));
  replace->bind(4, std::int64_t{clearing_});
  const std::string finer = finer_.table();
  replace->bind(5, std::string_view(finer));
  return replace->run();
}

Result<> Rollup::go_back(const Connection& connection, Timestamp start) {
  at_ = {start, {}};  // Before the first key of it.
  clearing_ = true;
  merged_until_ = std::min(merged_until_, start);
  return save(connection);
}

Result<std::size_t> Rollup::advance(const Connection& connection, const StateMerger& merger,
                                    Timestamp complete, std::size_t rows_max) {
  if (clearing_) {
    const Result<std::size_t> cleared =
        coarser_.remove(connection, at_.start, kMaxTimestamp, rows_max);
    if (cleared.has_error() || *cleared != 0) return cleared;
    clearing_ = false;
    if (const Result<> saved = save(connection); saved.has_error()) return saved.error();
  }
  Result<std::vector<WindowRow>> rows =
      finer_.rows_behind(connection, at_.start, at_.key, complete, rows_max);
  if (rows.has_error()) return rows.error();
  const std::size_t count = rows->size();
  if (count == 0) {
    merged_until_ = std::max(merged_until_, floor_to(complete, step_));
    return count;
  }
  at_ = {rows->back().start, WindowTable::key_of(rows->back())};
  const Result<> merged = merge(connection, merger, std::move(*rows));
  if (merged.has_error()) return merged.error();
  if (const Result<> saved = save(connection); saved.has_error()) return saved.error();
  merged_until_ = std::max(merged_until_, floor_to(at_.start, step_));
  return count;
}

Result<> Rollup::merge(const Connection& connection, const StateMerger& merger,
                       std::vector<WindowRow> rows) {
  std::map<std::pair<Timestamp, std::string>, std::vector<WindowRow>> groups;
  for (WindowRow& row : rows) {
    // Of hopping windows, those that follow one another without overlap.
    const WindowSchema& schema = finer_.schema();
    const bool overlaps = schema.step() != schema.size && row.start % schema.size != 0;
    if (overlaps) continue;
    std::string key = WindowTable::key_of(row);
    groups[{floor_to(row.start, step_), std::move(key)}].push_back(std::move(row));
  }
  for (const auto& [place, parts] : groups) {
    const auto& [start, key] = place;
    Result<std::optional<WindowRow>> there = coarser_.find(connection, start, key);
    if (there.has_error()) return there.error();
    WindowRow into;
    if (*there) {
      into = std::move(**there);
    } else {
      into.start = start;
      into.end = start + step_;
      into.overflow = parts.front().overflow;
      into.keys = parts.front().keys;
    }
    // One that lacks a part stays without figures: those of a part would pass for the whole.
    if (*there && into.state.empty()) continue;
    for (const WindowRow& part : parts) into.revision = std::max(into.revision, part.revision);
    into.closed = std::all_of(parts.begin(), parts.end(), [](const WindowRow& part) {
      return part.closed && !part.state.empty();
    });
    if (into.closed) {
      const Result<> merged = merger.merge(finer_.schema(), into, parts);
      if (merged.has_error() && merged.error().code != ErrorCode::invalid) return merged;
      into.closed = merged.has_value();
      if (merged.has_error() && !std::exchange(told_, true)) {
        log::warn(
            "rows that were counted under a config with other aggregates are not merged: hours and "
            "days with such rows have no figures; the rows stay for as long as rows are kept",
            {{"window", finer_.schema().window}, {"first", to_rfc3339(parts.front().start)}});
      }
    }
    if (!into.closed) {
      into.state.clear();
      into.metrics.clear();
      for (const ResultColumn& metric : coarser_.schema().metrics) {
        into.metrics.push_back(Value::of_null(metric.type));
      }
    }
    if (const Result<> written = coarser_.write(into); written.has_error()) return written;
  }
  return {};
}

}  // namespace streamobs::store

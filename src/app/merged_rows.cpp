#include "app/merged_rows.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "base/duration.h"
#include "base/time_format.h"
#include "window/state.h"

namespace streamobs::app {

namespace {

Timestamp floor_to(Timestamp t, Duration step) {
  const Timestamp rest = t % step;
  return t - (rest < 0 ? rest + step : rest);
}

class Merging {
 public:
  Merging(const window::StreamWindowsPlan& plan, std::size_t window, const WindowSchema& schema,
          const serve::MergeQuery& query, Timestamp newest_end)
      : plan_(plan), window_(window), schema_(schema), query_(query), newest_end_(newest_end) {}

  /// Rows come newest first. False: no more are wanted, or there was an error.
  bool take(const WindowRow& row) {
    // Of hopping windows, those that tile time: no event is in two of them.
    const bool tile = schema_.step() == schema_.size || row.start % schema_.size == 0;
    if (query_.step != 0 && !tile) return true;
    const Timestamp start = query_.step == 0 ? row.start : floor_to(row.start, query_.step);
    if (!groups_.empty() && start != start_) finish_window();
    if (error_ || full()) return false;
    start_ = start;
    end_ = query_.step == 0 ? row.end : start + query_.step;
    const Result<> added = add(row);
    if (added.has_error()) error_ = added.error();
    return !error_;
  }

  Result<std::vector<WindowRow>> finish() {
    if (!error_ && !groups_.empty() && !full()) finish_window();
    if (error_) return *error_;
    return std::move(rows_);
  }

 private:
  struct Group {
    WindowRow row;
    window::WindowState state;
  };

  bool full() const {
    return rows_.size() >= query_.rows.limit ||
           (query_.rows.windows && windows_ >= *query_.rows.windows);
  }

  Result<> add(const WindowRow& row) {
    if (row.state.empty()) {
      return fail(ErrorCode::invalid,
                  fmt::format("the window {} of {} was stored before it had closed and cannot be "
                              "merged; leave it out by from or to, or ask without step, by and "
                              "quantile",
                              to_rfc3339(row.start), schema_.window));
    }
    Result<window::WindowState> state = window::WindowState::decode(row.state);
    if (state.has_error()) return state.error();
    WindowRow merged;
    merged.start = start_;
    merged.end = end_;
    merged.revision = row.revision;
    merged.closed = row.closed && end_ <= newest_end_;
    // Of all keys together, those beyond max_keys are a part like the others.
    merged.overflow = row.overflow && !query_.by.empty();
    for (const std::size_t key : query_.by) merged.keys.push_back(row.keys[key]);
    std::string identity = merged.overflow ? std::string("*") : key_bytes(merged.keys);
    if (!merged.overflow) identity.insert(0, 1, 'k');
    const auto found = groups_.find(identity);
    if (found == groups_.end()) {
      if (groups_.size() == kMergedGroupsMax) {
        return fail(ErrorCode::invalid,
                    fmt::format("more than {} groups in one window; ask for some keys only, or by "
                                "fewer of them",
                                kMergedGroupsMax));
      }
      groups_.emplace(std::move(identity), Group{std::move(merged), std::move(*state)});
      return {};
    }
    Group& group = found->second;
    group.row.revision = std::max(group.row.revision, merged.revision);
    group.row.closed = group.row.closed && merged.closed;
    if (group.state.merge(*state).has_value()) return {};
    return fail(ErrorCode::invalid,
                fmt::format("the rows of window {} up to {} were counted under a config with other "
                            "aggregates and cannot be merged with later ones; ask for the time "
                            "behind it, by from, or before it, by to",
                            schema_.window, to_rfc3339(row.start)));
  }

  void finish_window() {
    std::vector<WindowRow> rows;
    for (auto& [identity, group] : groups_) {
      const Result<> done = read(group);
      if (done.has_error()) {
        error_ = done.error();
        return;
      }
      rows.push_back(std::move(group.row));
    }
    groups_.clear();
    std::sort(rows.begin(), rows.end(), [](const WindowRow& a, const WindowRow& b) {
      if (a.overflow != b.overflow) return b.overflow;
      for (std::size_t i = 0; i < a.keys.size(); ++i) {
        if (const int order = compare(a.keys[i], b.keys[i]); order != 0) return order < 0;
      }
      return false;
    });
    for (WindowRow& row : rows) {
      if (rows_.size() == query_.rows.limit) break;
      rows_.push_back(std::move(row));
    }
    ++windows_;
  }

  /// The metrics and quantiles of a group.
  Result<> read(Group& group) const {
    std::vector<Value> keys;
    for (const ResultColumn& key : schema_.keys) keys.push_back(Value::of_null(key.type));
    for (std::size_t i = 0; i < query_.by.size(); ++i) keys[query_.by[i]] = group.row.keys[i];
    Result<std::vector<Value>> metrics =
        group.state.metrics(plan_, window_, keys, group.row.start, group.row.end);
    if (metrics.has_error()) {
      return fail(ErrorCode::invalid,
                  fmt::format("the rows of window {} at {} were counted under a config with other "
                              "aggregates and cannot be read by this one; ask for the time behind "
                              "it, by from, or without step, by and quantile",
                              schema_.window, to_rfc3339(group.row.start)));
    }
    group.row.metrics = std::move(*metrics);
    for (const serve::MergeQuery::Quantile& quantile : query_.quantiles) {
      Result<Value> value =
          group.state.finish(quantile.accumulator, window::Finish::quantile, quantile.parameter, 0);
      if (value.has_error()) return value.error();
      group.row.metrics.push_back(std::move(*value));
    }
    return {};
  }

  const window::StreamWindowsPlan& plan_;
  const std::size_t window_;
  const WindowSchema& schema_;
  const serve::MergeQuery& query_;
  const Timestamp newest_end_;
  std::map<std::string, Group> groups_;  ///< Of the merged window at start_.
  Timestamp start_ = 0;
  Timestamp end_ = 0;
  std::size_t windows_ = 0;
  std::vector<WindowRow> rows_;
  std::optional<Error> error_;
};

/// What cannot be merged whatever the rows are.
Result<> check(const PlannedWindow& window, const window::StreamWindowsPlan& plan,
               std::size_t index, const serve::MergeQuery& query) {
  if (query.step != 0 && !window.options.timezone.empty()) {
    return fail(ErrorCode::invalid,
                fmt::format("step: windows of {} are days of {}, which are not all as long; ask "
                            "without step",
                            window.schema->window, window.options.timezone));
  }
  const bool all_keys = query.by.size() == window.schema->keys.size();
  if (window.options.gap != 0 && (query.step != 0 || !all_keys)) {
    return fail(ErrorCode::invalid,
                fmt::format("{}: {} are sessions, each as long as its key made it, and cannot be "
                            "merged; ask without it, or a window of one size",
                            query.step != 0 ? "step" : "by", window.schema->window));
  }
  for (std::size_t key = 0; key < window.schema->keys.size(); ++key) {
    const bool kept = std::find(query.by.begin(), query.by.end(), key) != query.by.end();
    if (kept || !window::select_reads_key(plan, index, key)) continue;
    return fail(
        ErrorCode::invalid,
        fmt::format("by: a metric of {} is computed from the key {}, so it has no value over "
                    "several of them; keep {} in by",
                    window.schema->window, window.schema->keys[key].name,
                    window.schema->keys[key].name));
  }
  return {};
}

}  // namespace

Result<std::vector<WindowRow>> merged_rows(const Plan& plan, const store::Database& database,
                                           const serve::MergeQuery& query) {
  for (const PlannedStream& stream : plan.streams) {
    for (std::size_t i = 0; i < stream.window_ids.size(); ++i) {
      const PlannedWindow& window = plan.windows[stream.window_ids[i]];
      if (window.schema->window != query.rows.window) continue;
      if (const Result<> fit = check(window, *stream.windows, i, query); fit.has_error()) {
        return fit.error();
      }
      const Result<Timestamp> newest_end = database.newest_end(query.rows.window);
      if (newest_end.has_error()) return newest_end.error();
      Merging merging(*stream.windows, i, *window.schema, query, *newest_end);
      store::WindowQuery rows = query.rows;
      rows.windows.reset();
      rows.limit = std::numeric_limits<std::size_t>::max();
      // Windows are merged whole, or their figures would be those of a part.
      if (query.step != 0 && rows.from) rows.from = floor_to(*rows.from, query.step);
      if (query.step != 0 && rows.to) rows.to = floor_to(*rows.to - 1, query.step) + query.step;
      const auto take = [&merging](const WindowRow& row) { return merging.take(row); };
      const Result<> scanned = database.scan_windows(rows, take);
      if (scanned.has_error()) return scanned.error();
      return merging.finish();
    }
  }
  return fail(ErrorCode::not_found, fmt::format("there is no window '{}'", query.rows.window));
}

}  // namespace streamobs::app

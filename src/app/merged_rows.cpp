#include "app/merged_rows.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "app/state_merging.h"
#include "base/time_format.h"
#include "window/state.h"

namespace streamobs::app {

namespace {

class Merging {
 public:
  Merging(const WindowOfPlan& of, const serve::MergeQuery& query, Timestamp newest_end)
      : plan_(*of.stream),
        window_(of.index),
        schema_(*of.window->schema),
        query_(query),
        newest_end_(newest_end) {}

  /// Rows come newest first. False: no more are wanted, or there was an error.
  bool take(const WindowRow& row) {
    // Of hopping windows, those that tile time: no event is in two of them.
    const bool tile = schema_.step() == schema_.size || row.start % schema_.size == 0;
    if (query_.step != 0 && !tile) return true;
    const Timestamp start = query_.step == 0 ? row.start : store::floor_to(row.start, query_.step);
    if (!groups_.empty() && start != start_) finish_window();
    if (error_ || full()) return false;
    start_ = start;
    end_ = query_.step == 0 ? row.end : start + query_.step;
    const Result<> added = add(row);
    if (added.has_error()) error_ = added.error();
    return !error_;
  }

  /// No more rows are wanted.
  bool done() const { return error_ || full(); }

  Result<std::vector<WindowRow>> finish() {
    if (!error_ && !groups_.empty() && !full()) finish_window();
    if (error_) return *error_;
    // Where nothing at all can be told, at least why.
    if (told_ == 0 && !why_lacking_.empty()) return fail(ErrorCode::invalid, why_lacking_);
    return std::move(rows_);
  }

 private:
  struct Group {
    WindowRow row;
    std::optional<window::WindowState> state;  ///< None: it lacks a part, so it has no figures.
    std::vector<Value> stored;                 ///< Metrics of its only row, as they stand there.
    std::size_t parts = 1;
  };

  bool full() const {
    return rows_.size() >= query_.rows.limit ||
           (query_.rows.windows && windows_ >= *query_.rows.windows);
  }

  /// The row's accumulators; none where it cannot be merged, which is noted.
  std::optional<window::WindowState> state_of(const WindowRow& row) {
    if (row.state.empty() || !row.closed) {
      lacking(
          fmt::format("the window {} of {} is not whole (stored before it had closed, or "
                      "counted under several configs) and cannot be merged; leave it out by "
                      "from or to, or ask without step, by and quantile",
                      to_rfc3339(row.start), schema_.window));
      return std::nullopt;
    }
    Result<window::WindowState> state = window::WindowState::decode(row.state);
    if (state.has_value()) return std::move(*state);
    lacking(fmt::format("the window {} of {} cannot be read ({}); leave it out by from or to",
                        to_rfc3339(row.start), schema_.window, state.error().message));
    return std::nullopt;
  }

  void lacking(std::string why) {
    if (why_lacking_.empty()) why_lacking_ = std::move(why);
  }

  Result<> add(const WindowRow& row) {
    std::optional<window::WindowState> state = state_of(row);
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
      groups_.emplace(std::move(identity),
                      Group{std::move(merged), std::move(state), row.metrics, 1});
      return {};
    }
    Group& group = found->second;
    ++group.parts;
    group.row.revision = std::max(group.row.revision, merged.revision);
    group.row.closed = group.row.closed && merged.closed;
    if (!group.state) return {};
    if (state && group.state->merge(*state).has_value()) return {};
    group.state.reset();
    lacking(
        fmt::format("the rows of window {} up to {} were counted under a config with other "
                    "aggregates and cannot be merged with later ones; ask for the time "
                    "behind it, by from, or before it, by to",
                    schema_.window, to_rfc3339(row.start)));
    return {};
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
  Result<> read(Group& group) {
    std::vector<Value> keys;
    for (const ResultColumn& key : schema_.keys) keys.push_back(Value::of_null(key.type));
    for (std::size_t i = 0; i < query_.by.size(); ++i) keys[query_.by[i]] = group.row.keys[i];
    std::optional<std::vector<Value>> metrics;
    if (group.state) {
      auto read = group.state->metrics(plan_, window_, keys, group.row.start, group.row.end);
      const bool as_it_is =
          group.parts == 1 && query_.quantiles.empty() && query_.by.size() == schema_.keys.size();
      if (read.has_value()) {
        metrics = std::move(*read);
      } else if (as_it_is) {
        metrics = std::move(group.stored);
      }
    }
    if (!metrics) {
      lacking(
          fmt::format("the rows of window {} at {} were counted under a config with other "
                      "aggregates and cannot be read by this one; ask for the time behind "
                      "it, by from, or without step, by and quantile",
                      schema_.window, to_rfc3339(group.row.start)));
      leave_without_figures(group.row);
      return {};
    }
    ++told_;
    group.row.metrics = std::move(*metrics);
    for (const serve::MergeQuery::Quantile& quantile : query_.quantiles) {
      Result<Value> value = group.state->finish(quantile.accumulator, window::Finish::quantile,
                                                quantile.parameter, 0);
      if (value.has_error()) return value.error();
      group.row.metrics.push_back(std::move(*value));
    }
    return {};
  }

  /// Those of a part would pass for the whole.
  void leave_without_figures(WindowRow& row) const {
    row.closed = false;
    for (const ResultColumn& metric : schema_.metrics) {
      row.metrics.push_back(Value::of_null(metric.type));
    }
    const Value none = Value::of_null({Kind::floating, 0});
    row.metrics.insert(row.metrics.end(), query_.quantiles.size(), none);
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
  std::size_t told_ = 0;     ///< Groups with figures.
  std::string why_lacking_;  ///< Of the first that has none.
  std::vector<WindowRow> rows_;
  std::optional<Error> error_;
};

/// What cannot be merged whatever the rows are.
Result<> check(const WindowOfPlan& of, const serve::MergeQuery& query) {
  const PlannedWindow& window = *of.window;
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
    if (kept || !window::select_reads_key(*of.stream, of.index, key)) continue;
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

namespace {

/// Rows of one resolution that a question is answered from: of windows that start in [from, to).
struct Stretch {
  store::Resolution resolution;
  Timestamp from;
  Timestamp to;
};

/// The newest first. Merging is adding up, so it does not matter where one ends within a step.
std::vector<Stretch> stretches_of(const store::Database& database, const serve::MergeQuery& query) {
  using store::Resolution;
  std::vector<Stretch> stretches;
  Timestamp to = kMaxTimestamp;
  Resolution finer = Resolution::raw;
  for (const auto& [resolution, length] :
       {std::pair{Resolution::hourly, kHour}, std::pair{Resolution::daily, kDay}}) {
    if (query.step == 0 || query.step % length != 0) continue;
    const Timestamp until = database.reach(query.rows.window, resolution).merged_until;
    if (until == kMinTimestamp) continue;
    stretches.push_back({finer, until, to});
    finer = resolution;
    to = until;
  }
  // Rows go by whole days, which a step may be longer than, or not divide: one that some are gone
  // of is not told.
  Timestamp from = kMinTimestamp;
  const Timestamp removed = database.reach(query.rows.window, finer).removed_until;
  if (query.step != 0 && removed != kMinTimestamp) {
    from = store::floor_to(removed + query.step - 1, query.step);
  }
  stretches.push_back({finer, from, to});
  return stretches;
}

/// Windows are merged whole, or their figures would be those of a part.
store::WindowQuery whole_windows(const serve::MergeQuery& query) {
  store::WindowQuery rows = query.rows;
  if (query.step != 0 && rows.from) rows.from = store::floor_to(*rows.from, query.step);
  if (query.step != 0 && rows.to) {
    rows.to = store::floor_to(*rows.to - 1, query.step) + query.step;
  }
  return rows;
}

}  // namespace

Result<serve::MergedRows> merged_rows(const Plan& plan, const store::Database& database,
                                      const serve::MergeQuery& query) {
  const std::optional<WindowOfPlan> found = find_window(plan, query.rows.window);
  if (!found) {
    return fail(ErrorCode::not_found, fmt::format("there is no window '{}'", query.rows.window));
  }
  if (const Result<> fit = check(*found, query); fit.has_error()) return fit.error();
  const Result<Timestamp> newest_end = database.newest_end(query.rows.window);
  if (newest_end.has_error()) return newest_end.error();
  Merging merging(*found, query, *newest_end);
  const store::WindowQuery rows = whole_windows(query);
  serve::MergedRows out;
  for (const Stretch& stretch : stretches_of(database, query)) {
    store::WindowQuery part = rows;
    part.from = std::max(rows.from.value_or(kMinTimestamp), stretch.from);
    part.to = std::min(rows.to.value_or(kMaxTimestamp), stretch.to);
    if (*part.from >= *part.to) continue;
    bool any = false;
    const auto take = [&merging, &any](const WindowRow& row) {
      any = true;
      return merging.take(row);
    };
    const Result<> scanned = database.scan_windows(part, stretch.resolution, take);
    if (scanned.has_error()) return scanned.error();
    if (any) out.resolutions.push_back(stretch.resolution);
    if (merging.done()) break;
  }
  Result<std::vector<WindowRow>> merged = merging.finish();
  if (merged.has_error()) return merged.error();
  out.rows = std::move(*merged);
  return out;
}

Result<std::vector<WindowRow>> added_rows(const Plan& plan,
                                          const std::vector<const store::Database*>& databases,
                                          const serve::MergeQuery& query) {
  const std::optional<WindowOfPlan> found = find_window(plan, query.rows.window);
  if (!found) {
    return fail(ErrorCode::not_found, fmt::format("there is no window '{}'", query.rows.window));
  }
  if (const Result<> fit = check(*found, query); fit.has_error()) return fit.error();
  Timestamp least_end = kMaxTimestamp;
  std::vector<WindowRow> rows;
  for (const store::Database* database : databases) {
    const Result<Timestamp> newest_end = database->newest_end(query.rows.window);
    if (newest_end.has_error()) return newest_end.error();
    least_end = std::min(least_end, *newest_end);
    const auto take = [&rows](const WindowRow& row) {
      rows.push_back(row);
      return true;
    };
    const Result<> scanned =
        database->scan_windows(whole_windows(query), store::Resolution::raw, take);
    if (scanned.has_error()) return scanned.error();
  }
  std::stable_sort(rows.begin(), rows.end(),
                   [](const WindowRow& a, const WindowRow& b) { return a.start > b.start; });
  Merging merging(*found, query, least_end);
  for (const WindowRow& row : rows) {
    if (!merging.take(row)) break;
  }
  return merging.finish();
}

}  // namespace streamobs::app

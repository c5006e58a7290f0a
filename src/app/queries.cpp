#include "app/queries.h"

#include <optional>
#include <utility>

#include "app/merged_rows.h"

namespace streamobs::app {

asio::awaitable<Result<std::vector<WindowRow>>> Queries::window_rows(store::WindowQuery query) {
  const auto remember = [this, &query] { return database_.recent_rows(query); };
  std::optional<std::vector<WindowRow>> recent = co_await memory_.run(remember);
  Result<std::vector<WindowRow>> rows = std::vector<WindowRow>();
  if (recent) {
    rows = std::move(*recent);
  } else {
    const auto ask = [this, &query] { return database_.window_rows(query); };
    rows = co_await pool_.run(ask);
  }
  co_return rows;
}

asio::awaitable<Result<std::vector<Timestamp>>> Queries::window_starts(store::WindowQuery query) {
  const auto ask = [this, &query] { return database_.window_starts(query); };
  Result<std::vector<Timestamp>> starts = co_await pool_.run(ask);
  co_return starts;
}

asio::awaitable<Result<serve::MergedRows>> Queries::merged_rows(serve::MergeQuery query) {
  const auto ask = [this, &query] { return app::merged_rows(plan_, database_, query); };
  Result<serve::MergedRows> rows = co_await pool_.run(ask);
  co_return rows;
}

Duration Queries::step_for(const store::WindowQuery& query) const {
  using store::Resolution;
  const auto reaches = [this, &query](Resolution resolution) {
    return database_.reach(query.window, resolution).removed_until <= *query.from;
  };
  if (!query.from || reaches(Resolution::raw)) return 0;
  const bool hours =
      database_.reach(query.window, Resolution::hourly).merged_until != kMinTimestamp;
  const bool days = database_.reach(query.window, Resolution::daily).merged_until != kMinTimestamp;
  if (hours && (reaches(Resolution::hourly) || !days)) return kHour;
  return days ? kDay : 0;
}

asio::awaitable<Result<std::vector<Anomaly>>> Queries::anomalies(store::ListQuery query) {
  const auto ask = [this, &query] { return database_.anomalies(query); };
  Result<std::vector<Anomaly>> rows = co_await pool_.run(ask);
  co_return rows;
}

asio::awaitable<Result<std::vector<Incident>>> Queries::incidents(store::ListQuery query) {
  const auto ask = [this, &query] { return database_.incidents(query); };
  Result<std::vector<Incident>> rows = co_await pool_.run(ask);
  co_return rows;
}

asio::awaitable<Result<std::vector<store::StoredDeadLetter>>> Queries::dead_letters(
    store::DeadLetterQuery query) {
  const auto ask = [this, &query] { return database_.dead_letters(query); };
  Result<std::vector<store::StoredDeadLetter>> rows = co_await pool_.run(ask);
  co_return rows;
}

asio::awaitable<Result<std::vector<store::DeadLetterCount>>> Queries::dead_letter_counts() {
  const auto ask = [this] { return database_.dead_letter_counts(); };
  Result<std::vector<store::DeadLetterCount>> rows = co_await pool_.run(ask);
  co_return rows;
}

}  // namespace streamobs::app

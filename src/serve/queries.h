// What the API asks of stored results; implemented by the app over the store, on the blocking pool.
//
// Outlives the HTTP server. Called on the strand of the asking connection, which goes on there.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/result.h"
#include "event/anomaly.h"
#include "event/window_result.h"
#include "flow/asio.h"
#include "store/database.h"
#include "store/query.h"

namespace streamobs::serve {

/// A window's closed rows merged from their accumulators, over time and over keys.
struct MergeQuery {
  MergeQuery() = default;  // Not an aggregate: g++ 12 destroys those twice in a co_await.

  struct Quantile {
    std::string name;             ///< As it was asked for.
    std::size_t accumulator = 0;  ///< A sketch: its index in the schema's accumulators.
    double parameter = 0;
  };

  /// `windows` and `limit` are those of the merged rows.
  store::WindowQuery rows;
  std::vector<std::size_t> by;  ///< The schema's keys that are kept, in the order of the answer.
  Duration step = 0;            ///< A multiple of the window's size; 0: windows as they are.
  std::vector<Quantile> quantiles;
};

struct MergedRows {
  std::vector<WindowRow> rows;
  std::vector<store::Resolution> resolutions;  ///< What they were made of, the finest first.
};

class Queries {
 public:
  virtual ~Queries() = default;

  /// Newest first; rows of one window start by key.
  virtual asio::awaitable<Result<std::vector<WindowRow>>> window_rows(store::WindowQuery query) = 0;
  /// When the windows start that have a row of the query: the newest `windows`, newest first.
  virtual asio::awaitable<Result<std::vector<Timestamp>>> window_starts(
      store::WindowQuery query) = 0;
  /// The same of merged rows. Their keys are those of `by`; behind the window's metrics stand the
  /// quantiles. `invalid`: what cannot be merged, and the way out.
  virtual asio::awaitable<Result<MergedRows>> merged_rows(MergeQuery query) = 0;
  /// The step that reaches back to where a query begins, if rows as they closed no longer do;
  /// else 0. At once, on any strand.
  virtual Duration step_for(const store::WindowQuery& query) const = 0;
  virtual asio::awaitable<Result<std::vector<Anomaly>>> anomalies(store::ListQuery query) = 0;
  virtual asio::awaitable<Result<std::vector<Incident>>> incidents(store::ListQuery query) = 0;
  virtual asio::awaitable<Result<std::vector<store::StoredDeadLetter>>> dead_letters(
      store::DeadLetterQuery query) = 0;
  /// By stream and reason, since start.
  virtual asio::awaitable<Result<std::vector<store::DeadLetterCount>>> dead_letter_counts() = 0;
};

}  // namespace streamobs::serve

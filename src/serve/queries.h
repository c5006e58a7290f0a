// What the API asks of stored results; implemented by the app over the store, on the blocking pool.
//
// Outlives the HTTP server. Called on the strand of the asking connection, which goes on there.
#pragma once

#include <vector>

#include "base/result.h"
#include "event/anomaly.h"
#include "event/window_result.h"
#include "flow/asio.h"
#include "store/database.h"
#include "store/query.h"

namespace streamobs::serve {

class Queries {
 public:
  virtual ~Queries() = default;

  /// Newest first; rows of one window start by key.
  virtual asio::awaitable<Result<std::vector<WindowRow>>> window_rows(store::WindowQuery query) = 0;
  virtual asio::awaitable<Result<std::vector<Anomaly>>> anomalies(store::ListQuery query) = 0;
  virtual asio::awaitable<Result<std::vector<Incident>>> incidents(store::ListQuery query) = 0;
  virtual asio::awaitable<Result<std::vector<store::StoredDeadLetter>>> dead_letters(
      store::DeadLetterQuery query) = 0;
  /// By stream and reason, since start.
  virtual asio::awaitable<Result<std::vector<store::DeadLetterCount>>> dead_letter_counts() = 0;
};

}  // namespace streamobs::serve

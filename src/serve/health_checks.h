// What the API asks of the engine's checks; implemented by the app (app/health_watch).
//
// Outlives the HTTP server. Called on the strand of the asking connection, which goes on there.
#pragma once

#include "flow/asio.h"
#include "health/report.h"

namespace streamobs::serve {

class HealthChecks {
 public:
  virtual ~HealthChecks() = default;

  /// What was found when the checks were made last.
  virtual health::Report report() = 0;
  /// Makes the quick checks, and tells what there is then.
  virtual asio::awaitable<health::Report> check_now() = 0;
};

}  // namespace streamobs::serve

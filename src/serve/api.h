// The HTTP API of docs/api.md: queries, live events, health, metrics.
//
// Routes are added at wiring time. What the context refers to must outlive the HTTP server; its
// callbacks are called on the strands of connections, any number at once.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "http/router.h"
#include "serve/config_reload.h"
#include "serve/health_checks.h"
#include "serve/letter_replay.h"
#include "serve/live_hub.h"
#include "serve/open_windows.h"
#include "serve/options.h"
#include "serve/queries.h"
#include "serve/state.h"
#include "telemetry/registry.h"

namespace streamobs::serve {

struct ApiContext {
  std::string version;
  Timestamp started_at = 0;
  const Clock* clock = nullptr;
  telemetry::Registry* registry = nullptr;
  Queries* queries = nullptr;
  LetterReplay* letter_replay = nullptr;
  HealthChecks* health = nullptr;
  ConfigReload* reload = nullptr;  ///< Null: whoever embeds the engine gives it its config.
  OpenWindows* open_windows = nullptr;
  LiveHub* live = nullptr;

  std::vector<StreamInfo> streams;
  std::vector<WindowInfo> windows;
  std::vector<RowSource> views;
  std::vector<EndpointOptions> endpoints;  ///< Of windows and views there are.

  /// One for each stream; those that are missing are shown with nothing received.
  std::function<std::vector<StreamState>()> stream_states;
  std::function<PipelineState()> pipeline;
  /// Why events are not taken just now; nothing when they are.
  std::function<std::optional<std::string>()> not_ready;
};

void add_api_routes(http::Router& router, ApiContext context);

}  // namespace streamobs::serve

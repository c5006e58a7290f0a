// GET and POST /api/v1/health: what the engine's checks have found.
#pragma once

#include "base/json_writer.h"
#include "health/report.h"
#include "http/exchange.h"
#include "serve/api.h"

namespace streamobs::serve {

/// The object of docs/api.md.
void write(JsonWriter& json, const health::Report& report);

asio::awaitable<void> show_health(const ApiContext& context, http::Exchange& exchange);
asio::awaitable<void> check_health(const ApiContext& context, http::Exchange& exchange);

}  // namespace streamobs::serve

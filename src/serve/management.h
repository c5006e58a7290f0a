// Health, metrics and version: what machines ask. Private to src/serve; see api.h.
#pragma once

#include "http/exchange.h"
#include "serve/api.h"

namespace streamobs::serve {

asio::awaitable<void> show_alive(const ApiContext& context, http::Exchange& exchange);
asio::awaitable<void> show_ready(const ApiContext& context, http::Exchange& exchange);
asio::awaitable<void> show_metrics(const ApiContext& context, http::Exchange& exchange);
asio::awaitable<void> show_version(const ApiContext& context, http::Exchange& exchange);

}  // namespace streamobs::serve

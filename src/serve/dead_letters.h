// Dead letters in the API: listed, downloaded, replayed. Handlers of add_api_routes().
#pragma once

#include "serve/api.h"

namespace streamobs::serve {

asio::awaitable<void> list_dead_letters(const ApiContext& context, http::Exchange& exchange);
asio::awaitable<void> replay_dead_letters(const ApiContext& context, http::Exchange& exchange);

}  // namespace streamobs::serve

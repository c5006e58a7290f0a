// What is asked of an endpoint that the config declares: the question of a window's rows
// (window_query.h), under the config's own names and with its defaults.
#pragma once

#include "base/result.h"
#include "serve/api.h"
#include "serve/options.h"
#include "serve/window_query.h"

namespace streamobs::serve {

/// `invalid`: a parameter is missing, given twice, none of the endpoint's, or makes no sense.
Result<RowsQuestion> read_endpoint_question(const QueryParameters& parameters,
                                            const EndpointOptions& endpoint,
                                            const RowSource& source);

asio::awaitable<void> show_endpoint(const ApiContext& context, const EndpointOptions& endpoint,
                                    const RowSource& source, http::Exchange& exchange);

}  // namespace streamobs::serve

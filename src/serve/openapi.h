// What the HTTP API takes and gives, as an OpenAPI 3.1 description: GET /api/v1/openapi.json.
//
// Made once from a table and the names of the config; a test holds it against the router.
#pragma once

#include <string>

#include "serve/api.h"

namespace streamobs::serve {

std::string openapi_description(const ApiContext& context);

}  // namespace streamobs::serve

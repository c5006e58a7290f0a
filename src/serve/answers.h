// What the API's handlers answer with. Free functions; any strand.
#pragma once

#include <string>

#include "base/result.h"
#include "http/exchange.h"

namespace streamobs::serve {

/// The problem that an error of a question is.
http::Response failed(const Error& error);
http::Response json_response(std::string body);

}  // namespace streamobs::serve

// Asks a running engine over HTTP, for commands that have it do something. Blocks; for the command
// line only.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace streamobs::app {

struct ApiTarget {
  std::string host = "127.0.0.1";  ///< Without brackets.
  std::uint16_t port = 8080;
  std::string token;  ///< Empty: none.

  std::string authority() const;  ///< "HOST:PORT", an IPv6 address in brackets.
};

/// "http://HOST:PORT".
Result<ApiTarget> parse_api_target(const std::string& url);
/// Where an engine that listens on `listen` ("0.0.0.0:8080") is found on this machine.
Result<ApiTarget> target_of_listen(const std::string& listen);

/// The body of the answer 200 to a POST without a body, or to a GET. `unavailable`: nobody answers
/// there, or the engine cannot just now. `invalid`: it refused; the message has its words.
Result<std::string> post_to_api(const ApiTarget& target, const std::string& path);
Result<std::string> get_from_api(const ApiTarget& target, const std::string& path);

/// A text as the value of a query parameter.
std::string url_encoded(const std::string& text);

}  // namespace streamobs::app

// The address to listen on, and whether it is safe to.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "http/options.h"

namespace streamobs::config {

struct ListenAddress {
  std::string host;  ///< An IP address without brackets; "localhost" is 127.0.0.1.
  std::uint16_t port = 0;
  bool loopback = false;
};

/// "127.0.0.1:8080", "[::1]:8080", "localhost:0". The error says what is wrong and what would do.
Result<ListenAddress> parse_listen(std::string_view text);

/// What is wrong with `http.listen`, given the token and `insecure`.
struct ListenProblem {
  std::string message;
  std::string hint;
};
std::optional<ListenProblem> check_listen(const http::HttpOptions& http);

}  // namespace streamobs::config

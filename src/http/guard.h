// Who may speak to us: the allowed Host names, the origins of pages, the token.
//
// A page from elsewhere must not reach an engine on localhost through its visitor's browser:
// neither by a name that points here (Host), nor by a request across origins (Origin,
// Sec-Fetch-Site). One Guard per server, made once the address is known, read-only after; any
// strand.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/head.h"
#include "http/options.h"

namespace streamobs::http {

/// "host", "host:port", "[::1]:port". Nothing: it is not well-formed.
struct Authority {
  std::string_view host;  ///< With the brackets of an IPv6 address.
  std::string_view port;  ///< Empty: none given.
  bool address = false;   ///< An IP address, not a name.
};
std::optional<Authority> parse_authority(std::string_view text);

class Guard {
 public:
  /// `listen_host` as in the config, with brackets for IPv6. When it is the wildcard, any IP
  /// address is allowed as Host too: only names can be made to point here by somebody else.
  Guard(const HttpOptions& options, std::string listen_host, bool wildcard);

  /// Refuses (400, 421) a Host that is malformed or not ours. Names of ours pass with any port, so
  /// that tunnels and mapped ports work; an allowed host given with a port needs just that port.
  std::optional<Refusal> check_host(std::string_view host) const;
  /// Refuses (403) a request that a page of another origin sent.
  std::optional<Refusal> check_origin(const Head& head) const;
  /// True where no token is set, or `head` bears it. Takes the same time for every wrong one.
  bool check_token(const Head& head) const;

 private:
  using Digest = std::array<unsigned char, 32>;

  std::vector<std::string> hosts_;
  bool wildcard_ = false;
  std::optional<Digest> token_;
};

}  // namespace streamobs::http

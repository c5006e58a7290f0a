#include "config/listen.h"

#include <arpa/inet.h>
#include <charconv>
#include <cstring>

#include <fmt/format.h>

namespace streamobs::config {

namespace {

bool is_loopback_v4(std::string_view host) {
  return host.starts_with("127.");
}

bool is_loopback_v6(const in6_addr& address) {
  in6_addr loopback = IN6ADDR_LOOPBACK_INIT;
  if (std::memcmp(&address, &loopback, sizeof(address)) == 0) return true;
  return IN6_IS_ADDR_V4MAPPED(&address) && address.s6_addr[12] == 127;
}

Error bad_listen(std::string_view text, std::string_view why) {
  return fail(ErrorCode::invalid, fmt::format("\"{}\" {}", text, why));
}

}  // namespace

Result<ListenAddress> parse_listen(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || text.ends_with(']')) {
    return bad_listen(text, "has no port");
  }
  ListenAddress out;
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), out.port);
  if (port.empty() || error != std::errc() || end != port.data() + port.size()) {
    return bad_listen(text, "has no valid port: it is a number from 0 (any free one) to 65535");
  }
  if (host.empty()) return bad_listen(text, "has no address before the port");
  if (host == "localhost") host = "127.0.0.1";
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  out.host = host;
  in_addr v4{};
  in6_addr v6{};
  if (!bracketed && inet_pton(AF_INET, out.host.c_str(), &v4) == 1) {
    out.loopback = is_loopback_v4(host);
  } else if (inet_pton(AF_INET6, out.host.c_str(), &v6) == 1) {
    if (!bracketed) {
      return bad_listen(text, fmt::format("is ambiguous: write [{}]:{}", host, out.port));
    }
    out.loopback = is_loopback_v6(v6);
  } else {
    return bad_listen(text, "is not an IP address with a port");
  }
  return out;
}

std::optional<ListenProblem> check_listen(const http::HttpOptions& http) {
  const Result<ListenAddress> address = parse_listen(http.listen.text);
  if (!address) {
    return ListenProblem{"listen: " + address.error().message,
                         "for example \"127.0.0.1:8080\", \"[::1]:8080\" or \"localhost:0\""};
  }
  if (address->loopback) return std::nullopt;
  if (http.token.empty()) {
    return ListenProblem{
        fmt::format("listen: {} can be reached from other machines, and there is no token",
                    address->host),
        "set token = \"env:NAME\" and insecure = true (there is no TLS yet), or listen on "
        "127.0.0.1 behind a proxy"};
  }
  if (!http.insecure) {
    return ListenProblem{
        fmt::format("listen: {} can be reached from other machines, and there is no TLS yet",
                    address->host),
        "token and events would cross the network in the clear: if that is acceptable there, say "
        "insecure = true; else listen on 127.0.0.1 behind a TLS proxy"};
  }
  return std::nullopt;
}

}  // namespace streamobs::config

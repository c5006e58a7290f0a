#include "http/guard.h"

#include <algorithm>

#include <openssl/crypto.h>
#include <openssl/sha.h>

namespace streamobs::http {

namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_hex(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}
bool is_name_char(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '.' ||
         c == '_';
}

std::array<unsigned char, 32> digest_of(std::string_view text) {
  std::array<unsigned char, 32> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  return digest;
}

}  // namespace

std::optional<Authority> parse_authority(std::string_view text) {
  Authority out;
  std::size_t end = 0;
  if (!text.empty() && text.front() == '[') {
    end = text.find(']');
    if (end == std::string_view::npos || end < 3) return std::nullopt;
    const std::string_view inner = text.substr(1, end - 1);
    const bool plausible = std::all_of(inner.begin(), inner.end(),
                                       [](char c) { return is_hex(c) || c == ':' || c == '.'; });
    if (!plausible) return std::nullopt;
    ++end;
    out.address = true;
  } else {
    while (end < text.size() && is_name_char(text[end])) ++end;
    if (end == 0) return std::nullopt;
    out.address = std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(end),
                              [](char c) { return is_digit(c) || c == '.'; });
  }
  out.host = text.substr(0, end);
  if (end == text.size()) return out;
  out.port = text.substr(end + 1);
  if (text[end] != ':' || out.port.empty() || out.port.size() > 5 ||
      !std::all_of(out.port.begin(), out.port.end(), is_digit)) {
    return std::nullopt;
  }
  return out;
}

Guard::Guard(const HttpOptions& options, std::string listen_host, bool wildcard)
    : hosts_{"localhost", "127.0.0.1", "[::1]", std::move(listen_host)}, wildcard_(wildcard) {
  hosts_.insert(hosts_.end(), options.allowed_hosts.begin(), options.allowed_hosts.end());
  if (!options.token.empty()) token_ = digest_of(options.token);
}

std::optional<Refusal> Guard::check_host(std::string_view host) const {
  const auto authority = parse_authority(host);
  if (!authority) return Refusal{400, "the Host field is not a host with an optional port"};
  if (wildcard_ && authority->address) return std::nullopt;
  for (const std::string& allowed : hosts_) {
    if (equals_ignoring_case(authority->host, allowed) || equals_ignoring_case(host, allowed)) {
      return std::nullopt;
    }
  }
  return Refusal{421, "this server does not answer to that Host; add it to [http] allowed_hosts"};
}

std::optional<Refusal> Guard::check_origin(const Head& head) const {
  const Refusal foreign{403, "requests from pages of another origin are not taken"};
  const auto site = head.find("sec-fetch-site");
  if (site && !equals_ignoring_case(*site, "same-origin") && !equals_ignoring_case(*site, "none")) {
    return foreign;
  }
  const auto origin = head.find("origin");
  if (!origin) return std::nullopt;
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (equals_ignoring_case(origin->substr(0, scheme.size()), scheme) &&
        equals_ignoring_case(origin->substr(scheme.size()), head.host)) {
      return std::nullopt;
    }
  }
  return foreign;
}

bool Guard::check_token(const Head& head) const {
  if (!token_) return true;
  const auto authorization = head.find("authorization");
  constexpr std::string_view kScheme = "bearer ";
  if (!authorization || !equals_ignoring_case(authorization->substr(0, kScheme.size()), kScheme)) {
    return false;
  }
  std::string_view given = authorization->substr(kScheme.size());
  given.remove_prefix(std::min(given.find_first_not_of(' '), given.size()));
  // Digests have one length, so that neither length nor content shows in the time.
  const Digest digest = digest_of(given);
  return CRYPTO_memcmp(digest.data(), token_->data(), digest.size()) == 0;
}

}  // namespace streamobs::http

#include "http/upgrade.h"

#include <algorithm>
#include <string>
#include <string_view>

#include <fmt/format.h>

namespace streamobs::http {

namespace {

/// Whether a field that is a list of tokens, perhaps spread over several lines, has this one.
bool lists(const Head& head, std::string_view name, std::string_view token) {
  for (const HeaderField& field : head.fields) {
    if (!equals_ignoring_case(field.name, name)) continue;
    std::string_view rest = field.value;
    while (!rest.empty()) {
      const std::size_t comma = std::min(rest.find(','), rest.size());
      std::string_view one = rest.substr(0, comma);
      rest.remove_prefix(std::min(comma + 1, rest.size()));
      while (!one.empty() && (one.front() == ' ' || one.front() == '\t')) one.remove_prefix(1);
      while (!one.empty() && (one.back() == ' ' || one.back() == '\t')) one.remove_suffix(1);
      if (equals_ignoring_case(one, token)) return true;
    }
  }
  return false;
}

/// 16 bytes in base64: 22 characters, of which the last one has four bits to spare, and "==".
bool is_key(std::string_view text) {
  constexpr std::size_t kLength = 24;
  if (text.size() != kLength || text.substr(kLength - 2) != "==") return false;
  const auto is_base64 = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '+' ||
           c == '/';
  };
  return std::all_of(text.begin(), text.end() - 2, is_base64);
}

}  // namespace

bool wants_web_socket(const Head& head) {
  return lists(head, "upgrade", "websocket");
}

std::optional<Refusal> check_handshake(const Head& head) {
  const auto bad = [](std::string_view what) {
    return Refusal{400, fmt::format("not the handshake of a WebSocket: {}", what)};
  };
  if (head.method != "GET" || !head.http_1_1) return bad("it is a GET of HTTP/1.1");
  if (!lists(head, "connection", "upgrade")) return bad("Connection does not say Upgrade");
  if (head.has_body()) return bad("it has a body");
  const auto versions =
      std::count_if(head.fields.begin(), head.fields.end(), [](const HeaderField& field) {
        return equals_ignoring_case(field.name, "sec-websocket-version");
      });
  if (versions != 1 || head.find("sec-websocket-version") != "13") {
    return Refusal{426, "Sec-WebSocket-Version must be 13"};
  }
  const auto keys =
      std::count_if(head.fields.begin(), head.fields.end(), [](const HeaderField& field) {
        return equals_ignoring_case(field.name, "sec-websocket-key");
      });
  if (keys != 1 || !is_key(*head.find("sec-websocket-key"))) {
    return bad("Sec-WebSocket-Key is not one value of 16 bytes in base64");
  }
  return std::nullopt;
}

}  // namespace streamobs::http

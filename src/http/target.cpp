#include "http/target.h"

#include <cstdint>

namespace streamobs::http {

namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    std::size_t more = 0;
    std::uint32_t code = 0;
    std::uint32_t least = 0;
    if (lead < 0x80) {
      ++i;
      continue;
    }
    if (lead >= 0xc2 && lead < 0xe0) {
      more = 1, code = lead & 0x1fU, least = 0x80;
    } else if (lead >= 0xe0 && lead < 0xf0) {
      more = 2, code = lead & 0x0fU, least = 0x800;
    } else if (lead >= 0xf0 && lead < 0xf5) {
      more = 3, code = lead & 0x07U, least = 0x10000;
    } else {
      return false;
    }
    if (i + more >= text.size()) return false;
    for (std::size_t k = 1; k <= more; ++k) {
      const auto next = static_cast<unsigned char>(text[i + k]);
      if ((next & 0xc0U) != 0x80) return false;
      code = code << 6U | (next & 0x3fU);
    }
    if (code < least || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return false;
    i += more + 1;
  }
  return true;
}

/// Decodes into `storage`, which has room for it. Nothing: the encoding is broken.
std::optional<std::string_view> decode(std::string_view text, bool plus_is_space,
                                       std::string& storage) {
  const bool plain = text.find('%') == std::string_view::npos &&
                     (!plus_is_space || text.find('+') == std::string_view::npos);
  if (plain) return text;
  const std::size_t start = storage.size();
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      if (i + 2 >= text.size()) return std::nullopt;
      const int high = hex_digit(text[i + 1]);
      const int low = hex_digit(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      c = static_cast<char>(high * 16 + low);
      i += 2;
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return std::nullopt;
    } else if (c == '+' && plus_is_space) {
      c = ' ';
    }
    storage += c;
  }
  const std::string_view decoded = std::string_view(storage).substr(start);
  if (!is_utf8(decoded)) return std::nullopt;
  return decoded;
}

const Refusal kBadEncoding{400, "the target is not well percent-encoded UTF-8"};

std::optional<Refusal> parse_path(Target& target) {
  std::string_view rest = target.path.substr(1);
  if (rest.empty()) return std::nullopt;
  while (true) {
    const std::size_t slash = rest.find('/');
    const auto segment = decode(rest.substr(0, slash), false, target.storage);
    if (!segment) return kBadEncoding;
    target.segments.push_back(*segment);
    if (slash == std::string_view::npos) return std::nullopt;
    rest.remove_prefix(slash + 1);
  }
}

std::optional<Refusal> parse_query(std::string_view text, Target& target) {
  while (!text.empty()) {
    const std::size_t end = text.find('&');
    const std::string_view pair = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (pair.empty()) continue;
    if (target.query.size() == kQueryParametersMax) {
      return Refusal{400, "more than 64 query parameters"};
    }
    const std::size_t equals = pair.find('=');
    const auto name = decode(pair.substr(0, equals), true, target.storage);
    const auto value =
        decode(equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1),
               true, target.storage);
    if (!name || !value) return kBadEncoding;
    target.query.emplace_back(*name, *value);
  }
  return std::nullopt;
}

}  // namespace

std::optional<Refusal> parse_target(std::string_view text, std::string_view host, Target& target) {
  target.segments.clear();
  target.query.clear();
  target.storage.clear();
  for (const char c : text) {
    if (c <= ' ' || c > '~' || c == '#') {
      return Refusal{400, "the target holds a byte that must be percent-encoded"};
    }
  }
  if (text.empty() || text.front() != '/') {
    constexpr std::string_view kScheme = "http://";
    if (!equals_ignoring_case(text.substr(0, kScheme.size()), kScheme)) {
      return Refusal{400, "the target must be a path that begins with /"};
    }
    text.remove_prefix(kScheme.size());
    const std::size_t end = text.find_first_of("/?");
    if (!equals_ignoring_case(text.substr(0, end), host)) {
      return Refusal{400, "the target names another host than the Host field"};
    }
    text = end == std::string_view::npos ? std::string_view("/") : text.substr(end);
  }
  target.storage.reserve(text.size());
  const std::size_t mark = text.find('?');
  target.path = text.substr(0, mark);
  if (target.path.empty()) target.path = "/";
  if (auto refusal = parse_path(target)) return refusal;
  if (mark == std::string_view::npos) return std::nullopt;
  return parse_query(text.substr(mark + 1), target);
}

}  // namespace streamobs::http

// The target of a request taken apart: path segments and query parameters, percent-decoded.
//
// A Target looks into the text it was parsed from, or into its own storage where something had to
// be decoded; it belongs to one connection and is reused. Synchronous, no I/O.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/head.h"

namespace streamobs::http {

struct Target {
  std::string_view path;                   ///< As received, without the query.
  std::vector<std::string_view> segments;  ///< "/v1/events/a%20b" → v1, events, "a b"; "/" → none.
  std::vector<std::pair<std::string_view, std::string_view>> query;  ///< In order; `+` is a space.

  std::string storage;  ///< What had to be decoded; reserved once, so that views stay good.
};

/// At most this many query parameters are taken.
inline constexpr std::size_t kQueryParametersMax = 64;

/// Takes origin form, and absolute form if it names `host`. Refuses (400) anything else, bad
/// percent-encoding, encoded control bytes and bytes that are not UTF-8.
std::optional<Refusal> parse_target(std::string_view text, std::string_view host, Target& target);

}  // namespace streamobs::http

// [endpoint."GET /path"]: an address of the user's own, answered with the rows of a window.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/source_text.h"

namespace streamobs::serve {

inline constexpr std::size_t kRowsMax = 100'000;  ///< Of one answer.

/// What GET /api/v1/windows/{name} takes besides the window's keys. A key that is called like one
/// of them is meant by key.NAME.
inline constexpr std::string_view kWindowParameters[] = {
    "from", "to", "windows", "latest", "limit", "metrics", "step", "by", "quantile", "format"};

/// A query parameter of an endpoint.
struct EndpointParameter {
  SourceText name;
  SourceText of;  ///< The parameter of the window that it stands for: most often a key.
  bool required = false;
};

struct EndpointOptions {
  enum class Shape : std::uint8_t { list, object };
  enum class Order : std::uint8_t { newest_first, oldest_first };

  SourceText name;  ///< "GET /v1/metrics", as in the config.
  std::string path;
  SourceText window;
  std::vector<EndpointParameter> parameters;
  Shape shape = Shape::object;
  Order order = Order::newest_first;
  /// Only the newest so many windows, where the request does not say how much it wants; 0: as many
  /// as `limit` lets through.
  std::size_t windows = 0;
  std::size_t limit = 1'000;  ///< Rows, where the request does not say.
};

}  // namespace streamobs::serve

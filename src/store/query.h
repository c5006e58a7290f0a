// What can be asked of stored results. Filled from the API's parameters.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"

namespace streamobs::store {

struct WindowQuery {
  std::string window;
  std::optional<Timestamp> from;       ///< Window starts from here on, inclusive.
  std::optional<Timestamp> to;         ///< Window starts before this.
  std::optional<std::size_t> windows;  ///< Only the newest N distinct windows.
  std::size_t limit = 1'000;           ///< Rows.
  std::vector<std::pair<std::string, std::string>> keys;  ///< name = value, compared as text.
};

/// Of anomalies, incidents and dead letters.
struct ListQuery {
  std::optional<Timestamp> from;
  std::optional<Timestamp> to;
  std::size_t limit = 100;
  std::vector<std::pair<std::string, std::string>> equal;  ///< reason, stream, severity, a key …
};

}  // namespace streamobs::store

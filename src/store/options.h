// [store]: the SQLite database in the data directory.
#pragma once

#include <cstddef>
#include <string>

#include "base/clock.h"

namespace streamobs::store {

struct StoreOptions {
  std::string path;  ///< DATA_DIR/streamobs.db; a file, never ":memory:".
  std::size_t rows_per_transaction = 1'000;
  Duration busy_timeout = 5 * kSecond;  ///< How long one try waits for another process.
  Duration keep_dead_letters = 14 * kDay;
};

}  // namespace streamobs::store

// Which log the results in a database come from, and up to which position of it they are in: the
// one row of streamobs_log, with a check sum of its own.
//
// Plain values and functions; on the connection's thread.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "store/sqlite.h"

namespace streamobs::store {

struct LogPosition {
  std::uint64_t log_id = 0;   ///< 0: none yet.
  std::uint64_t applied = 0;  ///< What positions up to this one gave rise to is in; 0: nothing.
};

/// SQLite has no check sums of its own, and a wrong position would lose results or count them
/// twice without anybody's noticing. Part of the file's format: never to be changed.
std::int64_t check_sum(const LogPosition& position);

/// Whether the results in a database (`bound`: log_id) come from the log beside it; `invalid`, with
/// the way out, where they do not. One that is bound to none yet may be bound to any.
Result<> check_log_id(const std::string& database, std::uint64_t bound, std::uint64_t log);

/// `corrupt` where it is not as it was written.
Result<LogPosition> read_log_position(const Connection& connection);

}  // namespace streamobs::store

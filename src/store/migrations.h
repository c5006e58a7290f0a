// The database's own tables, and the steps from each version of them to the next.
//
// A step, once released, never changes; a new one is appended. PRAGMA user_version counts them. The
// windows' tables follow the config and are not part of this.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "store/sqlite.h"

namespace streamobs::store {

/// The database's version, 0 for a new one. A newer one than this program's is refused (`invalid`):
/// it is not damaged, and nothing in it may be touched.
Result<std::int64_t> check_version(const Connection& connection);
/// The version that this program's migrate() brings a database to.
std::int64_t newest_version();
/// Brings the database to this program's version, within the caller's transaction.
Result<> migrate(const Connection& connection);

}  // namespace streamobs::store

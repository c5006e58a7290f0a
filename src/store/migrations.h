// The database's own tables, and the steps from each version of them to the next.
//
// A step, once released, never changes; a new one is appended. PRAGMA user_version counts them. The
// windows' tables follow the config and are not part of this.
#pragma once

#include "base/result.h"
#include "store/sqlite.h"

namespace streamobs::store {

/// Brings the database to this program's version in one transaction. A newer one is refused.
Result<> migrate(const Connection& connection);

}  // namespace streamobs::store

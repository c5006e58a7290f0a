// Tables and views that somebody else has made in the database, where one of ours has its place:
// they are theirs, and neither dropped nor written to. Free functions on the writing connection.
#pragma once

#include <string>

#include "base/result.h"
#include "store/sqlite.h"

namespace streamobs::store {

/// Drops our view of that name, if there is one. Invalid, naming both, where something stands there
/// that we have not made. `whose`: who needs the name, as "window sales".
Result<> drop_own_view(const Connection& connection, const std::string& name,
                       const std::string& whose);

/// Whether our table of that name is there; windows' tables are known by their columns. Invalid
/// where something else is.
Result<bool> has_own_table(const Connection& connection, const std::string& name,
                           const std::string& whose);

}  // namespace streamobs::store

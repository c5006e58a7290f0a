// A damaged database: remembered when it is found, set aside at the next start.
//
// Damage shows itself in the middle of a run, when a statement first meets the bad page; opening
// the file again may well succeed. So a note is left beside the database, and whoever opens it next
// begins a new one instead of running into the same page for ever. Free functions; for the one who
// holds the data directory.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace streamobs::store {

/// Leaves the note. Where not even that can be written, the log says so.
void note_damage(const std::string& database, std::string_view what);

bool damage_noted(const std::string& database);

/// Moves the database and its journal to streamobs.db.corrupt-TIME, says so loudly, and takes the
/// note away. `io` where the files cannot be moved.
Result<> set_aside(const std::string& database, std::string_view why);

}  // namespace streamobs::store

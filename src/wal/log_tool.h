// What stands behind `streamobs wal inspect | verify | repair`: looks at a log that no engine has
// open (inspect and verify may also look beside one), says in words what is there and what is
// wrong, and cuts what cannot be mended.
//
// Plain functions that block; one thread. They hand what they have to say to `print`, line by line.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/file_system.h"
#include "base/result.h"

namespace streamobs::wal {

using Print = std::function<void(std::string_view line)>;

struct InspectOptions {
  bool records = false;  ///< One line for each record between the two as well.
  std::uint64_t from_sequence = 1;
  std::uint64_t to_sequence = ~std::uint64_t{0};
};

/// Lists segments: form, first and last record, bytes, records by type. Damage is shown where it
/// stands and is no error here. `not_found` where there is no log.
Result<> inspect(FileSystem& files, const std::string& directory, const InspectOptions& options,
                 const Print& print);

/// What the files beside the log know of it.
struct Known {
  /// The first record that recovery reads: the one behind the checkpoint that it would take.
  std::uint64_t needed_from = 1;
  std::uint64_t checkpoint = 0;  ///< Position of the newest checkpoint; 0: there is none.
  std::uint64_t database = 0;    ///< The results up to this record are in the database.

  std::uint64_t durable() const { return std::max(checkpoint, database); }
};

/// Reads every record. `corrupt` (exit 74) where something is wrong; each place has been printed
/// then, with whether recovery needs it. A torn tail is mentioned and no error: the next start
/// saves it aside and cuts it.
Result<> verify(FileSystem& files, const std::string& directory, const Known& known,
                const Print& print);

struct RepairOptions {
  bool yes = false;  ///< Without it: say what would be done and lost, and do nothing.
  Known known;
};

/// What a repair leaves, or would leave.
struct RepairOutcome {
  bool damaged = false;  ///< There was something to do.
  std::uint64_t first_sequence = 1;
  std::uint64_t last_sequence = 0;  ///< Less than the first: the log is empty.
};

/// Takes out what is damaged. Where recovery does not need it, the log is made to begin behind the
/// damage, as trimming would have it, and only history is lost. Behind the newest checkpoint the
/// log is cut before the damage, and everything behind it is lost as well. `corrupt`, and nothing
/// more is done, where neither will do: a log that ends before the checkpoint is one that the
/// engine does not start with. What is taken out is kept below `directory`/damaged-N/. Says which
/// records are lost. Can be repeated after a crash.
Result<RepairOutcome> repair(FileSystem& files, const std::string& directory,
                             const RepairOptions& options, const Print& print);

}  // namespace streamobs::wal

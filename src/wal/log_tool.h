// What stands behind `streamobs wal inspect | verify | repair`: looks at a log that no engine has
// open (inspect and verify may also look beside one), says in words what is there and what is
// wrong, and cuts what cannot be mended.
//
// Plain functions that block; one thread. They hand what they have to say to `print`, line by line.
#pragma once

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

/// Reads every record. `corrupt` (exit 74) where something is wrong; each place has been printed
/// then. A torn tail is mentioned and no error: the next start saves it aside and cuts it.
/// `known_durable`: the newest record that checkpoint and database know of.
Result<> verify(FileSystem& files, const std::string& directory, std::uint64_t known_durable,
                const Print& print);

struct RepairOptions {
  bool yes = false;  ///< Without it: say what would be done and lost, and do nothing.
  /// Recovery needs the log from this record on (the older checkpoint's position + 1); 0: unknown,
  /// which means from its beginning.
  std::uint64_t needed_from = 0;
};

/// Takes out what is damaged. Where recovery does not need it, the log is made to begin behind the
/// damage, and only history is lost; otherwise the log is cut there, and everything behind it is
/// lost as well. What is taken out is kept below `directory`/damaged-N/. Says which records are
/// lost. Can be repeated after a crash. `invalid` where there is something to do and yes is false.
Result<> repair(FileSystem& files, const std::string& directory, const RepairOptions& options,
                const Print& print);

}  // namespace streamobs::wal

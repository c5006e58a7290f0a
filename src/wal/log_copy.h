// Copies what recovery needs of the log and the checkpoints, beside an engine that goes on writing
// both: the files alone are looked at, no lock is taken and nothing is changed. What was copied has
// been read back and every checksum tested when a function returns.
//
// An engine replaces checkpoints, seals segments and removes old ones meanwhile. A segment that was
// sealed is found in its new form; where something needed has gone, the answer is `unavailable`,
// and whoever asks starts again from the newest checkpoint there is then.
//
// Plain functions that block; one thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/file_copy.h"
#include "base/file_system.h"
#include "base/result.h"

namespace streamobs::wal {

struct CheckpointCopy {
  std::uint64_t generation = 0;  ///< 0: there is no checkpoint, and nothing was copied.
  std::uint64_t log_id = 0;
  std::uint64_t position = 0;
  /// Why newer ones (all of them, with generation 0) could not be used, one sentence each.
  std::vector<std::string> passed_over;
};

/// Copies the newest sound checkpoint in `from` into the directory `to`, which is made.
Result<CheckpointCopy> copy_newest_checkpoint(FileSystem& files, const std::string& from,
                                              const std::string& to, const OnBytes& on_bytes);

struct LogCopyOptions {
  /// The first record needed; 0: the oldest there is.
  std::uint64_t from_sequence = 0;
  /// The newest record that checkpoint and database know of.
  std::uint64_t known_durable = 0;
};

struct LogCopy {
  std::uint64_t log_id = 0;
  std::uint64_t first_sequence = 0;  ///< Oldest record in the copy …
  std::uint64_t last_sequence = 0;   ///< … and the newest; one less if it holds none.
};

/// Copies the log in `from` into the directory `to`, which is made: whole segments from the one
/// that holds the first record needed, and the last one up to its last whole record. All records
/// that were written before the call are in the copy. `not_found` where there is no log, `corrupt`
/// where the log is damaged in what is needed or ends before `known_durable`. What the log holds
/// unfinished at its end, as far as it can tell, is left out. `on_bytes` is also asked, with 0,
/// while the log is read and not copied.
Result<LogCopy> copy_log(FileSystem& files, const std::string& from, const std::string& to,
                         const LogCopyOptions& options, const OnBytes& on_bytes);

}  // namespace streamobs::wal

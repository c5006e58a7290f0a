// Whether log, checkpoint and database belong together, and how an engine goes on from them: judged
// here once, for recovery (app/recovery, app/topology_recovery), which acts by it, and for
// `doctor`, which tells before a start what that will do.
//
// Plain functions; any thread. All but judge_coherence() read files, and block.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/result.h"
#include "store/log_position.h"
#include "wal/checkpoint.h"
#include "wal/log.h"

namespace streamobs::app {

enum class GoingOn : std::uint8_t {
  from_the_checkpoint,  ///< And by the log behind it; where there is none, by the whole log.
  from_the_beginning,   ///< The database lacks what lies before the checkpoint: by the whole log.
  with_a_gap,  ///< It lacks that, and the log has it no more: from the oldest usable checkpoint.
};

/// The checkpoint from which log and a database with results up to `applied` can go on, as
/// CheckpointStore::load_for() chooses it; none: the whole log is replayed. Errors as that has
/// them, and `invalid` where it is of another log. `wal`: the log's directory, for messages.
Result<std::optional<wal::LoadedCheckpoint>> find_checkpoint(wal::CheckpointStore& checkpoints,
                                                             std::uint64_t applied,
                                                             const wal::LogState& log,
                                                             const std::string& wal);

/// What a start would find the database to be; {} where it would make a new one: there is none, or
/// it would be set aside. Damage that only shows behind its first pages is not looked for.
/// `invalid` and `io` as Inspection::look() has them. Nobody may be writing.
Result<store::LogPosition> look_at_database(FileSystem& files, const std::string& data_dir);

/// Before a log is begun where there is no checkpoint: where there is no log, but a database that
/// belongs to one, judge_coherence()'s refusal. A new log would hide that the other is missing.
Result<> may_begin_log(FileSystem& files, const std::string& data_dir);

/// `database`: {} where there is none, or where the next start makes a new one. `checkpoint`: the
/// position of the one that find_checkpoint() found for it; 0: none. `invalid` where the database
/// is of another log, `corrupt` where the log lacks what the database has seen.
Result<GoingOn> judge_coherence(const store::LogPosition& database, const std::string& data_dir,
                                const wal::LogState& log, std::uint64_t checkpoint);

/// What a start would find of log and checkpoints.
struct Remains {
  wal::LogState log;
  std::uint64_t newest = 0;              ///< Position of the newest that can be used; 0: none.
  std::vector<std::string> passed_over;  ///< Why newer ones cannot be.
  std::uint64_t checkpoint = 0;          ///< Position of the one that it would take; 0: none.
};

/// As recovery looks at them for a database with results up to `applied`, and with its refusals;
/// nothing is changed. Nobody may be writing.
Result<Remains> look_at_remains(FileSystem& files, const std::string& data_dir,
                                std::uint64_t applied);

}  // namespace streamobs::app

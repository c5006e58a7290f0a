// Whether log, checkpoint and database belong together, and how an engine goes on from them: judged
// here once, for recovery (app/recovery, app/topology_recovery), which acts by it, and for
// `doctor`, which tells before a start what that will do.
//
// Plain functions; any thread. Only find_checkpoint() and look_at_remains() read files, and block.
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
  with_a_gap,           ///< It lacks that, and the log has it no more: from the checkpoint.
};

/// The newest checkpoint from which the log can go on; none: the whole log is replayed. Errors as
/// CheckpointStore::load_newest() has them, and `invalid` where it is of another log. `wal`: the
/// log's directory, for messages.
Result<std::optional<wal::LoadedCheckpoint>> find_checkpoint(wal::CheckpointStore& checkpoints,
                                                             const wal::LogState& log,
                                                             const std::string& wal);

/// `database`: {} where there is none, or where the next start makes a new one. `checkpoint`: its
/// position; 0: none. `invalid` where the database is of another log, `corrupt` where the log lacks
/// what the database has seen.
Result<GoingOn> judge_coherence(const store::LogPosition& database, const std::string& data_dir,
                                const wal::LogState& log, std::uint64_t checkpoint);

/// What a start would find of log and checkpoints.
struct Remains {
  wal::LogState log;
  std::uint64_t checkpoint = 0;          ///< Position of the one that it would take; 0: none.
  std::vector<std::string> passed_over;  ///< Why newer ones cannot be used.
};

/// As recovery looks at them, and with its refusals; nothing is changed. Nobody may be writing.
Result<Remains> look_at_remains(FileSystem& files, const std::string& data_dir);

}  // namespace streamobs::app

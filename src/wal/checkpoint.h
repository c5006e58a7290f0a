// Checkpoints on disk: the whole state of the engine at one log position.
//
// DATA_DIR/checkpoint/ holds immutable part files and, for each checkpoint, a manifest that names
// them with their sizes and checksums. A checkpoint counts once its manifest is durable: parts are
// synced first, then the manifest is written beside, synced, renamed and the directory synced. Two
// checkpoints are kept; what is older goes only after that, and the log must reach back to the
// older of the two. Byte format: docs/wal-format.md, "Checkpoint".
//
// One store for each data directory, for the life of the process. Calls block (they belong on the
// blocking pool) and are made by one thread at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/result.h"
#include "event/record.h"
#include "wal/checkpoint_file.h"

namespace streamobs::wal {

struct LoadedCheckpoint {
  CheckpointParts state;
  std::uint64_t log_id = 0;  ///< The log it belongs to.
};

class CheckpointStore {
 public:
  /// Opens (and if need be makes) `directory`; removes what interrupted saves have left there.
  /// `files` outlives the store.
  static Result<CheckpointStore> open(FileSystem& files, std::string directory);
  /// What open() would find, without changing anything: only to be read. None, where there is no
  /// such directory.
  static Result<CheckpointStore> look(FileSystem& files, std::string directory);

  /// Makes `state` the newest checkpoint; when this returns without an error, it is durable, and
  /// the one before the previous is gone (or goes with the next save, should it resist). On an
  /// error
  /// (`no_space`, `io`) the former checkpoints are as they were, and the next save starts afresh.
  Result<> save(const CheckpointParts& state, std::uint64_t log_id);

  /// The newest checkpoint that can be read back whole. `log_begins`: the first position that the
  /// log still has (1: all of it); a checkpoint from which the log cannot go on is of no use. None,
  /// if there is none and the log reaches back to 1. Damaged ones, and nothing sound to fall back
  /// on: ErrorCode::corrupt, naming the files.
  Result<std::optional<LoadedCheckpoint>> load_newest(std::uint64_t log_begins);
  /// The same for a database whose results reach up to `applied`: the newest one that is not ahead
  /// of it, so that nothing is missing; where each is ahead, the one of the least position, behind
  /// which most comes again.
  Result<std::optional<LoadedCheckpoint>> load_for(std::uint64_t applied, std::uint64_t log_begins);
  /// Why the last of these calls could not use one, one sentence each, in the order of their trial.
  const std::vector<std::string>& passed_over() const { return passed_over_; }

  /// Up to here the log may be trimmed: the position of the older of the two checkpoints; 0 while
  /// there are fewer.
  std::uint64_t oldest_position() const;
  /// Position of the newest one; 0: none.
  std::uint64_t newest_position() const;
  /// Bytes on disk of the checkpoint saved or found last.
  std::uint64_t newest_bytes() const;

 private:
  struct Kept {
    std::uint64_t generation = 0;
    std::uint64_t position = 0;
    std::uint64_t bytes = 0;
    bool sound = true;  ///< False: found to be damaged.
  };

  CheckpointStore(FileSystem& files, std::string directory)
      : files_(&files), directory_(std::move(directory)) {}

  Result<> find();
  std::string path_of(const std::string& name) const;
  Result<LoadedCheckpoint> read(std::uint64_t generation) const;
  Result<std::optional<LoadedCheckpoint>> load_first_of(const std::vector<Kept*>& in_order,
                                                        std::uint64_t log_begins);
  Result<> write(const CheckpointParts& state, Manifest& manifest);
  void forget_all_but_newest();
  void clean(std::uint64_t generation_spared);

  FileSystem* files_;
  std::string directory_;
  std::vector<Kept> kept_;             ///< Oldest first.
  std::uint64_t last_generation_ = 0;  ///< Given out; never given out again.
  std::vector<std::string> passed_over_;
};

}  // namespace streamobs::wal

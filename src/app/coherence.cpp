#include "app/coherence.h"

#include <fmt/format.h>

namespace streamobs::app {

Result<std::optional<wal::LoadedCheckpoint>> find_checkpoint(wal::CheckpointStore& checkpoints,
                                                             const wal::LogState& log,
                                                             const std::string& wal) {
  Result<std::optional<wal::LoadedCheckpoint>> loaded = checkpoints.load_newest(log.first_sequence);
  if (loaded.has_error() || !loaded->has_value()) return loaded;
  if ((*loaded)->log_id == log.log_id) return loaded;
  return fail(ErrorCode::invalid,
              fmt::format("the checkpoint belongs to log {:016x} and the log in {} is {:016x}: "
                          "they are not of one engine. Put the directories back that belong "
                          "together, or start with another data_dir",
                          (*loaded)->log_id, wal, log.log_id));
}

Result<GoingOn> judge_coherence(const store::LogPosition& database, const std::string& data_dir,
                                const wal::LogState& log, std::uint64_t checkpoint) {
  const std::string path = data_dir + "/streamobs.db";
  if (log.log_id == 0 && database.log_id != 0) {
    return fail(ErrorCode::invalid,
                fmt::format("the database {} holds the results of log {:016x} up to record {}, and "
                            "{}/wal holds no log. Put back the log that belongs to it, or move the "
                            "database away (with its -wal and -shm) to begin anew; the old one "
                            "stays readable",
                            path, database.log_id, database.applied, data_dir));
  }
  if (const Result<> fits = store::check_log_id(path, database.log_id, log.log_id);
      fits.has_error()) {
    return fits.error();
  }
  const std::uint64_t last = log.next_sequence - 1;
  if (database.applied > last) {
    return fail(ErrorCode::corrupt,
                fmt::format("the database has results up to record {} and the log ends at record "
                            "{}: records that were acknowledged are missing from {}/wal. Put the "
                            "log back that belongs to it, or move the database away to have it "
                            "rebuilt from what the log holds",
                            database.applied, last, data_dir));
  }
  // The store commits a checkpoint's position durably before there is a checkpoint.
  if (database.applied >= checkpoint) return GoingOn::from_the_checkpoint;
  return log.first_sequence == 1 ? GoingOn::from_the_beginning : GoingOn::with_a_gap;
}

Result<Remains> look_at_remains(FileSystem& files, const std::string& data_dir) {
  const std::string wal = data_dir + "/wal";
  Result<wal::CheckpointStore> checkpoints =
      wal::CheckpointStore::look(files, data_dir + "/checkpoint");
  if (checkpoints.has_error()) return checkpoints.error();
  wal::LogOpenOptions options;
  options.known_durable = checkpoints->newest_position();
  Result<wal::LogState> log = wal::Log::look(files, wal, options);
  if (log.has_error()) return log.error();
  const Result<std::optional<wal::LoadedCheckpoint>> newest =
      find_checkpoint(*checkpoints, *log, wal);
  if (newest.has_error()) return newest.error();
  Remains remains;
  remains.log = std::move(*log);
  if (newest->has_value()) remains.checkpoint = (*newest)->state.position;
  remains.passed_over = checkpoints->passed_over();
  return remains;
}

}  // namespace streamobs::app

#include "app/coherence.h"

#include <limits>

#include <fmt/format.h>

#include "store/damage.h"
#include "store/inspection.h"
#include "wal/segment_files.h"

namespace streamobs::app {

Result<std::optional<wal::LoadedCheckpoint>> find_checkpoint(wal::CheckpointStore& checkpoints,
                                                             std::uint64_t applied,
                                                             const wal::LogState& log,
                                                             const std::string& wal) {
  Result<std::optional<wal::LoadedCheckpoint>> loaded =
      checkpoints.load_for(applied, log.first_sequence);
  if (loaded.has_error() || !loaded->has_value()) return loaded;
  if ((*loaded)->log_id == log.log_id) return loaded;
  return fail(ErrorCode::invalid,
              fmt::format("the checkpoint belongs to log {:016x} and the log in {} is {:016x}: "
                          "they are not of one engine. Put the directories back that belong "
                          "together, or start with another data_dir",
                          (*loaded)->log_id, wal, log.log_id));
}

Result<store::LogPosition> look_at_database(FileSystem& files, const std::string& data_dir) {
  const std::string path = data_dir + "/streamobs.db";
  const Result<bool> there = files.exists(path);
  if (there.has_error()) return there.error();
  if (!*there || store::damage_noted(path)) return store::LogPosition{};
  const Result<store::Inspection> opened = store::Inspection::look(path);
  if (opened.has_error() && opened.error().code != ErrorCode::corrupt) return opened.error();
  if (opened.has_error()) return store::LogPosition{};
  const Result<store::LogPosition> position = opened->position();
  if (position.has_value()) return position;
  const bool made_anew = position.error().code == ErrorCode::corrupt ||
                         position.error().code == ErrorCode::unavailable;
  return made_anew ? Result<store::LogPosition>(store::LogPosition{}) : position;
}

Result<> may_begin_log(FileSystem& files, const std::string& data_dir) {
  const Result<std::vector<wal::SegmentFile>> segments =
      wal::list_segments(files, data_dir + "/wal");
  if (segments.has_error()) return segments.error();
  if (!segments->empty()) return {};
  const Result<store::LogPosition> database = look_at_database(files, data_dir);
  if (database.has_error()) return database.error();
  const Result<GoingOn> judged = judge_coherence(*database, data_dir, wal::LogState{}, 0);
  return judged.has_error() ? Result<>(judged.error()) : Result<>();
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

Result<Remains> look_at_remains(FileSystem& files, const std::string& data_dir,
                                std::uint64_t applied) {
  const std::string wal = data_dir + "/wal";
  Result<wal::CheckpointStore> checkpoints =
      wal::CheckpointStore::look(files, data_dir + "/checkpoint");
  if (checkpoints.has_error()) return checkpoints.error();
  wal::LogOpenOptions options;
  options.known_durable = checkpoints->newest_position();
  Result<wal::LogState> log = wal::Log::look(files, wal, options);
  if (log.has_error()) return log.error();
  const auto position_for = [&](std::uint64_t reached) -> Result<std::uint64_t> {
    const Result<std::optional<wal::LoadedCheckpoint>> found =
        find_checkpoint(*checkpoints, reached, *log, wal);
    if (found.has_error()) return found.error();
    return found->has_value() ? (*found)->state.position : 0;
  };
  const Result<std::uint64_t> newest = position_for(std::numeric_limits<std::uint64_t>::max());
  if (newest.has_error()) return newest.error();
  Remains remains;
  remains.newest = *newest;
  remains.passed_over = checkpoints->passed_over();
  const Result<std::uint64_t> taken = *newest <= applied ? newest : position_for(applied);
  if (taken.has_error()) return taken.error();
  remains.checkpoint = *taken;
  remains.log = std::move(*log);
  return remains;
}

}  // namespace streamobs::app

// A copy of everything an engine keeps, made from the files alone while it runs or not, from which
// another goes on: what had been acknowledged when the backup began is in it and counted once.
//
// It is what a crash would leave, cut at whole records: the newest checkpoint P, the database as of
// one commit A ≥ P (the store commits a checkpoint's position before there is a checkpoint), and
// the log from P + 1 to an end E ≥ A, since a record is in the log before its results are stored.
// Hence the order: the checkpoint is copied, then the database is held still, then the log is
// copied, then the database, which may take long and keeps nothing from going on but its own
// journal from being folded in. The engine is not asked and its lock not taken.
//
// Functions that block, on the command's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "app/backup_manifest.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "base/result.h"

namespace streamobs::app {

/// Told what is being done and how far it has got; `total` 0: not known. An error from it ends the
/// work: what it has made is removed, and the work fails with that error.
using OnBackupProgress =
    std::function<Result<>(std::string_view doing, std::uint64_t bytes, std::uint64_t total)>;

/// A path of a directory without slashes behind it.
std::string plain_path(const std::string& path);

struct BackupOptions {
  std::string data_dir;
  std::string to;          ///< Must not exist; the directory above it must.
  bool whole_log = false;  ///< Also what the log holds beyond what recovery needs.
  OnBackupProgress on_progress;
};

/// `invalid`: there is something under that name already. `not_found`: there is nothing to be
/// backed up, or no place for it. `unavailable`: try again. `corrupt`: something needed is damaged;
/// named. Until the backup is complete it is called TO.unfinished; a failure removes it.
Result<BackupManifest> back_up(FileSystem& files, const Clock& clock, const BackupOptions& options);

}  // namespace streamobs::app

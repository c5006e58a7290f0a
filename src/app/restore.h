// Makes a data directory of a backup, from which an engine starts and goes on.
//
// Functions that block, on the command's thread.
#pragma once

#include <string>

#include "app/backup.h"
#include "app/backup_manifest.h"
#include "base/file_system.h"
#include "base/result.h"

namespace streamobs::app {

/// Reads every byte of a backup and compares. `not_found`: it is no backup. `corrupt`: a file of it
/// is missing or damaged, and named.
Result<BackupManifest> check_backup(FileSystem& files, const std::string& from,
                                    const OnBackupProgress& on_progress);

struct RestoreOptions {
  std::string from;
  std::string data_dir;  ///< Made if it is missing; must be empty.
  OnBackupProgress on_progress;
};

/// Errors as above, and: `invalid`: the data directory is not empty. `unavailable`: an engine uses
/// it. It is locked meanwhile. The files grow in DATA_DIR/restoring.tmp and are compared as they
/// are copied; only when all are there and synced are they moved to their places, in an order in
/// which no engine would start with a part of them. A failure before that leaves the directory as
/// it was.
Result<BackupManifest> restore(FileSystem& files, const RestoreOptions& options);

}  // namespace streamobs::app

#include "app/restore.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "store/data_dir.h"

namespace streamobs::app {

namespace {

constexpr std::uint64_t kManifestBytesMax = std::uint64_t{64} << 20;
constexpr const char* kStaging = "restoring.tmp";
constexpr const char* kLock = "lock";
/// In which things come to their places. A database without its log is refused by an engine, as are
/// a database and a checkpoint, so the log, which makes it whole, comes last.
constexpr const char* kInOrder[] = {backup_name::database, backup_name::checkpoint,
                                    backup_name::set_aside, backup_name::log};
/// Names of what is there that are shown.
constexpr std::size_t kNamesShown = 3;

/// What a data directory may hold and still be called empty: a lock that nobody holds, what a
/// restore that was cut short has left, and what a file system has in its uppermost directory.
bool counts_as_nothing(const std::string& name) {
  return name == kLock || name == kStaging || name == "lost+found";
}

Result<BackupManifest> read_manifest(FileSystem& files, const std::string& from) {
  const std::string path = from + "/" + backup_name::manifest;
  const Result<std::string> bytes = files.read_file(path, kManifestBytesMax);
  if (bytes.has_error() && bytes.error().code == ErrorCode::not_found) {
    return fail(ErrorCode::not_found,
                fmt::format("{} is no backup: it has no {}. A backup that was cut short is called "
                            "NAME.unfinished and is of no use",
                            from, backup_name::manifest));
  }
  if (bytes.has_error()) return bytes.error();
  Result<BackupManifest> manifest = decode_backup_manifest(*bytes);
  if (manifest.has_value()) return manifest;
  return fail(manifest.error().code, fmt::format("{}: {}", path, manifest.error().message));
}

/// What is told of a file of the backup that is not what its manifest says.
Error not_whole(const std::string& path, const std::string& what) {
  return fail(ErrorCode::corrupt,
              fmt::format("the backup's file {} {}: the backup cannot be used. Take another one",
                          path, what));
}

Error missing(const std::string& path, const Error& error) {
  return error.code == ErrorCode::not_found ? not_whole(path, "is missing") : error;
}

Result<> compare(const std::string& path, const FileSum& wanted, const FileSum& read) {
  if (read.bytes != wanted.bytes) {
    return not_whole(path, fmt::format("has {} bytes and not {}", read.bytes, wanted.bytes));
  }
  if (read.crc32c != wanted.crc32c) return not_whole(path, "is damaged (its checksum is wrong)");
  return {};
}

OnBytes told(const OnBackupProgress& on_progress, std::string_view doing, std::uint64_t& done,
             std::uint64_t total) {
  if (!on_progress) return {};
  return [&on_progress, &done, doing, total](std::uint64_t bytes) {
    done += bytes;
    return on_progress(doing, done, total);
  };
}

/// Before anything is touched.
Result<> must_be_empty(FileSystem& files, const std::string& data_dir) {
  const auto names = files.list(data_dir);
  if (names.has_error() && names.error().code == ErrorCode::not_found) return {};
  if (names.has_error()) return names.error();
  std::vector<std::string> there;
  for (const std::string& name : *names) {
    if (!counts_as_nothing(name)) there.push_back(name);
  }
  if (there.empty()) return {};
  const bool has_lock = std::find(names->begin(), names->end(), kLock) != names->end();
  if (has_lock) {
    // An engine that is running is the better reason.
    const Result<store::DataDir> locked = store::DataDir::open(data_dir);
    if (locked.has_error() && locked.error().code == ErrorCode::unavailable) return locked.error();
  }
  const bool more = there.size() > kNamesShown;
  if (more) there.resize(kNamesShown);
  return fail(ErrorCode::invalid,
              fmt::format("the data directory {} is not empty ({}{}): a backup is restored into an "
                          "empty one. Move it away (mv {} {}.old), or name another with --data-dir",
                          data_dir, fmt::join(there, ", "), more ? ", …" : "", data_dir, data_dir));
}

/// Takes away a data directory that was made in vain; one that holds something stays.
void remove_if_empty(const std::string& data_dir) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(data_dir, ignored)) {
    if (entry.path().filename() != kLock) return;
  }
  std::filesystem::remove(data_dir + "/" + kLock, ignored);
  std::filesystem::remove(data_dir, ignored);
}

class Restore {
 public:
  Restore(FileSystem& files, const RestoreOptions& options, const BackupManifest& manifest)
      : files_(files), options_(options), manifest_(manifest) {}
  Restore(const Restore&) = delete;
  Restore& operator=(const Restore&) = delete;
  ~Restore() {
    std::error_code ignored;
    std::filesystem::remove_all(staging(), ignored);
  }

  Result<> run() {
    if (Result<> copied = copy_all(); copied.has_error()) return copied;
    Result<> moved = move_to_place();
    if (moved.has_error()) take_back();
    return moved;
  }

 private:
  std::string staging() const { return options_.data_dir + "/" + kStaging; }

  Result<> copy_all() {
    const std::uint64_t total = bytes_of(manifest_);
    std::error_code error;
    std::filesystem::remove_all(staging(), error);
    const Result<std::uint64_t> free = files_.free_bytes(options_.data_dir);
    if (free.has_error()) return free.error();
    if (*free < total) return fail(ErrorCode::no_space, "the backup is larger than what is free");
    std::uint64_t done = 0;
    const OnBytes on_bytes = told(options_.on_progress, "restoring", done, total);
    std::set<std::string> directories{staging()};
    if (Result<> made = files_.make_directory(staging()); made.has_error()) return made;
    for (const BackupFile& file : manifest_.files) {
      const std::string to = staging() + "/" + file.path;
      if (directories.insert(directory_of(to)).second) {
        if (Result<> made = files_.make_directory(directory_of(to)); made.has_error()) return made;
      }
      if (Result<> copied = copy(file, to, on_bytes); copied.has_error()) return copied;
    }
    for (const std::string& directory : directories) {
      if (Result<> synced = files_.sync_directory(directory); synced.has_error()) return synced;
    }
    return {};
  }

  Result<> move_to_place() {
    for (const char* name : kInOrder) {
      const Result<bool> there = files_.exists(staging() + "/" + name);
      if (there.has_error()) return there.error();
      if (!*there) continue;
      const Result<> moved = files_.rename(staging() + "/" + name, options_.data_dir + "/" + name);
      if (moved.has_error()) return moved;
      const Result<> synced = files_.sync_directory(options_.data_dir);
      if (synced.has_error()) return synced;
    }
    return {};
  }

  /// The directory was empty, so whatever has these names is ours.
  void take_back() {
    std::error_code ignored;
    for (std::size_t i = std::size(kInOrder); i-- > 0;) {
      std::filesystem::remove_all(options_.data_dir + "/" + kInOrder[i], ignored);
    }
  }

  Result<> copy(const BackupFile& file, const std::string& to, const OnBytes& on_bytes) {
    const std::string path = options_.from + "/" + file.path;
    const Result<std::unique_ptr<File>> from = files_.open_for_reading(path);
    if (from.has_error()) return missing(path, from.error());
    const Result<FileSum> sum = copy_file(files_, **from, ~std::uint64_t{0}, to, on_bytes);
    if (sum.has_error()) return sum.error();
    return compare(path, file.sum, *sum);
  }

  FileSystem& files_;
  const RestoreOptions& options_;
  const BackupManifest& manifest_;
};

Result<BackupManifest> restore_into(FileSystem& files, const RestoreOptions& options) {
  Result<BackupManifest> manifest = read_manifest(files, options.from);
  if (manifest.has_error()) return manifest;
  if (Result<> empty = must_be_empty(files, options.data_dir); empty.has_error()) {
    return empty.error();
  }
  const Result<bool> existed = files.exists(options.data_dir);
  if (existed.has_error()) return existed.error();
  const Result<store::DataDir> locked = store::DataDir::open(options.data_dir);
  if (locked.has_error()) return locked.error();
  // Somebody may have been quicker.
  Result<> done = must_be_empty(files, options.data_dir);
  if (done.has_value()) done = Restore(files, options, *manifest).run();
  if (done.has_value()) return manifest;
  if (!*existed) remove_if_empty(options.data_dir);
  return done.error();
}

}  // namespace

Result<BackupManifest> check_backup(FileSystem& files, const std::string& given,
                                    const OnBackupProgress& on_progress) {
  const std::string from = plain_path(given);
  Result<BackupManifest> manifest = read_manifest(files, from);
  if (manifest.has_error()) return manifest;
  std::uint64_t done = 0;
  const OnBytes on_bytes = told(on_progress, "checking", done, bytes_of(*manifest));
  for (const BackupFile& file : manifest->files) {
    const std::string path = from + "/" + file.path;
    const Result<FileSum> sum = sum_of_file(files, path, on_bytes);
    if (sum.has_error()) return missing(path, sum.error());
    if (Result<> same = compare(path, file.sum, *sum); same.has_error()) return same.error();
  }
  return manifest;
}

Result<BackupManifest> restore(FileSystem& files, const RestoreOptions& given) {
  RestoreOptions options = given;
  options.from = plain_path(given.from);
  options.data_dir = plain_path(given.data_dir);
  Result<BackupManifest> restored = restore_into(files, options);
  if (restored.has_value() || restored.error().code != ErrorCode::no_space) return restored;
  return fail(ErrorCode::no_space,
              fmt::format("there is not enough space in {} for the backup; nothing was restored. "
                          "Free some, or name another data directory with --data-dir",
                          options.data_dir));
}

}  // namespace streamobs::app

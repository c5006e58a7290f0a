#include "app/backup.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <optional>
#include <sys/stat.h>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/log.h"
#include "base/version.h"
#include "store/snapshot.h"
#include "wal/log_copy.h"

namespace streamobs::app {

namespace {

/// How often to start again where the engine replaced what was being copied. Between two
/// checkpoints there is time for many copies of the first.
constexpr int kTries = 10;
constexpr auto kPause = std::chrono::milliseconds(100);

constexpr std::string_view kNotOfOneEngine =
    "they are not of one engine. Put the files back that belong together";

/// The place where a backup grows. Takes it away again unless it was finished.
class Unfinished {
 public:
  static Result<Unfinished> make(FileSystem& files, const std::string& to) {
    const Result<bool> exists = files.exists(to);
    if (exists.has_error()) return exists.error();
    if (*exists) {
      return fail(ErrorCode::invalid,
                  fmt::format("{} exists already: give the backup another name", to));
    }
    const std::string path = to + ".unfinished";
    if (::mkdir(path.c_str(), 0700) == 0) return Unfinished(path);
    if (errno == EEXIST) {
      return fail(ErrorCode::invalid,
                  fmt::format("{} is there: another backup is being made, or one was cut short. If "
                              "none is being made, remove it: rm -r {}",
                              path, path));
    }
    const int number = errno;
    return fail(
        number == ENOENT ? ErrorCode::not_found : ErrorCode::io,
        fmt::format(
            "cannot make the directory {}: {}{}", path, std::strerror(number),
            number == ENOENT ? ". Make the directory that it is to be in (or mount it)" : ""));
  }
  Unfinished(Unfinished&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  Unfinished& operator=(Unfinished&&) = delete;
  ~Unfinished() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }

  const std::string& path() const { return path_; }

  /// Another attempt begins.
  Result<> empty() const {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(path_, error)) {
      std::filesystem::remove_all(entry.path(), error);
      if (error) break;
    }
    if (!error) return {};
    return fail(ErrorCode::io, fmt::format("cannot empty {}: {}", path_, error.message()));
  }

  Result<> finish(FileSystem& files, const std::string& to) {
    if (Result<> renamed = files.rename(path_, to); renamed.has_error()) return renamed;
    path_.clear();
    return files.sync_directory(directory_of(to));
  }

 private:
  explicit Unfinished(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

class Backup {
 public:
  Backup(FileSystem& files, const BackupOptions& options, std::string to)
      : files_(files), options_(options), to_(std::move(to)) {}

  Result<> say(std::string_view doing) const {
    return options_.on_progress ? options_.on_progress(doing, 0, 0) : Result<>();
  }

  /// Checkpoint and log, with the database held still between the two.
  Result<> copy_history() {
    auto checkpoint =
        wal::copy_newest_checkpoint(files_, from(backup_name::checkpoint),
                                    to(backup_name::checkpoint), told("copying the checkpoint", 0));
    if (checkpoint.has_error()) return checkpoint.error();
    checkpoint_ = std::move(*checkpoint);
    auto snapshot = store::Snapshot::take(from(backup_name::database));
    if (snapshot.has_error()) return with_place(snapshot.error());
    snapshot_.emplace(std::move(*snapshot));
    const std::uint64_t applied = snapshot_->position().applied;
    wal::LogCopyOptions wanted;
    wanted.from_sequence = checkpoint_.position + 1;
    // A database that is being rebuilt needs all the log there is.
    if (options_.whole_log || applied < checkpoint_.position) wanted.from_sequence = 0;
    wanted.known_durable = std::max(applied, checkpoint_.position);
    auto log = wal::copy_log(files_, from(backup_name::log), to(backup_name::log), wanted,
                             told("copying the log", 0));
    if (log.has_error() && log.error().code != ErrorCode::not_found) {
      return because_of_checkpoints(log.error());
    }
    log_ = log.has_error() ? wal::LogCopy{} : *log;
    return check_ids();
  }

  /// Copies the database and reads the copy.
  Result<> copy_database() {
    const std::uint64_t bytes = snapshot_->bytes();
    const Result<std::uint64_t> free = files_.free_bytes(to_);
    if (free.has_error()) return free.error();
    if (*free < bytes) {
      return fail(ErrorCode::no_space, "the database alone takes more than is free");
    }
    const std::string copy = to(backup_name::database);
    const Result<> copied = snapshot_->copy_to(copy, told("copying the database", bytes));
    snapshot_position_ = snapshot_->position();
    snapshot_.reset();  // From here on the engine folds its journal in again.
    if (copied.has_error()) return copied;
    const Result<> checked =
        store::check_copy(copy, [this] { return say("checking the copy of the database"); });
    if (checked.has_value() || checked.error().code != ErrorCode::corrupt) return checked;
    return fail(ErrorCode::corrupt,
                fmt::format("the database {} is damaged ({}). Stop the engine; `sqlite3 FILE "
                            ".recover` may save rows, and an engine that starts without the file "
                            "rebuilds what the log holds",
                            from(backup_name::database), checked.error().message));
  }

  Result<> copy_set_aside() {
    const auto names = files_.list(from(backup_name::set_aside));
    if (names.has_error() && names.error().code == ErrorCode::not_found) return {};
    if (names.has_error()) return names.error();
    const std::string directory = to(backup_name::set_aside);
    if (Result<> made = files_.make_directory(directory); made.has_error()) return made;
    for (const std::string& name : *names) {
      if (name.ends_with(".tmp")) continue;  // Being written.
      const auto file = files_.open_for_reading(from(backup_name::set_aside) + "/" + name);
      if (file.has_error()) return file.error();
      const auto copied = copy_file(files_, **file, ~std::uint64_t{0}, directory + "/" + name, {});
      if (copied.has_error()) return copied.error();
    }
    return files_.sync_directory(directory);
  }

  Result<BackupManifest> write_manifest(Timestamp now) {
    BackupManifest manifest;
    manifest.made_at = now;
    manifest.version = std::string(kVersion);
    manifest.log_id = log_.log_id;
    manifest.checkpoint_position = checkpoint_.position;
    manifest.database_position = snapshot_position_.applied;
    manifest.first_record = log_.first_sequence;
    manifest.last_record = log_.last_sequence;
    for (const char* directory : backup_name::directories) {
      const auto names = files_.list(to(directory));
      if (names.has_error() && names.error().code != ErrorCode::not_found) return names.error();
      if (names.has_error()) continue;
      for (const std::string& name : *names) {
        manifest.files.push_back({fmt::format("{}/{}", directory, name), {}});
      }
    }
    manifest.files.push_back({backup_name::database, {}});
    std::sort(manifest.files.begin(), manifest.files.end(),
              [](const BackupFile& a, const BackupFile& b) { return a.path < b.path; });
    for (BackupFile& file : manifest.files) {
      const auto sum = sum_of_file(files_, to(file.path), told("adding up the copy", 0));
      if (sum.has_error()) return sum.error();
      file.sum = *sum;
    }
    const Result<> written = files_.write_file(to(backup_name::manifest), encode(manifest));
    if (written.has_error()) return written.error();
    return manifest;
  }

  const std::vector<std::string>& passed_over() const { return checkpoint_.passed_over; }

 private:
  std::string from(std::string_view name) const {
    return fmt::format("{}/{}", options_.data_dir, name);
  }
  std::string to(std::string_view name) const { return fmt::format("{}/{}", to_, name); }

  OnBytes told(std::string_view doing, std::uint64_t total) const {
    if (!options_.on_progress) return {};
    return [this, doing, total, done = std::uint64_t{0}](std::uint64_t bytes) mutable {
      done += bytes;
      return options_.on_progress(doing, done, total);
    };
  }

  /// Where all checkpoints are damaged, that is why the log does not reach back far enough.
  Error because_of_checkpoints(const Error& error) const {
    if (checkpoint_.generation != 0 || checkpoint_.passed_over.empty()) return error;
    if (error.code != ErrorCode::unavailable) return error;
    return fail(ErrorCode::corrupt,
                fmt::format("no checkpoint is sound ({}), and without one nothing can go on: {}",
                            fmt::join(checkpoint_.passed_over, ", "), error.message));
  }

  Error with_place(const Error& error) const {
    if (error.code != ErrorCode::not_found) return error;
    return fail(error.code,
                fmt::format("{}: is {} the data directory of a streamobs that has run? A database "
                            "that was lost is rebuilt when the engine starts",
                            error.message, options_.data_dir));
  }

  Result<> check_ids() const {
    const std::uint64_t of_database = snapshot_->position().log_id;
    const bool has_checkpoint = checkpoint_.generation != 0;
    if (log_.log_id == 0 && of_database == 0 && !has_checkpoint) return {};  // Made by `replay`.
    if (log_.log_id == 0) {
      return fail(ErrorCode::corrupt,
                  fmt::format("{} holds no log, and database or checkpoint belong to one: put the "
                              "log back",
                              from(backup_name::log)));
    }
    if (of_database == 0) {
      return fail(ErrorCode::unavailable,
                  fmt::format("an engine is just starting in {}", options_.data_dir));
    }
    if (of_database != log_.log_id || (has_checkpoint && checkpoint_.log_id != log_.log_id)) {
      return fail(ErrorCode::invalid,
                  fmt::format("in {} the database belongs to log {:016x}, the checkpoint to log "
                              "{:016x}, and the log is {:016x}: {}",
                              options_.data_dir, of_database, checkpoint_.log_id, log_.log_id,
                              kNotOfOneEngine));
    }
    return {};
  }

  FileSystem& files_;
  const BackupOptions& options_;
  const std::string to_;
  wal::CheckpointCopy checkpoint_;
  std::optional<store::Snapshot> snapshot_;
  store::LogPosition snapshot_position_;
  wal::LogCopy log_;
};

Result<> copy_history(std::optional<Backup>& backup, FileSystem& files,
                      const BackupOptions& options, const Unfinished& place) {
  Result<> copied;
  for (int i = 0; i < kTries; ++i) {
    if (i != 0) std::this_thread::sleep_for(kPause);
    if (Result<> emptied = place.empty(); emptied.has_error()) return emptied;
    backup.emplace(files, options, place.path());
    // Told to stop, there is no next attempt.
    if (Result<> on = backup->say("looking for the newest checkpoint"); on.has_error()) return on;
    copied = backup->copy_history();
    if (copied.has_value() || copied.error().code != ErrorCode::unavailable) return copied;
  }
  return fail(ErrorCode::unavailable,
              fmt::format("{}. It was tried {} times; try again", copied.error().message, kTries));
}

Result<BackupManifest> make_backup(FileSystem& files, const Clock& clock,
                                   const BackupOptions& options, const std::string& to) {
  Result<Unfinished> place = Unfinished::make(files, to);
  if (place.has_error()) return place.error();
  std::optional<Backup> backup;
  const Result<> copied = copy_history(backup, files, options, *place);
  if (copied.has_error()) return copied.error();
  for (const std::string& reason : backup->passed_over()) {
    log::warn("a newer checkpoint cannot be used; the backup has an older one and more of the log",
              {{"reason", reason}});
  }
  if (Result<> done = backup->copy_database(); done.has_error()) return done.error();
  if (Result<> done = backup->copy_set_aside(); done.has_error()) return done.error();
  Result<BackupManifest> manifest = backup->write_manifest(clock.now());
  if (manifest.has_error()) return manifest;
  if (Result<> finished = place->finish(files, to); finished.has_error()) return finished.error();
  return manifest;
}

}  // namespace

std::string plain_path(const std::string& path) {
  std::filesystem::path normal = std::filesystem::path(path).lexically_normal();
  if (!normal.has_filename()) normal = normal.parent_path();
  return normal.string();
}

Result<BackupManifest> back_up(FileSystem& files, const Clock& clock,
                               const BackupOptions& options) {
  const std::string to = plain_path(options.to);
  Result<BackupManifest> made = make_backup(files, clock, options, to);
  if (made.has_value() || made.error().code != ErrorCode::no_space) return made;
  return fail(
      ErrorCode::no_space,
      fmt::format("there is not enough space for a backup in {}; nothing was left there. Free "
                  "some, or choose another place",
                  directory_of(to)));
}

}  // namespace streamobs::app

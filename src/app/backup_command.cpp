#include "app/backup_command.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <memory>
#include <string_view>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "app/backup.h"
#include "app/restore.h"
#include "app/topology.h"
#include "base/posix_file_system.h"
#include "base/time_format.h"

namespace streamobs::app {

namespace {

using SteadyClock = std::chrono::steady_clock;

/// Set by whichever thread the signal comes to.
std::atomic<bool> told_to_stop = false;
static_assert(std::atomic<bool>::is_always_lock_free);

/// The first signal ends the work with nothing left behind; a second one ends the process.
void stop_on_signals() {
  struct sigaction action{};
  action.sa_handler = [](int) { told_to_stop = true; };
  action.sa_flags = SA_RESETHAND;
  for (const int number : {SIGINT, SIGTERM}) ::sigaction(number, &action, nullptr);
}

/// One line on a terminal, drawn over itself; silent elsewhere.
class ProgressLine {
 public:
  Result<> update(std::string_view doing, std::uint64_t bytes, std::uint64_t total) {
    if (told_to_stop) return fail(ErrorCode::unavailable, "interrupted; nothing was left behind");
    const auto now = SteadyClock::now();
    const bool other = doing != doing_;
    if (!on_terminal_ || (!other && now - drawn_at_ < std::chrono::milliseconds(100))) return {};
    drawn_at_ = now;
    doing_ = doing;
    fmt::print(stderr, "\r\x1b[2K{}", doing);
    if (bytes != 0) fmt::print(stderr, "  {:.1f} MB", static_cast<double>(bytes) / 1e6);
    if (total != 0) {
      fmt::print(stderr, " of {:.1f} MB  {} %", static_cast<double>(total) / 1e6,
                 std::min<std::uint64_t>(100, bytes * 100 / total));
    }
    std::fflush(stderr);
    return {};
  }
  void clear() const {
    if (on_terminal_) fmt::print(stderr, "\r\x1b[2K");
  }

 private:
  const bool on_terminal_ = ::isatty(STDERR_FILENO) == 1;
  SteadyClock::time_point drawn_at_{};
  std::string doing_;
};

/// "3 files, 12.3 MB, records up to 42, taken 2026-01-09T12:34:56Z".
std::string words(const BackupManifest& manifest) {
  return fmt::format("{} files, {:.1f} MB, records up to {}, taken {}", manifest.files.size(),
                     static_cast<double>(bytes_of(manifest)) / 1e6, manifest.last_record,
                     to_rfc3339(manifest.made_at / kSecond * kSecond));
}

/// Runs the work with progress and prints how it ended.
template <class Work>
int run(Work&& work, std::string_view done) {
  stop_on_signals();
  ProgressLine line;
  const auto on_progress = [&line](std::string_view doing, std::uint64_t bytes,
                                   std::uint64_t total) {
    return line.update(doing, bytes, total);
  };
  const Result<BackupManifest> manifest = work(on_progress);
  line.clear();
  if (manifest.has_error()) {
    fmt::print(stderr, "{}\n", manifest.error().message);
    return exit_code_of(manifest.error().code);
  }
  fmt::print("{}: {}\n", done, words(*manifest));
  return 0;
}

}  // namespace

OnDataDir add_backup_options(CLI::App& command) {
  const auto options = std::make_shared<BackupOptions>();
  command.add_option("--to", options->to, "A directory for it that does not exist yet")->required();
  command.add_flag("--whole-log", options->whole_log,
                   "Also the history that the log keeps beyond what a start needs");
  return [options](const std::string& data_dir) {
    const auto work = [&](const OnBackupProgress& on_progress) {
      options->data_dir = data_dir;
      options->on_progress = on_progress;
      return back_up(posix_file_system(), SystemClock(), *options);
    };
    return run(work, fmt::format("backed up {} to {}", data_dir, options->to));
  };
}

OnDataDir add_restore_options(CLI::App& command) {
  const auto options = std::make_shared<RestoreOptions>();
  const auto check = std::make_shared<bool>(false);
  command.add_option("--from", options->from, "The backup")->required();
  command.add_flag("--check", *check, "Only read the backup and compare all checksums");
  return [options, check](const std::string& data_dir) {
    if (*check) {
      const auto work = [&](const OnBackupProgress& on_progress) {
        return check_backup(posix_file_system(), options->from, on_progress);
      };
      return run(work, fmt::format("{} is whole", options->from));
    }
    const auto work = [&](const OnBackupProgress& on_progress) {
      options->data_dir = data_dir;
      options->on_progress = on_progress;
      return restore(posix_file_system(), *options);
    };
    return run(work, fmt::format("restored {} to {}", options->from, data_dir));
  };
}

}  // namespace streamobs::app

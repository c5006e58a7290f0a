#include "app/wal_command.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "app/topology.h"
#include "base/posix_file_system.h"
#include "store/damage.h"
#include "store/data_dir.h"
#include "store/inspection.h"
#include "wal/checkpoint.h"
#include "wal/log_tool.h"

namespace streamobs::app {

namespace {

struct WalArguments {
  std::string data_dir;
  wal::InspectOptions inspect;
  bool yes = false;  ///< Repair.
};

CLI::App* add(CLI::App& to, WalArguments& arguments, const char* name, const char* help) {
  CLI::App* const command = to.add_subcommand(name, help);
  command->add_option("--data-dir", arguments.data_dir,
                      "The engine's data directory; by default the config's, or ./data");
  return command;
}

void print(std::string_view line) {
  fmt::print("{}\n", line);
}

int exit_code(const Result<>& outcome) {
  if (outcome.has_value()) return 0;
  fmt::print(stderr, "{}\n", outcome.error().message);
  return exit_code_of(outcome.error().code);
}

/// As store::DataDir has it, for messages.
std::string database_path(const std::string& data_dir) {
  return data_dir + "/streamobs.db";
}

using OpenDataDir = Result<store::DataDir> (*)(const std::string&);

/// Keeps the engine out while the log is looked at or cut.
Result<store::DataDir> lock(const std::string& data_dir, OpenDataDir open, const char* what) {
  const Result<bool> there = posix_file_system().exists(data_dir + "/wal");
  if (there.has_error()) return there.error();
  if (!*there) return fail(ErrorCode::not_found, data_dir + "/wal holds no log");
  Result<store::DataDir> locked = open(data_dir);
  if (locked.has_value() || locked.error().code != ErrorCode::unavailable) return locked;
  std::string holder = "another process";
  const Result<std::string> pid = posix_file_system().read_file(data_dir + "/lock", 32);
  if (pid.has_value() && !pid->empty()) holder = "process " + *pid;
  return fail(
      ErrorCode::unavailable,
      fmt::format("the log of {} is being written by {}: `wal {}` needs the engine stopped. To "
                  "check the log while it runs, take a `streamobs backup --whole-log`, which "
                  "tests every checksum",
                  data_dir, holder, what));
}

struct Surroundings {
  wal::Known known;
  bool rebuilds = false;              ///< The database lacks what lies before the checkpoint.
  std::vector<std::string> unusable;  ///< Checkpoints, and why.
};

void print_unusable(const Surroundings& around, const wal::Print& print) {
  for (const std::string& reason : around.unusable) {
    print(fmt::format("a checkpoint cannot be used: {}", reason));
  }
}

/// What checkpoint and database have got to. Only while the data directory is locked.
Result<Surroundings> look_around(const std::string& data_dir) {
  Result<wal::CheckpointStore> checkpoints =
      wal::CheckpointStore::look(posix_file_system(), data_dir + "/checkpoint");
  if (checkpoints.has_error()) return checkpoints.error();
  Surroundings around;
  around.known.checkpoint = checkpoints->newest_position();
  // Only one that can be read whole spares recovery what lies before it.
  const Result<std::optional<wal::LoadedCheckpoint>> loaded = checkpoints->load_newest(1);
  if (loaded.has_error()) return loaded.error();
  around.unusable = checkpoints->passed_over();
  if (loaded->has_value()) around.known.needed_from = (*loaded)->state.position + 1;
  const std::string path = database_path(data_dir);
  const Result<store::Inspection> database = store::Inspection::look(path);
  if (database.has_value() && !store::damage_noted(path)) {
    const Result<store::LogPosition> position = database->position();
    if (position.has_value()) around.known.database = position->applied;
  }
  // A start would set aside a damaged one, and make one that is missing.
  around.rebuilds = around.known.database + 1 < around.known.needed_from;
  return around;
}

/// The command that moves away what the log does not reach any more.
std::string moving(const std::string& data_dir, bool checkpoint) {
  std::string files;
  if (checkpoint) files = fmt::format(" {}/checkpoint", data_dir);
  for (const char* ending : {"", "-wal", "-shm"}) {
    const std::string path = database_path(data_dir) + ending;
    const Result<bool> there = posix_file_system().exists(path);
    if (there.has_value() && *there) files += fmt::format(" {}", path);
  }
  return fmt::format("  mkdir {0}/before-repair && mv{1} {0}/before-repair/", data_dir, files);
}

/// What a person has to do before the engine starts with this log; empty: nothing.
std::string next_step(const std::string& data_dir, const wal::Known& known,
                      const wal::RepairOutcome& log) {
  const std::uint64_t last = log.last_sequence;
  if (known.durable() <= last) return {};
  const bool checkpoint = known.checkpoint > last;
  std::string words = fmt::format(
      "the log ends with record {}, and {} got to record {}: the engine does not start "
      "like that. ",
      last, checkpoint ? "checkpoint and database have" : "the database has", known.durable());
  if (checkpoint && log.first_sequence > 1) {
    return words + fmt::format(
                       "The log begins with record {}, so nothing can be rebuilt from it: "
                       "restore a backup, or start with another data directory. The rows "
                       "in {} stay readable",
                       log.first_sequence, database_path(data_dir));
  }
  words += fmt::format("Move {} away; the old rows stay readable there:\n{}\n",
                       checkpoint ? "them" : "it", moving(data_dir, checkpoint));
  if (log.first_sequence > 1) {
    return words + fmt::format(
                       "The next start goes on from the oldest checkpoint that the log still "
                       "follows, at the latest that of record {}; rows of the time before it are "
                       "only in what was moved away",
                       known.checkpoint);
  }
  return words + (last == 0
                      ? std::string("The next start begins with an empty log")
                      : fmt::format("The next start rebuilds the rows from records 1 to {}", last));
}

Result<> repair(const WalArguments& arguments) {
  const std::string& data_dir = arguments.data_dir;
  const Result<store::DataDir> locked = lock(data_dir, store::DataDir::open, "repair");
  if (locked.has_error()) return locked.error();
  const Result<Surroundings> around = look_around(data_dir);
  if (around.has_error()) return around.error();
  print_unusable(*around, print);
  const wal::RepairOptions options{arguments.yes, around->known};
  const Result<wal::RepairOutcome> log =
      wal::repair(posix_file_system(), data_dir + "/wal", options, print);
  if (log.has_error()) return log.error();
  if (log->damaged && log->first_sequence > 1 && around->rebuilds) {
    print(
        "the database lacks what lies before the checkpoint, and only the log can rebuild it: "
        "look for a sound copy of the damaged segment first");
  }
  const std::string next = next_step(data_dir, options.known, *log);
  if (log->damaged) {
    if (options.yes) print("repaired");
    if (!next.empty()) print((options.yes ? "next: " : "and then: ") + next);
    if (options.yes) return {};
    return fail(ErrorCode::corrupt, "nothing was changed; add --yes to have it done");
  }
  if (!next.empty())
    return fail(ErrorCode::corrupt, fmt::format("no segment is damaged, but {}", next));
  print("nothing to repair");
  return {};
}

}  // namespace

Result<> verify_log(const std::string& data_dir, const wal::Print& print) {
  const Result<store::DataDir> locked = lock(data_dir, store::DataDir::look, "verify");
  if (locked.has_error()) return locked.error();
  Result<Surroundings> around = look_around(data_dir);
  if (around.has_error()) return around.error();
  print_unusable(*around, print);
  if (around->rebuilds) around->known.needed_from = 1;
  return wal::verify(posix_file_system(), data_dir + "/wal", around->known, print);
}

std::function<int(const std::string&)> add_wal_command(CLI::App& app) {
  CLI::App* const command = app.add_subcommand(
      "wal", "Look at the write-ahead log, check every byte of it, cut what is damaged");
  command->require_subcommand(1);
  const auto arguments = std::make_shared<WalArguments>();
  CLI::App* const inspecting =
      add(*command, *arguments, "inspect", "List the log's segments and what they hold");
  inspecting->add_flag("--records", arguments->inspect.records, "Each record as well");
  inspecting->add_option("--from", arguments->inspect.from_sequence, "First record");
  inspecting->add_option("--to", arguments->inspect.to_sequence, "Last record");
  CLI::App* const verifying =
      add(*command, *arguments, "verify", "Read every byte; exit 74 where something is wrong");
  CLI::App* const repairing =
      add(*command, *arguments, "repair",
          "Take out what is damaged, as little as recovery needs; it is kept aside");
  repairing->add_flag(
      "--yes", arguments->yes,
      "Do it; without, only say what would be lost, and exit 74 where there is damage");
  return [=](const std::string& data_dir) -> int {
    if (arguments->data_dir.empty()) arguments->data_dir = data_dir;
    const std::string directory = arguments->data_dir + "/wal";
    if (*inspecting) {
      return exit_code(wal::inspect(posix_file_system(), directory, arguments->inspect, print));
    }
    if (*verifying) return exit_code(verify_log(arguments->data_dir, print));
    return *repairing ? exit_code(repair(*arguments)) : 0;
  };
}

}  // namespace streamobs::app

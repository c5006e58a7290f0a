#include "app/wal_command.h"

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "app/topology.h"
#include "base/posix_file_system.h"
#include "store/data_dir.h"
#include "wal/checkpoint.h"
#include "wal/log_tool.h"

namespace streamobs::app {

namespace {

struct WalArguments {
  std::string data_dir;
  wal::InspectOptions inspect;
  wal::RepairOptions repair;
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

/// The newest checkpoint knows what the log must hold at least.
Result<> verify(const std::string& data_dir) {
  const Result<store::DataDir> locked = store::DataDir::open(data_dir);
  if (locked.has_error()) return locked.error();
  Result<wal::CheckpointStore> checkpoints =
      wal::CheckpointStore::open(posix_file_system(), data_dir + "/checkpoint");
  if (checkpoints.has_error()) return checkpoints.error();
  return wal::verify(posix_file_system(), data_dir + "/wal", checkpoints->newest_position(), print);
}

int repair(const WalArguments& arguments) {
  // Nobody may write while it is cut.
  const Result<store::DataDir> locked = store::DataDir::open(arguments.data_dir);
  if (locked.has_error()) return exit_code(locked.error());
  return exit_code(
      wal::repair(posix_file_system(), arguments.data_dir + "/wal", arguments.repair, print));
}

}  // namespace

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
          "Cut the log at the first damage; everything from there on is kept aside");
  repairing->add_flag("--yes", arguments->repair.yes,
                      "Do it; without, only say what would be lost");
  return [=](const std::string& data_dir) -> int {
    if (arguments->data_dir.empty()) arguments->data_dir = data_dir;
    const std::string directory = arguments->data_dir + "/wal";
    if (*inspecting) {
      return exit_code(wal::inspect(posix_file_system(), directory, arguments->inspect, print));
    }
    if (*verifying) return exit_code(verify(arguments->data_dir));
    return *repairing ? repair(*arguments) : 0;
  };
}

}  // namespace streamobs::app

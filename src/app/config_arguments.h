// What the commands take that run by a config: its file, and what the command line says instead.
//
// Plain data, filled by CLI11; the functions read the config and say on stderr what is wrong.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "app/api_client.h"
#include "app/doctor_command.h"
#include "app/plan.h"
#include "config/config.h"

namespace streamobs::app {

inline constexpr int kExitBadConfig = 78;

struct ConfigArguments {
  std::string file;
  std::string data_dir;
  std::string listen;
};

config::Reading read_config(const ConfigArguments& arguments, Diagnostics& diagnostics);

/// On stderr, in colour where that is a terminal.
void print(const Diagnostics& diagnostics);

/// The plan of a config that `prepare` has adapted to what is to be run; with it the logging is as
/// the config wants it. None after an error, which has been said.
std::shared_ptr<const Plan> plan_of(
    const ConfigArguments& arguments,
    const std::function<bool(config::Config&, Diagnostics&)>& prepare = {});

/// Where the engine of these arguments keeps its data; none after an error, which has been said.
std::optional<std::string> data_dir_of(const ConfigArguments& arguments);

/// Where the engine of these arguments listens, or one that has no config.
Result<ApiTarget> target_of(const ConfigArguments& arguments);

/// What `doctor` looks at; none after an error in the config, which has been said.
std::optional<DoctorPlace> doctor_place_of(const ConfigArguments& arguments);

}  // namespace streamobs::app

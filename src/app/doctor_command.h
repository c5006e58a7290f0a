// `streamobs doctor`: says whether all is well, by asking the running engine, or, where none
// answers, by looking at what it has left on the disk. Changes nothing. For the command line only;
// blocks.
#pragma once

#include <functional>
#include <string>

#include "app/api_client.h"
#include "base/result.h"
#include "health/options.h"

namespace CLI {
class App;
}

namespace streamobs::app {

/// What the command line says of the engine.
struct DoctorPlace {
  std::string config;  ///< The file; empty: none is given.
  std::string data_dir;
  health::HealthOptions health;
  Result<ApiTarget> target = ApiTarget();  ///< Where the engine listens, and its token.
};

/// Adds the command's options; the answer runs it and gives the exit code: 0 all is well, 1 there
/// are warnings, 2 something fails.
std::function<int(const DoctorPlace& place)> add_doctor_command(CLI::App& command);

}  // namespace streamobs::app

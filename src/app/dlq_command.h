// `streamobs dlq list | show | replay`: the events that could not be taken.
//
// List and show read the database of an engine, running or not, and change nothing. Replay has the
// running engine do it (POST /api/v1/dead-letters/replay): only the engine writes its log.
#pragma once

#include <functional>
#include <string>

#include "app/api_client.h"
#include "base/result.h"

namespace CLI {
class App;
}

namespace streamobs::app {

/// What the command line says of the engine.
struct DlqPlace {
  std::string data_dir;
  /// Where the engine of the config listens, and its token.
  std::function<Result<ApiTarget>()> target;
};

/// Adds the command to `app`; the answer runs what was chosen on the command line and gives the
/// exit code.
std::function<int(const DlqPlace& place)> add_dlq_command(CLI::App& command);

}  // namespace streamobs::app

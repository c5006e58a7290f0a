// `streamobs tap NAME`: prints what happens in a running engine while it happens.
//
// Knows nothing of the engine but its HTTP API, so it may be another process's on another machine.
// Blocks until it is interrupted, or what was asked for has been printed.
#pragma once

#include <functional>
#include <string>

#include "app/api_client.h"
#include "base/result.h"

namespace CLI {
class App;
}

namespace streamobs::app {

/// Adds the command's options; the answer runs it against the engine that `target` finds, and gives
/// the exit code.
std::function<int(const std::function<Result<ApiTarget>()>& target)> add_tap_command(
    CLI::App& command);

}  // namespace streamobs::app

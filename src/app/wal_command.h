// `streamobs wal inspect | verify | repair`: looks at the log of an engine that is not running.
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace streamobs::app {

/// Adds the command to `app`; the answer runs what was chosen on the command line and gives the
/// exit code. 74: the log is damaged.
std::function<int()> add_wal_command(CLI::App& app);

}  // namespace streamobs::app

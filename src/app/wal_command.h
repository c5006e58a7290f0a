// `streamobs wal inspect | verify | repair`: looks at the log of an engine that is not running.
#pragma once

#include <functional>
#include <string>

#include "base/result.h"
#include "wal/log_tool.h"

namespace CLI {
class App;
}

namespace streamobs::app {

/// What `wal verify` does. Nothing is changed; the engine is kept out meanwhile. `unavailable`
/// where it runs, `corrupt`: each place has been printed.
Result<> verify_log(const std::string& data_dir, const wal::Print& print);

/// Adds the command to `app`; the answer runs what was chosen on the command line, on the log in
/// `data_dir` unless another is named behind it, and gives the exit code. 74: the log is damaged.
std::function<int(const std::string& data_dir)> add_wal_command(CLI::App& app);

}  // namespace streamobs::app

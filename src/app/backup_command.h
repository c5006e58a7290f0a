// `streamobs backup` and `streamobs restore`.
#pragma once

#include <functional>
#include <string>

namespace CLI {
class App;
}

namespace streamobs::app {

/// What a command does with the data directory; gives the exit code.
using OnDataDir = std::function<int(const std::string& data_dir)>;

/// Each adds what its command takes besides what names the data directory.
OnDataDir add_backup_options(CLI::App& command);
OnDataDir add_restore_options(CLI::App& command);

}  // namespace streamobs::app

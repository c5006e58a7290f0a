// `streamobs replay`: old files through the engine, as fast as it goes, into the store.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "app/plan.h"
#include "base/source_text.h"
#include "config/config.h"

namespace streamobs::app {

struct ReplayOptions {
  std::string stream;  ///< Empty: the config's only one.
  std::string format = "ndjson";
  std::vector<std::string> files;
};

/// Puts the files in the place of the config's sources, and takes out what a replay has no use for:
/// HTTP and early results. False, with a diagnostic, where the arguments do not fit the config.
bool prepare_replay(config::Config& config, const ReplayOptions& options, Diagnostics& diagnostics);

/// Runs it to the end, with a progress bar on a terminal and a summary on stderr. The exit code.
int run_replay(const std::shared_ptr<const Plan>& plan, const ReplayOptions& options);

}  // namespace streamobs::app

// `streamobs replay --from-log`: the history in a log through another config into another database.
//
// What would these windows and rules have said last week? The log may be that of a running engine:
// it is only read. Nobody is notified, and nothing is written but to the config's own data_dir.
#pragma once

#include <memory>
#include <string>

#include "app/plan.h"
#include "base/source_text.h"
#include "config/config.h"

namespace streamobs::app {

struct LogReplayOptions {
  std::string directory;  ///< An engine's data directory, or the log's within it.
  std::string stream;     ///< Only this one's events; empty: all the config has.
  std::string where;      ///< Only events for which this is true; needs the stream.
  std::string from;       ///< Event times, [from, to); empty: no bound.
  std::string to;
};

/// Takes out what a replay has no use for, and adds `where` to the stream's filter. False, with a
/// diagnostic, where the arguments do not fit the config, or its data_dir has results or a log.
bool prepare_log_replay(config::Config& config, const LogReplayOptions& options,
                        Diagnostics& diagnostics);

/// Runs it to the end, with a progress bar on a terminal and a summary on stderr. The exit code: 65
/// where not a single event was counted.
int run_log_replay(const std::shared_ptr<const Plan>& plan, const LogReplayOptions& options);

}  // namespace streamobs::app

// `streamobs replay`: old files through the engine, as fast as it goes, into the store.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "app/plan.h"
#include "base/result.h"
#include "base/source_text.h"
#include "config/config.h"

namespace streamobs::app {

class Topology;
struct Totals;

struct ReplayOptions {
  std::string stream;  ///< Empty: the config's only one.
  std::string format;  ///< Empty: that of the stream.
  std::vector<std::string> files;
};

/// Takes out of a config what no replay has a use for: sources, HTTP and early results.
void leave_out_for_replay(config::Config& config);

/// The stream that the command line means: the one it names, or the config's only one.
Result<std::string> stream_to_replay(const config::Config& config, const std::string& name);

/// Puts the files in the place of the config's sources, and takes out what a replay has no use for:
/// HTTP and early results. False, with a diagnostic, where the arguments do not fit the config.
bool prepare_replay(config::Config& config, const ReplayOptions& options, Diagnostics& diagnostics);

/// Exit code of a replay that counted nothing (EX_DATAERR).
inline constexpr int kExitNothingCounted = 65;

/// What came of it, on stderr. `rows_outside`: of those accepted, the rows that were not asked for.
void print_summary(const Topology& topology, double seconds, std::uint64_t rows_outside = 0);

/// Where nothing was counted because events were refused: says why most were, with an example, on
/// stderr, and gives that reason. Empty: there was no event.
std::string explain_refusals(const Topology& topology, const Totals& totals);

/// Runs it to the end, with a progress bar on a terminal and a summary on stderr. The exit code: 65
/// where not a single event was taken.
int run_replay(const std::shared_ptr<const Plan>& plan);

}  // namespace streamobs::app

// The command line: `streamobs --config F`, validate, replay, loadgen.
#pragma once

namespace streamobs::app {

/// Runs a command to its end and returns the exit code: 0 done, 65 no event could be taken, 78 bad
/// config or arguments, 74 disk or log damage, 75 try again, 70 our fault.
int run_cli(int argc, char** argv);

}  // namespace streamobs::app

// What can be checked of an engine that does not run, by what it has left in its data directory.
//
// Blocks, for as long as reading the database and the log takes; no engine starts meanwhile.
// Changes nothing, and leaves nothing behind. For the command line only.
#pragma once

#include <string>
#include <vector>

#include "health/options.h"
#include "health/report.h"

namespace streamobs::app {

/// `known`: what has been found already, such as that no engine answers.
health::Report check_offline(const std::string& data_dir, const health::HealthOptions& options,
                             std::vector<health::CheckResult> known);

}  // namespace streamobs::app

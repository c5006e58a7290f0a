// What a config means, in plain words: where things are, how events come in, what is computed of
// them and for how long it is kept, what counts as an anomaly, where results go.
//
// For `streamobs validate --explain`. A pure function of the plan; secrets are not in it.
#pragma once

#include <string>

#include "app/plan.h"

namespace streamobs::app {

/// Several lines, none much longer than a terminal is wide, the last ended.
std::string explain(const Plan& plan);

}  // namespace streamobs::app

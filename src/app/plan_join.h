// A join of the config, compiled against its two streams.
//
// Free function; called where the plan is made.
#pragma once

#include <memory>

#include "base/source_text.h"
#include "config/config.h"
#include "decode/stream_plan.h"
#include "window/join_plan.h"

namespace streamobs::app {

/// Says what is kept of both sides, and fills the fields of the stream the join makes (`stream`):
/// a key by its left name; the time by the name it has on the side whose time it is; any other
/// field by its own name, or where both sides have it, as "STREAM.name". Null where anything is
/// wrong, which is added to `diagnostics`. The schema of the joined rows is for the caller to set,
/// once that stream has been compiled.
std::shared_ptr<window::JoinPlan> plan_join(const window::JoinOptions& options,
                                            const decode::StreamPlan& left,
                                            const decode::StreamPlan& right,
                                            decode::StreamOptions& stream,
                                            Diagnostics& diagnostics);

}  // namespace streamobs::app

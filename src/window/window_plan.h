// A window's options, checked and compiled against its stream: keys, aggregates, the columns of its
// results. Made once when the config is loaded; shared by every lane; never changed.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/source_text.h"
#include "event/schema.h"
#include "event/window_result.h"
#include "expr/program.h"
#include "window/options.h"

namespace streamobs::window {

/// One window: what to evaluate for each event, what to accumulate, what to say at the end.
struct WindowPlan;

/// All windows of one stream, which share one program, so that an argument used by several of them
/// is computed once.
struct StreamWindowsPlan;

/// Compiles the windows of one stream. `filter` is the stream's own (may be null). Adds what is
/// wrong to `diagnostics` and returns null if any of it is an error.
std::shared_ptr<const StreamWindowsPlan> compile_windows(const StreamSchema& schema,
                                                         const expr::Scope& scope,
                                                         const expr::NodePtr& filter,
                                                         const SourceText& filter_source,
                                                         const std::vector<WindowOptions>& windows,
                                                         Diagnostics& diagnostics);

/// The columns of each window's results, in the order of the windows.
std::vector<std::shared_ptr<const WindowSchema>> result_schemas(const StreamWindowsPlan& plan);

}  // namespace streamobs::window

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

struct CheckedWindows {
  std::shared_ptr<const StreamWindowsPlan> plan;  ///< Null if anything is wrong.
  /// The columns of each window's results, in the order of the windows; after a mistake with those
  /// that are wrong as columns of type null, only to look for mistakes in what builds on them.
  std::vector<std::shared_ptr<const WindowSchema>> schemas;
};

/// Compiles the windows of one stream. `filter` is the stream's own (may be null). Adds everything
/// that is wrong to `diagnostics`: what follows from a mistake, or has been told already
/// (WindowOptions::mistaken, columns of type null in the scope), is not told.
CheckedWindows check_windows(const StreamSchema& schema, const expr::Scope& scope,
                             const expr::NodePtr& filter, const SourceText& filter_source,
                             const std::vector<WindowOptions>& windows, Diagnostics& diagnostics);

/// The same, for windows that are to run: null if anything is wrong.
std::shared_ptr<const StreamWindowsPlan> compile_windows(const StreamSchema& schema,
                                                         const expr::Scope& scope,
                                                         const expr::NodePtr& filter,
                                                         const SourceText& filter_source,
                                                         const std::vector<WindowOptions>& windows,
                                                         Diagnostics& diagnostics);

/// The columns of each window's results, in the order of the windows.
std::vector<std::shared_ptr<const WindowSchema>> result_schemas(const StreamWindowsPlan& plan);

}  // namespace streamobs::window

// A stream's options, checked and compiled: its schema, the names its expressions may use, its
// checks. Made once when the config is loaded; shared by every lane; never changed.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/line_pattern.h"
#include "base/source_text.h"
#include "base/time_zone.h"
#include "decode/options.h"
#include "event/lookup_table.h"
#include "event/schema.h"
#include "expr/program.h"

namespace streamobs::decode {

struct StreamPlan {
  StreamOptions options;
  StreamSchema schema;
  std::optional<std::size_t> id_column;  ///< Index of the `id` field in the schema: string or int.
  std::optional<std::size_t> template_column;  ///< Index of the field whose templates are mined.
  std::shared_ptr<const TimeZone> zone;        ///< Of times that name none.
  std::vector<LinePattern> patterns;           ///< Of the options, compiled.
  /// The patterns' text, one a line, as dead letters keep it; null where there are none.
  std::shared_ptr<const std::string> pattern_text;
  /// The schema's columns in order, then those of EventBatch::mined, then the derived fields.
  expr::Scope scope;
  expr::NodePtr filter;  ///< Null where the stream takes everything. Applied by the window stage.
  std::vector<std::string> check_names;
  std::shared_ptr<const expr::Program>
      checks;  ///< One boolean output a check; null without checks.
};

struct CheckedStream {
  /// Never null. Not `complete`: only to look for mistakes in what builds on it. Fields that are
  /// wrong are in its scope as columns of type null.
  std::shared_ptr<const StreamPlan> plan;
  bool complete = false;
};

/// Adds everything that is wrong to `diagnostics`: what follows from a mistake, or has been told
/// already (StreamOptions::mistaken), is not told.
/// `lookups` are the tables that its expressions may look into; they outlive the plan.
CheckedStream check_stream(const StreamOptions& options, std::uint32_t stream_id,
                           Diagnostics& diagnostics,
                           const std::vector<const LookupSchema*>& lookups = {});

/// The same, for a stream that is to run: null if anything is wrong.
std::shared_ptr<const StreamPlan> compile_stream(const StreamOptions& options,
                                                 std::uint32_t stream_id, Diagnostics& diagnostics);

}  // namespace streamobs::decode

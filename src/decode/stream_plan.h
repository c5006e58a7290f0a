// A stream's options, checked and compiled: its schema, the names its expressions may use, its
// checks. Made once when the config is loaded; shared by every lane; never changed.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/source_text.h"
#include "base/time_zone.h"
#include "decode/options.h"
#include "event/schema.h"
#include "expr/program.h"

namespace streamobs::decode {

struct StreamPlan {
  StreamOptions options;
  StreamSchema schema;
  std::optional<std::size_t> id_column;  ///< Index of the `id` field in the schema: string or int.
  std::shared_ptr<const TimeZone> zone;  ///< Of times that name none.
  expr::Scope scope;     ///< The schema's columns in order, then the derived fields.
  expr::NodePtr filter;  ///< Null where the stream takes everything. Applied by the window stage.
  std::vector<std::string> check_names;
  std::shared_ptr<const expr::Program>
      checks;  ///< One boolean output a check; null without checks.
};

/// Adds what is wrong to `diagnostics` and returns null if any of it is an error.
std::shared_ptr<const StreamPlan> compile_stream(const StreamOptions& options,
                                                 std::uint32_t stream_id, Diagnostics& diagnostics);

}  // namespace streamobs::decode

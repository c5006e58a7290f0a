// A look-up table's options, checked: what its rows look like, and how a file becomes a table.
//
// Made once when the config is loaded; shared and never changed. Its rows are decoded as the events
// of a stream without a time are.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/source_text.h"
#include "decode/options.h"
#include "decode/stream_plan.h"
#include "event/lookup_table.h"

namespace streamobs::decode {

struct LookupPlan {
  LookupOptions options;
  LookupSchema schema;
  std::shared_ptr<const StreamPlan> rows;  ///< Null after a mistake.

  /// A file may have so many bytes: each version of it goes into the log and into checkpoints.
  static constexpr std::size_t kMaxBytes = 8 << 20;

  /// The table that a file's text is. `invalid`: a row of it cannot be read, or its key is missing
  /// or there twice, or one of the columns is not there; the message names the file and the first
  /// such row.
  Result<std::shared_ptr<const LookupTable>> read(std::string_view text) const;

  /// What is odd about the keys of such a table, in words: blanks round them. Empty: nothing.
  std::string blank_keys(const LookupTable& table) const;
  /// A column of times in a table without `valid_from`, so that nothing goes by them; empty: none.
  std::string idle_times() const;
};

/// Adds everything that is wrong to `diagnostics`. Never null; what could not be made out is of
/// type null in its schema, or the schema is incomplete, and that has been told.
std::shared_ptr<const LookupPlan> check_lookup(const LookupOptions& options,
                                               Diagnostics& diagnostics);

}  // namespace streamobs::decode

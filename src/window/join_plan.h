// [join.NAME], compiled: what is kept of the rows of both sides, and what a joined row is made of.
//
// Made once with the plan (app/plan_join), never changed, outlives all that runs by it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "event/schema.h"
#include "expr/program.h"
#include "window/options.h"

namespace streamobs::window {

struct JoinSidePlan {
  std::uint32_t stream_id = 0;
  const StreamSchema* schema = nullptr;  ///< Outlives the plan.
  /// Over the stream's scope. Its first outputs are the columns that are kept of a row: the
  /// schema's fields in their order, then what the stream adds to them.
  std::shared_ptr<const expr::Program> program;
  std::size_t columns = 0;
  std::vector<std::size_t> keys;      ///< Which of the columns must be equal, in the order of `on`.
  std::optional<std::size_t> filter;  ///< Output: the stream's filter, if it has one.
};

struct JoinPlan {
  JoinOptions options;
  const StreamSchema* schema = nullptr;  ///< Of the joined rows; outlives the plan.
  JoinSidePlan sides[2];
  /// By side and column: the field of the joined schema it becomes; none: it is left out.
  std::vector<std::optional<std::size_t>> fields[2];
  std::size_t time_field = 0;  ///< Of the joined schema.
  /// What rows that wait mean: a snapshot of another definition cannot be taken over.
  std::string definition;
};

}  // namespace streamobs::window

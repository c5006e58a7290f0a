// What a compiled program is inside: steps with the memory each needs. Shared by the builder, which
// makes it, and the evaluators, which read it.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "expr/program.h"
#include "expr/step.h"

namespace streamobs::expr {

/// The steps that hang on one text column and on nothing else. Where that column comes as
/// dictionary ids they are computed once for each entry of the dictionary, never by row.
struct DictionaryPart {
  StepId column = 0;             ///< The step that is the column.
  std::vector<StepId> steps;     ///< In order.
  std::vector<StepId> frontier;  ///< Those of them that steps outside, or outputs, look at.
};

struct Program::Impl {
  static constexpr std::uint32_t kNone = 0xffffffff;

  std::vector<Step> steps;
  std::vector<std::string_view> texts;  ///< Of each step's literal: what constant views point at.
  std::vector<StepId> outputs;
  std::vector<std::size_t> inputs_used;
  std::vector<DictionaryPart> parts;
  std::vector<std::uint32_t> part_of;  ///< By step: its index in `parts`, or kNone.
  /// By step: which buffer holds its result, or kNone. Steps share one when their lives do not
  /// overlap.
  std::vector<std::uint32_t> slot_of;
  std::vector<Kind> slots;  ///< A kind for each buffer, which says what it holds.
  std::size_t most_args = 0;

  /// Fills everything but `steps` and `outputs` from those two.
  void finish();
};

}  // namespace streamobs::expr

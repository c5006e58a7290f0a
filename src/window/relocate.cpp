#include "window/relocate.h"

#include "window/aggregate/distinct.h"
#include "window/aggregate/exact_sum.h"
#include "window/aggregate/ordered_values.h"
#include "window/aggregate/sketch.h"

namespace streamobs::window {

namespace {

template <class State>
State& as(std::byte* state) {
  return *reinterpret_cast<State*>(state);
}

/// An address that is kept as a number.
void relocate_word(std::uint64_t& word, const Relocation& moved) {
  auto* pointer = std::bit_cast<std::byte*>(word);
  moved(pointer);
  word = std::bit_cast<std::uint64_t>(pointer);
}

void relocate_sketch(SketchState& sketch, const Relocation& moved) {
  if (sketch.width == 0) return;
  moved(sketch.payload.spilled.counts);
  moved(sketch.payload.spilled.negative);
  if (BucketStore* const negative = sketch.payload.spilled.negative) moved(negative->counts);
}

}  // namespace

void relocate(GroupKey& key, const Relocation& moved) {
  if (key.is_long()) moved(key.tail.text);
}

void relocate(AccumulatorKind kind, std::byte* state, const Relocation& moved) {
  switch (kind) {
    case AccumulatorKind::sum_float:
      if (auto& sum = as<FloatSumState>(state); sum.spilled()) relocate_word(sum.sum.low, moved);
      break;
    case AccumulatorKind::sketch:
      relocate_sketch(as<SketchState>(state), moved);
      break;
    case AccumulatorKind::distinct:
      // One hash stands in the row; more are in the arena, as a set or as registers.
      if (auto& set = as<DistinctState>(state); set.capacity != 0) relocate_word(set.word, moved);
      break;
    case AccumulatorKind::min_text:
    case AccumulatorKind::max_text:
      moved(as<TextState>(state).data);
      break;
    case AccumulatorKind::first_text:
    case AccumulatorKind::last_text:
      moved(as<MomentState<TextState>>(state).value.data);
      break;
    case AccumulatorKind::count:
    case AccumulatorKind::sum_int:
    case AccumulatorKind::min_int:
    case AccumulatorKind::max_int:
    case AccumulatorKind::min_float:
    case AccumulatorKind::max_float:
    case AccumulatorKind::first_int:
    case AccumulatorKind::last_int:
    case AccumulatorKind::first_float:
    case AccumulatorKind::last_float:
      break;
  }
}

}  // namespace streamobs::window

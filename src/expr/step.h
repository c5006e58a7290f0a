// One step of a compiled program, and what a kernel sees when it runs one.
//
// A program is a list of steps in the order of evaluation; each makes one column from the columns
// of earlier steps. Steps are made by the compiler and never change; frames live for one call.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include "event/event_batch.h"
#include "event/value.h"

namespace streamobs::expr {

using StepId = std::uint32_t;

/// What the kernels of one evaluator share during a run.
struct Scratch {
  /// A longer text becomes NULL and is counted, as does any text once a run has made kMaxRunBytes.
  static constexpr std::size_t kMaxTextBytes = 1 << 20;
  static constexpr std::size_t kMaxRunBytes = 64 << 20;

  TextArena text;
  std::size_t text_bytes = 0;
  std::uint64_t overflows = 0;

  /// Null where a limit is reached.
  char* allocate(std::size_t size) {
    if (size > kMaxTextBytes || text_bytes + size > kMaxRunBytes) return nullptr;
    text_bytes += size;
    return text.allocate(size);
  }
  void clear() {
    text.clear();
    text_bytes = 0;
  }
};

/// Rows 0 … rows of the arguments are computed into the result arrays. Arguments of kind text come
/// as plain strings, never as dictionary ids; a constant argument has one value, at index 0. A
/// kernel that finds all its arguments constant is run with one row.
struct Frame {
  std::size_t rows = 0;
  std::span<const ColumnView> args;
  DataType type;       ///< Of the result.
  std::int64_t a = 0;  ///< Parameters of the step.
  std::int64_t b = 0;
  Scratch* scratch = nullptr;
  const LookupTables* lookups = nullptr;  ///< Null: there are none.

  std::uint8_t* nulls = nullptr;  ///< Good only while has_nulls.
  bool has_nulls = false;
  std::uint8_t* bools = nullptr;
  std::int64_t* ints = nullptr;
  double* floats = nullptr;
  std::string_view* strings = nullptr;

  bool is_null(std::size_t i) const { return has_nulls && nulls[i] != 0; }
  void start_nulls() {
    if (has_nulls) return;
    std::memset(nulls, 0, rows);
    has_nulls = true;
  }
  void set_null(std::size_t i) {
    start_nulls();
    nulls[i] = 1;
  }
  /// A number left its range: NULL, and counted.
  void set_overflow(std::size_t i) {
    set_null(i);
    ++scratch->overflows;
  }
};

using Kernel = void (*)(Frame&);

struct Step {
  enum class What : std::uint8_t { constant, column, now, kernel };
  What what = What::kernel;
  DataType type;
  Kernel kernel = nullptr;
  /// The result is NULL where any argument is: the evaluator has filled `nulls` before the call.
  bool strict = true;
  /// False: the kernel looks only at its arguments' nulls.
  bool reads_values = true;
  std::int64_t a = 0;
  std::int64_t b = 0;
  std::vector<StepId> args;
  std::size_t column = 0;  ///< Of the scope, for What::column.
  Value literal;           ///< For What::constant.
};

}  // namespace streamobs::expr

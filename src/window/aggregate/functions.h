// The aggregate functions: what they are called, what they keep for each group, how they update,
// merge, finish and are stored.
//
// Two static tables. An *accumulator* is a few bytes in a group's row (and, where it must grow, in
// the window's arena) with a small algebra: all zeros is empty; update with a slice of a column;
// merge; encode; decode. An *aggregate* is what a user writes: several may finish from one
// accumulator (p50 and p99 from one sketch, sum and avg from one sum). Everything here is pure and
// may be used on any strand.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "event/column.h"
#include "event/value.h"
#include "window/aggregate/arena.h"

namespace streamobs::window {

/// The numbers are stored: they are never reused (docs/accumulators.md).
enum class AccumulatorKind : std::uint8_t {
  count = 1,
  sum_int = 2,  ///< Integers and decimals, in 128 bits.
  sum_float = 3,
  sketch = 4,
  distinct = 5,
  min_int = 6,  ///< …_int: integers, decimals, timestamps.
  max_int = 7,
  min_float = 8,
  max_float = 9,
  min_text = 10,
  max_text = 11,
  first_int = 12,  ///< By event time, then log position. Booleans too.
  last_int = 13,
  first_float = 14,
  last_float = 15,
  first_text = 16,
  last_text = 17,
};

/// Rows of one slice, none of them null, and the group each belongs to.
struct UpdateSlice {
  std::size_t size = 0;
  std::byte* const* groups = nullptr;        ///< The start of each row's group.
  const std::uint16_t* rows = nullptr;       ///< Index of each into the columns.
  ColumnView argument;                       ///< Not constant: `rows` is all zeros then.
  const std::uint16_t* positions = nullptr;  ///< Index of each into `times`.
  const Timestamp* times = nullptr;
  std::uint64_t sequence = 0;   ///< Log position of the batch.
  std::uint32_t first_row = 0;  ///< Of the slice within the batch.
  Arena* arena = nullptr;
};

struct AccumulatorOps {
  AccumulatorKind kind;
  std::string_view name;
  std::uint32_t size;  ///< Bytes in the row, a multiple of 8.
  bool flat;           ///< Nothing outside the row: copying the bytes copies the state.
  void (*update)(const UpdateSlice& slice, std::size_t offset);
  void (*merge)(std::byte* into, const std::byte* from, Arena& arena);
  void (*encode)(const std::byte* state, std::string& out);
  /// False where the bytes are not a state; `state` is zeroed before.
  bool (*decode)(std::byte* state, ByteReader& in, Arena& arena);
};

/// Null for a number that is none.
const AccumulatorOps* find_accumulator(std::uint8_t kind);
const AccumulatorOps& ops_of(AccumulatorKind kind);

/// How a result is read from an accumulator.
enum class Finish : std::uint8_t {
  count,  ///< Rows counted.
  distinct,
  sum,         ///< NULL of nothing, and where it does not fit 64 bits.
  average,     ///< The exact sum rounded to a double, divided by the count.
  value,       ///< min, max, first, last.
  quantile,    ///< `parameter`: which.
  rate_count,  ///< Per second of the window.
  rate_sum,
};

/// One aggregate as users write it.
struct AggregateFunction {
  std::string_view name;
  std::string_view usage;  ///< For messages: "quantile(x, p)".
  enum class Family : std::uint8_t {
    count,
    distinct,
    sum,
    average,
    min,
    max,
    quantile,
    median,
    first,
    last,
    rate
  } family;
};

const AggregateFunction* find_aggregate(std::string_view name);
std::span<const AggregateFunction> aggregate_functions();
/// The aggregate nearest to a misspelt name; empty where none is near.
std::string_view nearest_aggregate(std::string_view name);

/// What an aggregate over arguments of `type` keeps and gives. `kind` is no accumulator (0) where
/// the function does not take the type.
struct Signature {
  AccumulatorKind kind{};
  Finish finish{};
  DataType result;
  bool ok = false;
};
/// `type` is the argument's; nothing for count(*) and rate().
Signature signature_of(AggregateFunction::Family family, const DataType* type);

/// Reads a result from a state. `type` is the argument's, `length` the window's.
/// `overflows` counts sums that fit no 64-bit number.
Value finish(Finish finish, AccumulatorKind kind, DataType type, const std::byte* state,
             double parameter, Duration length, std::uint64_t& overflows);

}  // namespace streamobs::window

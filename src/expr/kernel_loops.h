// The shapes of loops that kernels are made of.
#pragma once

#include <type_traits>

#include "expr/step.h"

namespace streamobs::expr::kernels {

/// The array of a column that holds values of T.
template <class T>
const T* values(const ColumnView& column) {
  if constexpr (std::is_same_v<T, std::uint8_t>) {
    return column.bools;
  } else if constexpr (std::is_same_v<T, std::int64_t>) {
    return column.ints;
  } else if constexpr (std::is_same_v<T, double>) {
    return column.floats;
  } else {
    static_assert(std::is_same_v<T, std::string_view>);
    return column.strings;
  }
}

template <class T>
T* results(Frame& f) {
  if constexpr (std::is_same_v<T, std::uint8_t>) {
    return f.bools;
  } else if constexpr (std::is_same_v<T, std::int64_t>) {
    return f.ints;
  } else if constexpr (std::is_same_v<T, double>) {
    return f.floats;
  } else {
    static_assert(std::is_same_v<T, std::string_view>);
    return f.strings;
  }
}

/// A column by row, constant or not: for loops that branch anyway.
template <class T>
struct Cells {
  explicit Cells(const ColumnView& column)
      : data(values<T>(column)), nulls(column.nulls), stride(column.constant ? 0 : 1) {}
  T operator[](std::size_t row) const { return data[row * stride]; }
  bool is_null(std::size_t row) const { return nulls != nullptr && nulls[row * stride] != 0; }

  const T* data;
  const std::uint8_t* nulls;
  std::size_t stride;
};

/// result = g(x) for each row. A constant argument means one row, so no case of its own.
template <class Out, class In, class G>
void map_one(Frame& f, G g) {
  const In* const in = values<In>(f.args[0]);
  Out* __restrict const out = results<Out>(f);
  for (std::size_t i = 0; i < f.rows; ++i) out[i] = g(in[i]);
}

/// result = g(x, y) for each row; three plain loops, so that each can be vectorised.
template <class Out, class In, class G>
void map_two(Frame& f, G g) {
  const In* const x = values<In>(f.args[0]);
  const In* const y = values<In>(f.args[1]);
  Out* __restrict const out = results<Out>(f);
  const std::size_t rows = f.rows;
  if (f.args[1].constant) {
    const In c = y[0];
    for (std::size_t i = 0; i < rows; ++i) out[i] = g(x[i], c);
  } else if (f.args[0].constant) {
    const In c = x[0];
    for (std::size_t i = 0; i < rows; ++i) out[i] = g(c, y[i]);
  } else {
    for (std::size_t i = 0; i < rows; ++i) out[i] = g(x[i], y[i]);
  }
}

/// A checked operation G has `apply`, which never traps, and `failed(arguments…, result)`, which
/// says that the result is out of range. The fast loop only notices that some row failed; the
/// slow one, taken then, finds the rows. Values beside a NULL may fail without meaning anything.
template <class Out, class In, class G>
void checked_one(Frame& f) {
  bool failed = false;
  map_one<Out, In>(f, [&](In x) {
    const Out r = G::apply(x);
    failed |= G::failed(x, r);
    return r;
  });
  if (!failed) return;
  const Cells<In> x(f.args[0]);
  Out* const out = results<Out>(f);
  for (std::size_t i = 0; i < f.rows; ++i) {
    if (!G::failed(x[i], out[i])) continue;
    if (!f.is_null(i)) f.set_overflow(i);
    out[i] = 0;
  }
}

template <class Out, class In, class G>
void checked_two(Frame& f) {
  bool failed = false;
  map_two<Out, In>(f, [&](In x, In y) {
    const Out r = G::apply(x, y);
    failed |= G::failed(x, y, r);
    return r;
  });
  if (!failed) return;
  const Cells<In> x(f.args[0]);
  const Cells<In> y(f.args[1]);
  Out* const out = results<Out>(f);
  for (std::size_t i = 0; i < f.rows; ++i) {
    if (!G::failed(x[i], y[i], out[i])) continue;
    if (!f.is_null(i)) {
      // Division by zero is NULL, but no number left its range.
      if (G::undefined(x[i], y[i])) {
        f.set_null(i);
      } else {
        f.set_overflow(i);
      }
    }
    out[i] = 0;
  }
}

}  // namespace streamobs::expr::kernels

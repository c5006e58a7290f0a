#include <algorithm>
#include <cstring>

#include "expr/kernel_loops.h"
#include "expr/kernels.h"

namespace streamobs::expr::kernels {
namespace {

using Bool = std::uint8_t;
using Int = std::int64_t;

template <Op kOp, class T>
bool holds(T x, T y) {
  if constexpr (kOp == Op::equal) return x == y;
  if constexpr (kOp == Op::not_equal) return x != y;
  if constexpr (kOp == Op::less) return x < y;
  if constexpr (kOp == Op::less_equal) return x <= y;
  if constexpr (kOp == Op::greater) return x > y;
  if constexpr (kOp == Op::greater_equal) return x >= y;
}

template <Op kOp, class T>
void compare(Frame& f) {
  map_two<Bool, T>(f, [](T x, T y) { return static_cast<Bool>(holds<kOp>(x, y)); });
}

template <Op kOp>
void compare_scaled(Frame& f) {
  const __int128 left = f.a;
  const __int128 right = f.b;
  map_two<Bool, Int>(
      f, [=](Int x, Int y) { return static_cast<Bool>(holds<kOp>(x * left, y * right)); });
}

template <Op kOp>
Kernel comparison_of(Kind kind) {
  switch (kind) {
    case Kind::boolean:
      return compare<kOp, Bool>;
    case Kind::floating:
      return compare<kOp, double>;
    case Kind::string:
    case Kind::map:
      return compare<kOp, std::string_view>;
    default:
      return compare<kOp, Int>;
  }
}

template <class T>
void select_by(Frame& f) {
  const std::size_t last = f.args.size() - 1;
  T* const out = results<T>(f);
  bool any_nulls = false;
  for (std::size_t a = 1; a < f.args.size(); a += 2) any_nulls |= f.args[a].nulls != nullptr;
  any_nulls |= f.args[last].nulls != nullptr;
  if (any_nulls) f.start_nulls();

  const Cells<T> otherwise(f.args[last]);
  for (std::size_t i = 0; i < f.rows; ++i) out[i] = otherwise[i];
  if (any_nulls) {
    for (std::size_t i = 0; i < f.rows; ++i) f.nulls[i] = otherwise.is_null(i);
  }
  // From the last branch to the first: an earlier one that holds overwrites.
  for (std::size_t branch = last; branch >= 2;) {
    branch -= 2;
    const Cells<Bool> condition(f.args[branch]);
    const Cells<T> value(f.args[branch + 1]);
    if (condition.nulls == nullptr && !any_nulls) {
      for (std::size_t i = 0; i < f.rows; ++i) out[i] = condition[i] != 0 ? value[i] : out[i];
      continue;
    }
    for (std::size_t i = 0; i < f.rows; ++i) {
      if (condition.is_null(i) || condition[i] == 0) continue;
      out[i] = value[i];
      if (any_nulls) f.nulls[i] = value.is_null(i);
    }
  }
}

template <class T>
void coalesce_by(Frame& f) {
  T* const out = results<T>(f);
  const Cells<T> last(f.args.back());
  for (std::size_t i = 0; i < f.rows; ++i) out[i] = last[i];
  if (last.nulls != nullptr) {
    f.start_nulls();
    for (std::size_t i = 0; i < f.rows; ++i) f.nulls[i] = last.is_null(i);
  }
  for (std::size_t a = f.args.size() - 1; a-- > 0;) {
    const Cells<T> value(f.args[a]);
    for (std::size_t i = 0; i < f.rows; ++i) {
      if (value.is_null(i)) continue;
      out[i] = value[i];
      if (f.has_nulls) f.nulls[i] = 0;
    }
  }
}

template <class T, bool kGreatest>
void extreme_by(Frame& f) {
  T* const out = results<T>(f);
  const Cells<T> first(f.args[0]);
  f.start_nulls();
  for (std::size_t i = 0; i < f.rows; ++i) {
    out[i] = first[i];
    f.nulls[i] = first.is_null(i);
  }
  for (std::size_t a = 1; a < f.args.size(); ++a) {
    const Cells<T> value(f.args[a]);
    for (std::size_t i = 0; i < f.rows; ++i) {
      if (value.is_null(i)) continue;
      const bool better = kGreatest ? value[i] > out[i] : value[i] < out[i];
      if (f.nulls[i] != 0 || better) out[i] = value[i];
      f.nulls[i] = 0;
    }
  }
}

template <class T>
void in_list_by(Frame& f) {
  Bool* __restrict const out = f.bools;
  std::memset(out, 0, f.rows);
  const Cells<T> x(f.args[0]);
  bool null_in_list = false;
  for (std::size_t a = 1; a < f.args.size(); ++a) {
    const Cells<T> item(f.args[a]);
    if (item.nulls != nullptr) {
      null_in_list = true;
      for (std::size_t i = 0; i < f.rows; ++i) out[i] |= !item.is_null(i) && x[i] == item[i];
    } else if (item.stride == 0) {
      const T wanted = item[0];
      for (std::size_t i = 0; i < f.rows; ++i) out[i] |= x[i] == wanted;
    } else {
      for (std::size_t i = 0; i < f.rows; ++i) out[i] |= x[i] == item[i];
    }
  }
  if (x.nulls == nullptr && !null_in_list) return;
  // Not found, but something was unknown: unknown.
  f.start_nulls();
  for (std::size_t i = 0; i < f.rows; ++i) {
    bool unknown = x.is_null(i);
    for (std::size_t a = 1; null_in_list && !unknown && out[i] == 0 && a < f.args.size(); ++a) {
      unknown = f.args[a].is_null(i);
    }
    f.nulls[i] = unknown;
    if (unknown) out[i] = 0;
  }
}

template <bool kAnd>
void connect(Frame& f) {
  const ColumnView& left = f.args[0];
  const ColumnView& right = f.args[1];
  if (left.nulls == nullptr && right.nulls == nullptr) {
    map_two<Bool, Bool>(f, [](Bool x, Bool y) -> Bool { return kAnd ? x & y : x | y; });
    return;
  }
  const Cells<Bool> x(left);
  const Cells<Bool> y(right);
  f.start_nulls();
  for (std::size_t i = 0; i < f.rows; ++i) {
    const bool x_null = x.is_null(i);
    const bool y_null = y.is_null(i);
    const bool x_set = x[i] != 0;
    const bool y_set = y[i] != 0;
    // One side alone decides where it is known to be false (and) or true (or).
    const bool decided = (!x_null && x_set != kAnd) || (!y_null && y_set != kAnd);
    f.nulls[i] = !decided && (x_null || y_null);
    f.bools[i] = f.nulls[i] != 0 ? 0 : decided ? !kAnd : kAnd;
  }
}

}  // namespace

Kernel comparison(Op op, Kind kind) {
  switch (op) {
    case Op::equal:
      return comparison_of<Op::equal>(kind);
    case Op::not_equal:
      return comparison_of<Op::not_equal>(kind);
    case Op::less:
      return comparison_of<Op::less>(kind);
    case Op::less_equal:
      return comparison_of<Op::less_equal>(kind);
    case Op::greater:
      return comparison_of<Op::greater>(kind);
    default:
      return comparison_of<Op::greater_equal>(kind);
  }
}

Kernel scaled_comparison(Op op) {
  switch (op) {
    case Op::equal:
      return compare_scaled<Op::equal>;
    case Op::not_equal:
      return compare_scaled<Op::not_equal>;
    case Op::less:
      return compare_scaled<Op::less>;
    case Op::less_equal:
      return compare_scaled<Op::less_equal>;
    case Op::greater:
      return compare_scaled<Op::greater>;
    default:
      return compare_scaled<Op::greater_equal>;
  }
}

void logical_and(Frame& f) {
  connect<true>(f);
}
void logical_or(Frame& f) {
  connect<false>(f);
}
void logical_not(Frame& f) {
  map_one<Bool, Bool>(f, [](Bool x) { return static_cast<Bool>(x == 0); });
}

void is_null(Frame& f) {
  const std::uint8_t* const nulls = f.args[0].nulls;
  const Bool negated = f.a != 0;
  if (nulls == nullptr) {
    std::memset(f.bools, negated, f.rows);
    return;
  }
  for (std::size_t i = 0; i < f.rows; ++i) f.bools[i] = (nulls[i] != 0) != (negated != 0);
}

void is_true(Frame& f) {
  const Cells<Bool> x(f.args[0]);
  for (std::size_t i = 0; i < f.rows; ++i) {
    f.bools[i] = (!x.is_null(i) && x[i] != 0) != (f.a != 0);
  }
}

void is_false(Frame& f) {
  const Cells<Bool> x(f.args[0]);
  for (std::size_t i = 0; i < f.rows; ++i) {
    f.bools[i] = (!x.is_null(i) && x[i] == 0) != (f.a != 0);
  }
}

void is_distinct(Frame& f) {
  const Cells<Bool> equal(f.args[0]);
  const Cells<Bool> x_null(f.args[1]);
  const Cells<Bool> y_null(f.args[2]);
  for (std::size_t i = 0; i < f.rows; ++i) {
    const bool differ = x_null[i] != y_null[i] || (x_null[i] == 0 && equal[i] == 0);
    f.bools[i] = differ != (f.a != 0);
  }
}

Kernel select(Kind kind) {
  switch (kind) {
    case Kind::boolean:
      return select_by<Bool>;
    case Kind::floating:
      return select_by<double>;
    case Kind::string:
    case Kind::map:
      return select_by<std::string_view>;
    default:
      return select_by<Int>;
  }
}

Kernel coalesce(Kind kind) {
  switch (kind) {
    case Kind::boolean:
      return coalesce_by<Bool>;
    case Kind::floating:
      return coalesce_by<double>;
    case Kind::string:
    case Kind::map:
      return coalesce_by<std::string_view>;
    default:
      return coalesce_by<Int>;
  }
}

namespace {

template <bool kGreatest>
Kernel extreme(Kind kind) {
  switch (kind) {
    case Kind::boolean:
      return extreme_by<Bool, kGreatest>;
    case Kind::floating:
      return extreme_by<double, kGreatest>;
    case Kind::string:
    case Kind::map:
      return extreme_by<std::string_view, kGreatest>;
    default:
      return extreme_by<Int, kGreatest>;
  }
}

}  // namespace

Kernel greatest(Kind kind) {
  return extreme<true>(kind);
}
Kernel least(Kind kind) {
  return extreme<false>(kind);
}

Kernel in_list(Kind kind) {
  switch (kind) {
    case Kind::boolean:
      return in_list_by<Bool>;
    case Kind::floating:
      return in_list_by<double>;
    case Kind::string:
    case Kind::map:
      return in_list_by<std::string_view>;
    default:
      return in_list_by<Int>;
  }
}

}  // namespace streamobs::expr::kernels

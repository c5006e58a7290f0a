// The aggregates users write, the types they take, and how their results are read.
#include "window/aggregate/functions.h"

#include <algorithm>
#include <array>
#include <limits>
#include <vector>

#include "base/decimal.h"
#include "window/aggregate/distinct.h"
#include "window/aggregate/exact_sum.h"
#include "window/aggregate/ordered_values.h"
#include "window/aggregate/sketch.h"

namespace streamobs::window {

namespace {

using Family = AggregateFunction::Family;

constexpr std::array kFunctions = {
    AggregateFunction{"count", "count(*) or count(x) or count(distinct x)", Family::count},
    AggregateFunction{"distinct_count", "distinct_count(x)", Family::distinct},
    AggregateFunction{"approx_count_distinct", "approx_count_distinct(x)", Family::distinct},
    AggregateFunction{"sum", "sum(x)", Family::sum},
    AggregateFunction{"avg", "avg(x)", Family::average},
    AggregateFunction{"min", "min(x)", Family::min},
    AggregateFunction{"max", "max(x)", Family::max},
    AggregateFunction{"quantile", "quantile(x, 0.95)", Family::quantile},
    AggregateFunction{"percentile", "percentile(x, 0.95)", Family::quantile},
    AggregateFunction{"percentile_disc", "percentile_disc(x, 0.95)", Family::quantile},
    AggregateFunction{"median", "median(x)", Family::median},
    AggregateFunction{"first", "first(x)", Family::first},
    AggregateFunction{"last", "last(x)", Family::last},
    AggregateFunction{"rate", "rate() or rate(x)", Family::rate},
};

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

/// The kind for values kept whole (min, max, first, last), from the three of a function.
AccumulatorKind by_storage(Kind kind, AccumulatorKind ints, AccumulatorKind floats,
                           AccumulatorKind texts) {
  if (kind == Kind::floating) return floats;
  return is_text(kind) ? texts : ints;
}

template <class State>
const State& as(const std::byte* state) {
  return *reinterpret_cast<const State*>(state);
}

Value scalar(DataType type, std::int64_t v) {
  Value out = Value::of_null(type);
  out.null = false;
  out.integer = v;
  return out;
}

double seconds(Duration length) {
  return static_cast<double>(length) / 1e6;
}

/// Integers and decimals: the sum in units of 10^-scale.
Value finish_int_sum(Finish how, DataType type, const IntSumState& state, Duration length,
                     std::uint64_t& overflows) {
  const Int128 sum = state.sum.get();
  const auto unit = static_cast<double>(power_of_ten(type.scale));
  if (how == Finish::rate_sum) {
    return Value::of_float(static_cast<double>(sum) / (unit * seconds(length)));
  }
  if (how == Finish::average) {
    return Value::of_float(static_cast<double>(sum) / (static_cast<double>(state.count) * unit));
  }
  if (sum > std::numeric_limits<std::int64_t>::max() ||
      sum < std::numeric_limits<std::int64_t>::min()) {
    ++overflows;
    return Value::of_null(type);
  }
  return scalar(type, static_cast<std::int64_t>(sum));
}

Value finish_float_sum(Finish how, const FloatSumState& state, Duration length,
                       std::uint64_t& overflows) {
  double v = state.to_double();
  if (how == Finish::rate_sum) v /= seconds(length);
  if (how == Finish::average) v /= static_cast<double>(state.count());
  if (v - v != 0) {  // Infinite: beyond the largest double.
    ++overflows;
    return Value::of_null({Kind::floating, 0});
  }
  return Value::of_float(v);
}

Value finish_value(AccumulatorKind kind, DataType type, const std::byte* state) {
  Value out = Value::of_null(type);
  const auto set_text = [&](const TextState& text) {
    out.null = false;
    out.text = std::string(text.view());
  };
  switch (kind) {
    case AccumulatorKind::min_int:
    case AccumulatorKind::max_int:
      if (const auto& s = as<ScalarState<std::int64_t>>(state); s.present != 0) {
        return scalar(type, s.value);
      }
      break;
    case AccumulatorKind::min_float:
    case AccumulatorKind::max_float:
      if (const auto& s = as<ScalarState<double>>(state); s.present != 0) {
        return Value::of_float(s.value);
      }
      break;
    case AccumulatorKind::min_text:
    case AccumulatorKind::max_text:
      if (const auto& s = as<TextState>(state); s.data != nullptr) set_text(s);
      break;
    case AccumulatorKind::first_int:
    case AccumulatorKind::last_int:
      if (const auto& s = as<MomentState<std::int64_t>>(state); s.moment.present != 0) {
        return scalar(type, s.value);
      }
      break;
    case AccumulatorKind::first_float:
    case AccumulatorKind::last_float:
      if (const auto& s = as<MomentState<double>>(state); s.moment.present != 0) {
        return Value::of_float(s.value);
      }
      break;
    case AccumulatorKind::first_text:
    case AccumulatorKind::last_text:
      if (const auto& s = as<MomentState<TextState>>(state); s.moment.present != 0) {
        set_text(s.value);
      }
      break;
    default:
      break;
  }
  return out;
}

}  // namespace

std::span<const AggregateFunction> aggregate_functions() {
  return kFunctions;
}

const AggregateFunction* find_aggregate(std::string_view name) {
  for (const AggregateFunction& f : kFunctions) {
    if (f.name == name) return &f;
  }
  return nullptr;
}

std::string_view nearest_aggregate(std::string_view name) {
  std::string_view best;
  std::size_t best_distance = name.size() <= 3 ? 2 : 3;
  for (const AggregateFunction& f : kFunctions) {
    const std::size_t distance = edit_distance(name, f.name);
    if (distance < best_distance) {
      best_distance = distance;
      best = f.name;
    }
  }
  return best;
}

Signature signature_of(Family family, const DataType* type) {
  constexpr DataType kInteger{Kind::integer, 0};
  constexpr DataType kFloating{Kind::floating, 0};
  using K = AccumulatorKind;
  if (type == nullptr) {
    if (family == Family::count) return {K::count, Finish::count, kInteger, true};
    if (family == Family::rate) return {K::count, Finish::rate_count, kFloating, true};
    return {};
  }
  const Kind kind = type->kind;
  const K sum = kind == Kind::floating ? K::sum_float : K::sum_int;
  const bool ordered = is_numeric(kind) || kind == Kind::string || kind == Kind::timestamp;
  const bool keepable = ordered || kind == Kind::boolean || kind == Kind::map;
  switch (family) {
    case Family::count:
      return {K::count, Finish::count, kInteger, true};
    case Family::distinct:
      return {K::distinct, Finish::distinct, kInteger, true};
    case Family::sum:
      return {sum, Finish::sum, *type, is_numeric(kind)};
    case Family::average:
      return {sum, Finish::average, kFloating, is_numeric(kind)};
    case Family::rate:
      return {sum, Finish::rate_sum, kFloating, is_numeric(kind)};
    case Family::quantile:
    case Family::median:
      return {K::sketch, Finish::quantile, kFloating, is_numeric(kind)};
    case Family::min:
      return {by_storage(kind, K::min_int, K::min_float, K::min_text), Finish::value, *type,
              ordered};
    case Family::max:
      return {by_storage(kind, K::max_int, K::max_float, K::max_text), Finish::value, *type,
              ordered};
    case Family::first:
      return {by_storage(kind, K::first_int, K::first_float, K::first_text), Finish::value, *type,
              keepable};
    case Family::last:
      return {by_storage(kind, K::last_int, K::last_float, K::last_text), Finish::value, *type,
              keepable};
  }
  return {};
}

Value finish(Finish how, AccumulatorKind kind, DataType type, const std::byte* state,
             double parameter, Duration length, std::uint64_t& overflows) {
  constexpr DataType kFloating{Kind::floating, 0};
  switch (how) {
    case Finish::count:
      return Value::of_int(static_cast<std::int64_t>(as<std::uint64_t>(state)));
    case Finish::rate_count:
      return Value::of_float(static_cast<double>(as<std::uint64_t>(state)) / seconds(length));
    case Finish::distinct:
      return Value::of_int(static_cast<std::int64_t>(as<DistinctState>(state).estimate()));
    case Finish::sum:
    case Finish::average:
    case Finish::rate_sum: {
      if (kind == AccumulatorKind::sum_float) {
        const auto& sum = as<FloatSumState>(state);
        if (sum.count() == 0) return Value::of_null(kFloating);
        return finish_float_sum(how, sum, length, overflows);
      }
      const auto& sum = as<IntSumState>(state);
      if (sum.count == 0) return Value::of_null(how == Finish::sum ? type : kFloating);
      return finish_int_sum(how, type, sum, length, overflows);
    }
    case Finish::value:
      return finish_value(kind, type, state);
    case Finish::quantile: {
      const auto& sketch = as<SketchState>(state);
      if (sketch.empty()) return Value::of_null(kFloating);
      return Value::of_float(sketch.quantile(parameter));
    }
  }
  return Value::of_null(type);
}

}  // namespace streamobs::window

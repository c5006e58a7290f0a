// The scalar functions: one visible table, and beside it how each is typed.
#include "expr/functions.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/decimal.h"

namespace streamobs::expr {

namespace {
constexpr DataType kInt = {Kind::integer, 0};
constexpr DataType kFloat = {Kind::floating, 0};
constexpr DataType kBool = {Kind::boolean, 0};
constexpr DataType kString = {Kind::string, 0};
}  // namespace

bool want_text(Compiler& c, const Node& call, Args args, std::size_t i) {
  if (c.type(args[i]).kind == Kind::null) args[i] = c.widen(args[i], kString);
  if (c.type(args[i]).kind == Kind::string) return true;
  c.wrong_kind(*call.args[i], args[i], "string");
  return false;
}

bool want_int(Compiler& c, const Node& call, Args args, std::size_t i) {
  if (c.type(args[i]).kind == Kind::null) args[i] = c.widen(args[i], kInt);
  if (c.type(args[i]).kind == Kind::integer) return true;
  c.wrong_kind(*call.args[i], args[i], "int");
  return false;
}

bool want_number(Compiler& c, const Node& call, Args args, std::size_t i) {
  if (c.type(args[i]).kind == Kind::null) args[i] = c.widen(args[i], kFloat);
  if (is_numeric(c.type(args[i]).kind)) return true;
  c.wrong_kind(*call.args[i], args[i], "number");
  return false;
}

bool want_float(Compiler& c, const Node& call, Args args, std::size_t i) {
  if (!want_number(c, call, args, i)) return false;
  args[i] = c.to_float(args[i]);
  return true;
}

namespace {

// --- choice

Ref resolve_choice(Compiler& c, const Node& call, Args args, Kernel (*kernel)(Kind)) {
  const auto type = c.common_type(args, call.args, call.span, call.name);
  if (!type) return std::nullopt;
  for (StepId& arg : args) arg = c.widen(arg, *type);
  Compiler::Options options;
  options.strict = false;
  return c.emit(kernel(type->kind), *type, {args.begin(), args.end()}, options);
}

Ref coalesce(Compiler& c, const Node& call, Args args) {
  return resolve_choice(c, call, args, kernels::coalesce);
}
Ref greatest(Compiler& c, const Node& call, Args args) {
  return resolve_choice(c, call, args, kernels::greatest);
}
Ref least(Compiler& c, const Node& call, Args args) {
  return resolve_choice(c, call, args, kernels::least);
}

Ref nullif(Compiler& c, const Node& call, Args args) {
  const DataType type = c.type(args[0]);
  std::array<StepId, 2> both = {args[0], args[1]};
  if (!c.common_type(both, call.args, call.span, "nullif")) return std::nullopt;
  const StepId equal = c.compare(Op::equal, args[0], args[1]);
  const StepId null = c.constant(Value::of_null(type));
  Compiler::Options options;
  options.strict = false;
  return c.emit(kernels::select(type.kind), type, {equal, null, args[0]}, options);
}

// --- numbers

Ref abs(Compiler& c, const Node& call, Args args) {
  if (!want_number(c, call, args, 0)) return std::nullopt;
  const DataType type = c.type(args[0]);
  const bool real = type.kind == Kind::floating;
  return c.emit(real ? kernels::abs_float : kernels::abs_int, type, {args[0]});
}

Ref sign(Compiler& c, const Node& call, Args args) {
  if (!want_number(c, call, args, 0)) return std::nullopt;
  if (c.type(args[0]).kind == Kind::floating) {
    return c.emit(kernels::sign_float, kFloat, {args[0]});
  }
  return c.emit(kernels::sign_int, kInt, {args[0]});
}

/// The digits to round to, a constant of the config.
std::optional<int> digits_of(Compiler& c, const Node& call, Args args) {
  if (!want_int(c, call, args, 1)) return std::nullopt;
  const bool known = c.is_constant(args[1]) && !c.literal(args[1]).null;
  const std::int64_t digits = known ? c.literal(args[1]).integer : 0;
  if (!known || digits < -kMaxDecimalScale || digits > kMaxDecimalScale) {
    c.fail(call.args[1]->span, fmt::format("{} needs a fixed number of digits here", call.name),
           "a whole number from -18 to 18");
    return std::nullopt;
  }
  return static_cast<int>(digits);
}

/// Rounds what is stored as an integer to `digits` behind the point.
Ref round_exact(Compiler& c, const Node& call, StepId id, int digits, kernels::Rounding rounding) {
  const DataType type = c.type(id);
  const int dropped = type.scale - digits;
  if (dropped <= 0) return id;
  if (dropped > kMaxDecimalScale) {
    return c.fail(call.span, fmt::format("{} has no digit that far left", to_text(type)));
  }
  DataType result = type;
  result.scale = static_cast<std::uint8_t>(std::max(digits, 0));
  Compiler::Options options;
  options.a = kernels::round_parameter(dropped, rounding);
  options.b = std::max(-digits, 0);
  return c.emit(kernels::round_int, result, {id}, options);
}

Ref round_by(Compiler& c, const Node& call, Args args, kernels::Rounding rounding, Kernel whole,
             Kernel to_digits) {
  const bool ok = want_number(c, call, args, 0);
  int digits = 0;
  if (args.size() > 1) {
    const auto wanted = digits_of(c, call, args);
    if (!wanted) return std::nullopt;
    digits = *wanted;
  }
  if (!ok) return std::nullopt;
  if (c.type(args[0]).kind != Kind::floating) {
    return round_exact(c, call, args[0], digits, rounding);
  }
  if (args.size() == 1) return c.emit(whole, kFloat, {args[0]});
  Compiler::Options options;
  options.a = digits;
  return c.emit(to_digits, kFloat, {args[0]}, options);
}

Ref round(Compiler& c, const Node& call, Args args) {
  return round_by(c, call, args, kernels::Rounding::half_away, kernels::round_float,
                  kernels::round_float_digits);
}
Ref trunc(Compiler& c, const Node& call, Args args) {
  return round_by(c, call, args, kernels::Rounding::truncate, kernels::truncate_float,
                  kernels::truncate_float_digits);
}
Ref floor(Compiler& c, const Node& call, Args args) {
  return round_by(c, call, args, kernels::Rounding::floor, kernels::floor_float, nullptr);
}
Ref ceiling(Compiler& c, const Node& call, Args args) {
  return round_by(c, call, args, kernels::Rounding::ceiling, kernels::ceiling_float, nullptr);
}

Ref float_function(Compiler& c, const Node& call, Args args, Kernel kernel) {
  if (!want_float(c, call, args, 0)) return std::nullopt;
  return c.emit(kernel, kFloat, {args[0]});
}
Ref sqrt(Compiler& c, const Node& call, Args args) {
  return float_function(c, call, args, kernels::sqrt_float);
}
Ref exp(Compiler& c, const Node& call, Args args) {
  return float_function(c, call, args, kernels::exp_float);
}
Ref ln(Compiler& c, const Node& call, Args args) {
  return float_function(c, call, args, kernels::ln_float);
}
Ref log10(Compiler& c, const Node& call, Args args) {
  return float_function(c, call, args, kernels::log10_float);
}

/// log(x) to base 10, log(b, x) to base b.
Ref log(Compiler& c, const Node& call, Args args) {
  if (args.size() == 1) return log10(c, call, args);
  const bool base = want_float(c, call, args, 0);
  const bool x = want_float(c, call, args, 1);
  if (!base || !x) return std::nullopt;
  const StepId above = c.emit(kernels::ln_float, kFloat, {args[1]});
  const StepId below = c.emit(kernels::ln_float, kFloat, {args[0]});
  return c.emit(kernels::divide_float, kFloat, {above, below});
}

Ref power(Compiler& c, const Node& call, Args args) {
  const bool x = want_float(c, call, args, 0);
  const bool y = want_float(c, call, args, 1);
  if (!x || !y) return std::nullopt;
  return c.emit(kernels::power_float, kFloat, {args[0], args[1]});
}

Ref mod(Compiler& c, const Node& call, Args args) {
  const bool x = want_number(c, call, args, 0);
  const bool y = want_number(c, call, args, 1);
  if (!x || !y) return std::nullopt;
  const auto type = c.common_type(args, call.args, call.span, "mod");
  if (!type) return std::nullopt;
  const bool real = type->kind == Kind::floating;
  return c.emit(real ? kernels::modulo_float : kernels::modulo_int, *type,
                {c.widen(args[0], *type), c.widen(args[1], *type)});
}

// --- text

Ref lower(Compiler& c, const Node& call, Args args) {
  if (!want_text(c, call, args, 0)) return std::nullopt;
  return c.emit(kernels::lower, kString, {args[0]});
}
Ref upper(Compiler& c, const Node& call, Args args) {
  if (!want_text(c, call, args, 0)) return std::nullopt;
  return c.emit(kernels::upper, kString, {args[0]});
}
Ref length(Compiler& c, const Node& call, Args args) {
  if (!want_text(c, call, args, 0)) return std::nullopt;
  return c.emit(kernels::length, kInt, {args[0]});
}
Ref octet_length(Compiler& c, const Node& call, Args args) {
  if (!want_text(c, call, args, 0)) return std::nullopt;
  return c.emit(kernels::octet_length, kInt, {args[0]});
}

Ref trim_by(Compiler& c, const Node& call, Args args, Kernel kernel) {
  bool ok = want_text(c, call, args, 0);
  StepId characters = 0;
  if (args.size() > 1) {
    ok = want_text(c, call, args, 1) && ok;
    characters = args[1];
  } else {
    characters = c.constant(Value::of_string(" "));
  }
  if (!ok) return std::nullopt;
  return c.emit(kernel, kString, {args[0], characters});
}
Ref btrim(Compiler& c, const Node& call, Args args) {
  return trim_by(c, call, args, kernels::trim_both);
}
Ref ltrim(Compiler& c, const Node& call, Args args) {
  return trim_by(c, call, args, kernels::trim_left);
}
Ref rtrim(Compiler& c, const Node& call, Args args) {
  return trim_by(c, call, args, kernels::trim_right);
}

Ref substring(Compiler& c, const Node& call, Args args) {
  bool ok = want_text(c, call, args, 0);
  for (std::size_t i = 1; i < args.size(); ++i) ok = want_int(c, call, args, i) && ok;
  if (!ok) return std::nullopt;
  return c.emit(kernels::substring, kString, {args.begin(), args.end()});
}

Ref side(Compiler& c, const Node& call, Args args, Kernel kernel) {
  const bool text = want_text(c, call, args, 0);
  const bool count = want_int(c, call, args, 1);
  if (!text || !count) return std::nullopt;
  return c.emit(kernel, kString, {args[0], args[1]});
}
Ref left(Compiler& c, const Node& call, Args args) {
  return side(c, call, args, kernels::left);
}
Ref right(Compiler& c, const Node& call, Args args) {
  return side(c, call, args, kernels::right);
}

bool want_texts(Compiler& c, const Node& call, Args args) {
  bool ok = true;
  for (std::size_t i = 0; i < args.size(); ++i) ok = want_text(c, call, args, i) && ok;
  return ok;
}

Ref strpos(Compiler& c, const Node& call, Args args) {
  if (!want_texts(c, call, args)) return std::nullopt;
  return c.emit(kernels::strpos, kInt, {args[0], args[1]});
}
Ref starts_with(Compiler& c, const Node& call, Args args) {
  if (!want_texts(c, call, args)) return std::nullopt;
  return c.emit(kernels::starts_with, kBool, {args[0], args[1]});
}
Ref replace(Compiler& c, const Node& call, Args args) {
  if (!want_texts(c, call, args)) return std::nullopt;
  return c.emit(kernels::replace, kString, {args[0], args[1], args[2]});
}
Ref split_part(Compiler& c, const Node& call, Args args) {
  const bool texts = want_texts(c, call, args.subspan(0, 2));
  const bool number = want_int(c, call, args, 2);
  if (!texts || !number) return std::nullopt;
  return c.emit(kernels::split_part, kString, {args[0], args[1], args[2]});
}

/// Of a word, or of syslog's number.
Ref log_level(Compiler& c, const Node& call, Args args) {
  if (c.type(args[0]).kind == Kind::integer) {
    return c.emit(kernels::log_level, kString, {c.to_text(args[0])});
  }
  if (!want_text(c, call, args, 0)) return std::nullopt;
  return c.emit(kernels::log_level, kString, {args[0]});
}

Ref concat(Compiler& c, const Node&, Args args) {
  std::vector<StepId> texts;
  for (const StepId arg : args) texts.push_back(c.to_text(arg));
  Compiler::Options options;
  options.strict = false;
  return c.emit(kernels::concat_skipping, kString, std::move(texts), options);
}

constexpr std::size_t kAnyNumber = 1000;

constexpr Function kFunctions[] = {
    {"abs", 1, 1, abs},
    {"btrim", 1, 2, btrim},
    {"ceil", 1, 1, ceiling},
    {"ceiling", 1, 1, ceiling},
    {"char_length", 1, 1, length},
    {"coalesce", 1, kAnyNumber, coalesce},
    {"concat", 1, kAnyNumber, concat},
    {"date_part", 2, 2, time_functions::date_part},
    {"date_trunc", 2, 2, time_functions::date_trunc},
    {"epoch_ms", 1, 1, time_functions::epoch_ms},
    {"exp", 1, 1, exp},
    {"floor", 1, 1, floor},
    {"greatest", 1, kAnyNumber, greatest},
    {"least", 1, kAnyNumber, least},
    {"left", 2, 2, left},
    {"length", 1, 1, length},
    {"ln", 1, 1, ln},
    {"log", 1, 2, log},
    {"log10", 1, 1, log10},
    {"log_level", 1, 1, log_level},
    {"lookup", 3, kAnyNumber, lookup},
    {"lower", 1, 1, lower},
    {"ltrim", 1, 2, ltrim},
    {"mod", 2, 2, mod},
    {"now", 0, 0, time_functions::now},
    {"nullif", 2, 2, nullif},
    {"octet_length", 1, 1, octet_length},
    {"power", 2, 2, power},
    {"replace", 3, 3, replace},
    {"right", 2, 2, right},
    {"round", 1, 2, round},
    {"rtrim", 1, 2, rtrim},
    {"sign", 1, 1, sign},
    {"split_part", 3, 3, split_part},
    {"sqrt", 1, 1, sqrt},
    {"starts_with", 2, 2, starts_with},
    {"strpos", 2, 2, strpos},
    {"substr", 2, 3, substring},
    {"substring", 2, 3, substring},
    {"to_timestamp", 1, 1, time_functions::to_timestamp},
    {"trunc", 1, 2, trunc},
    {"upper", 1, 1, upper},
};

// The names that windows and rules give a meaning to; here they are only recognised.
constexpr std::string_view kAggregates[] = {"approx_count_distinct",
                                            "avg",
                                            "baseline",
                                            "count",
                                            "distinct_count",
                                            "first",
                                            "last",
                                            "max",
                                            "median",
                                            "min",
                                            "percentile",
                                            "quantile",
                                            "rate",
                                            "stddev",
                                            "sum",
                                            "variance"};

}  // namespace

const Function* find_function(std::string_view name) {
  for (const Function& function : kFunctions) {
    if (function.name == name) return &function;
  }
  return nullptr;
}

bool is_aggregate(std::string_view name) {
  return std::find(std::begin(kAggregates), std::end(kAggregates), name) != std::end(kAggregates);
}

std::string similar_function(std::string_view name) {
  struct Other {
    std::string_view name;
    std::string_view instead;
  };
  // What people know from other dialects.
  static constexpr Other kOthers[] = {{"ifnull", "coalesce(x, y)"},
                                      {"isnull", "x is null"},
                                      {"nvl", "coalesce(x, y)"},
                                      {"if", "case when … then … else … end"},
                                      {"iif", "case when … then … else … end"},
                                      {"len", "length(x)"},
                                      {"pow", "power(x, y)"},
                                      {"ucase", "upper(x)"},
                                      {"lcase", "lower(x)"},
                                      {"instr", "strpos(x, y)"},
                                      {"toupper", "upper(x)"},
                                      {"tolower", "lower(x)"},
                                      {"contains", "x like '%…%'"},
                                      {"truncate", "trunc(x, n)"},
                                      {"p50", "quantile(x, 0.50)"},
                                      {"p95", "quantile(x, 0.95)"},
                                      {"p99", "quantile(x, 0.99)"},
                                      {"hour", "extract(hour from x)"},
                                      {"minute", "extract(minute from x)"},
                                      {"day", "extract(day from x)"},
                                      {"mean", "avg(x)"}};
  for (const Other& other : kOthers) {
    if (other.name == name) return fmt::format("write {}", other.instead);
  }
  std::vector<std::string_view> names = {"extract", "position", "trim"};
  for (const Function& function : kFunctions) names.push_back(function.name);
  names.insert(names.end(), std::begin(kAggregates), std::end(kAggregates));
  const std::string_view best = nearest(name, names);
  if (best.empty()) return "docs/expressions.md lists the functions";
  return fmt::format("did you mean {}?", best);
}

}  // namespace streamobs::expr

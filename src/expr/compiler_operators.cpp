// How operators are typed: conditions, comparisons, arithmetic.
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/decimal.h"
#include "expr/compiler.h"
#include "expr/text_values.h"

namespace streamobs::expr {
namespace {

constexpr DataType kFloat = {Kind::floating, 0};
constexpr DataType kBool = {Kind::boolean, 0};
constexpr DataType kString = {Kind::string, 0};
constexpr DataType kInterval = {Kind::interval, 0};

std::string name_of(DataType type) {
  return streamobs::to_text(type);
}

bool is_exact(Kind kind) {
  return kind == Kind::integer || kind == Kind::decimal;
}

}  // namespace

// --- truth

std::optional<StepId> Compiler::boolean(const Node& node, StepId id) {
  if (type(id).kind == Kind::null) return widen(id, kBool);
  if (type(id).kind == Kind::boolean) return id;
  fail(node.span, fmt::format("this is {}, but a condition is needed here", name_of(type(id))),
       is_numeric(type(id).kind) ? "compare it with something, as in x <> 0" : "");
  return std::nullopt;
}

StepId Compiler::logical_not(StepId id) {
  return emit(kernels::logical_not, kBool, {id});
}

Compiler::Ref Compiler::logical(const Node& node, std::span<const StepId> args) {
  std::vector<StepId> conditions;
  for (std::size_t i = 0; i < args.size(); ++i) {
    if (const auto id = boolean(*node.args[i], args[i])) conditions.push_back(*id);
  }
  if (conditions.size() != args.size()) return std::nullopt;
  if (node.op == Op::logical_not) return logical_not(conditions[0]);
  Options options;
  options.strict = false;
  options.a = node.negated ? 1 : 0;
  switch (node.op) {
    case Op::logical_and:
      return emit(kernels::logical_and, kBool, conditions, options);
    case Op::logical_or:
      return emit(kernels::logical_or, kBool, conditions, options);
    case Op::is_true:
      return emit(kernels::is_true, kBool, conditions, options);
    default:
      return emit(kernels::is_false, kBool, conditions, options);
  }
}

StepId Compiler::is_null(StepId id, bool negated) {
  Options options;
  options.strict = false;
  options.reads_values = false;
  options.a = negated ? 1 : 0;
  return emit(kernels::is_null, kBool, {id}, options);
}

Compiler::Ref Compiler::case_when(const Node& node, std::vector<StepId> args) {
  std::vector<StepId> values;
  std::vector<NodePtr> value_nodes;
  bool ok = true;
  for (std::size_t i = 0; i < args.size(); ++i) {
    if (i % 2 == 0 && i + 1 < args.size()) {
      const auto condition = boolean(*node.args[i], args[i]);
      ok = ok && condition.has_value();
      if (condition) args[i] = *condition;
    } else {
      values.push_back(args[i]);
      value_nodes.push_back(node.args[i]);
    }
  }
  const auto type = common_type(values, value_nodes, node.span, "case");
  if (!ok || !type) return std::nullopt;
  for (std::size_t i = 0; i < values.size(); ++i) {
    args[std::min(2 * i + 1, args.size() - 1)] = widen(values[i], *type);
  }
  Options options;
  options.strict = false;
  return emit(kernels::select(type->kind), *type, std::move(args), options);
}

// --- comparison

bool Compiler::align(const Node& node, StepId& left, StepId& right) {
  const Node& left_node = *node.args[0];
  const Node& right_node = *node.args[1];
  if (!adapt_literal(left_node, left, type(right).kind)) return false;
  if (!adapt_literal(right_node, right, type(left).kind)) return false;
  const DataType x = type(left);
  const DataType y = type(right);
  if (x.kind == Kind::map || y.kind == Kind::map) {
    fail(node.span, "maps cannot be compared", "compare a value of it: tags['region'] = …");
    return false;
  }
  if (unite(x, y)) return true;
  std::string hint;
  if (x.kind == Kind::string || y.kind == Kind::string) {
    const Node& text = x.kind == Kind::string ? left_node : right_node;
    const Node& other = x.kind == Kind::string ? right_node : left_node;
    double ignored = 0;
    if (text.op == Op::literal && parse_float(text.literal.text, ignored) == NumberError::none) {
      hint = "write the number without quotes";
    } else {
      hint = fmt::format("write cast({} as string)", to_sql(other));
      if (hint.size() > 200) hint = "cast one side";
    }
  }
  fail(node.span, fmt::format("cannot compare {} with {}", name_of(x), name_of(y)),
       std::move(hint));
  return false;
}

StepId Compiler::compare(Op op, StepId left, StepId right) {
  DataType common = unite(type(left), type(right)).value_or(type(left));
  if (common.kind == Kind::null) common = kBool;
  if (!is_exact(common.kind) || type(left).scale == type(right).scale ||
      type(left).kind == Kind::null || type(right).kind == Kind::null) {
    return emit(kernels::comparison(op, common.kind), kBool,
                {widen(left, common), widen(right, common)});
  }
  // A constant is scaled once, if it still fits; columns of different scale meet in 128 bits.
  for (StepId* side : {&left, &right}) {
    if (!is_constant(*side) || literal(*side).null || type(*side).scale == common.scale) continue;
    const StepId scaled = widen(*side, common);
    if (!literal(scaled).null) *side = scaled;
  }
  if (type(left).scale == type(right).scale) {
    return emit(kernels::comparison(op, Kind::integer), kBool, {left, right});
  }
  Options options;
  options.a = power_of_ten(common.scale - type(left).scale);
  options.b = power_of_ten(common.scale - type(right).scale);
  return emit(kernels::scaled_comparison(op), kBool, {left, right}, options);
}

Compiler::Ref Compiler::comparison(const Node& node, StepId left, StepId right) {
  if (!align(node, left, right)) return std::nullopt;
  return compare(node.op, left, right);
}

Compiler::Ref Compiler::distinct(const Node& node, StepId left, StepId right) {
  if (!align(node, left, right)) return std::nullopt;
  const StepId equal = compare(Op::equal, left, right);
  Options options;
  options.strict = false;
  options.a = node.negated ? 1 : 0;
  return emit(kernels::is_distinct, kBool, {equal, is_null(left, false), is_null(right, false)},
              options);
}

Compiler::Ref Compiler::between(const Node& node, std::span<const StepId> args) {
  const auto bound = [&](Op op, std::size_t i) -> Ref {
    Node pair;
    pair.op = op;
    pair.span = node.span;
    pair.args = {node.args[0], node.args[i]};
    StepId value = args[0];
    StepId limit = args[i];
    if (!align(pair, value, limit)) return std::nullopt;
    return compare(op, value, limit);
  };
  const Ref low = bound(Op::greater_equal, 1);
  const Ref high = bound(Op::less_equal, 2);
  if (!low || !high) return std::nullopt;
  Options options;
  options.strict = false;
  const StepId inside = emit(kernels::logical_and, kBool, {*low, *high}, options);
  return node.negated ? logical_not(inside) : inside;
}

Compiler::Ref Compiler::in(const Node& node, std::vector<StepId> args) {
  bool ok = true;
  for (std::size_t i = 1; i < args.size(); ++i) {
    Node pair;
    pair.op = Op::equal;
    pair.span = node.args[i]->span;
    pair.args = {node.args[0], node.args[i]};
    ok = align(pair, args[0], args[i]) && ok;
  }
  if (!ok) return std::nullopt;
  // One pass over the list, if its items can be read as the value's own type without loss.
  DataType common = type(args[0]);
  bool lossless = common.kind != Kind::null;
  std::vector<StepId> items = {args[0]};
  for (std::size_t i = 1; i < args.size() && lossless; ++i) {
    lossless = unite(common, type(args[i])) == common;
    if (!lossless) break;
    items.push_back(widen(args[i], common));
    const bool became_null = is_constant(items[i]) && literal(items[i]).null;
    lossless = !became_null || literal(args[i]).null;
    lossless = lossless && (is_constant(items[i]) || type(args[i]) == common);
  }
  Options options;
  options.strict = false;
  if (lossless) {
    const StepId found = emit(kernels::in_list(common.kind), kBool, std::move(items), options);
    return node.negated ? logical_not(found) : found;
  }
  StepId found = compare(Op::equal, args[0], args[1]);
  for (std::size_t i = 2; i < args.size(); ++i) {
    found =
        emit(kernels::logical_or, kBool, {found, compare(Op::equal, args[0], args[i])}, options);
  }
  return node.negated ? logical_not(found) : found;
}

Compiler::Ref Compiler::like(const Node& node, std::span<const StepId> args) {
  std::array<StepId, 2> texts = {args[0], args[1]};
  for (std::size_t i = 0; i < 2; ++i) {
    if (type(texts[i]).kind == Kind::null) texts[i] = widen(texts[i], kString);
    if (type(texts[i]).kind != Kind::string) return wrong_kind(*node.args[i], texts[i], "string");
  }
  const StepId found =
      emit(node.ilike ? kernels::ilike : kernels::like, kBool, {texts[0], texts[1]});
  return node.negated ? logical_not(found) : found;
}

// --- arithmetic

Compiler::Ref Compiler::negate(const Node& node, StepId arg) {
  const DataType t = type(arg);
  if (t.kind == Kind::null) return arg;
  if (t.kind == Kind::floating) return emit(kernels::negate_float, t, {arg});
  if (is_exact(t.kind) || t.kind == Kind::interval) return emit(kernels::negate_int, t, {arg});
  return wrong_kind(*node.args[0], arg, "number");
}

Compiler::Ref Compiler::arithmetic(const Node& node, StepId left, StepId right) {
  const DataType x = type(left);
  const DataType y = type(right);
  if (x.kind == Kind::null || y.kind == Kind::null) {
    DataType result = x.kind == Kind::null ? y : x;
    if (node.op == Op::divide && is_exact(result.kind)) result = kFloat;
    const bool known = result.kind == Kind::null || is_numeric(result.kind) ||
                       result.kind == Kind::interval || result.kind == Kind::timestamp;
    if (known) return constant(Value::of_null(result));
  }
  if (!is_numeric(x.kind) || !is_numeric(y.kind)) return time_arithmetic(node, left, right);
  if (node.op == Op::divide) {
    return emit(kernels::divide_float, kFloat, {to_float(left), to_float(right)});
  }
  if (x.kind == Kind::floating || y.kind == Kind::floating) {
    const Kernel kernel = node.op == Op::add        ? kernels::add_float
                          : node.op == Op::subtract ? kernels::subtract_float
                          : node.op == Op::multiply ? kernels::multiply_float
                                                    : kernels::modulo_float;
    return emit(kernel, kFloat, {to_float(left), to_float(right)});
  }
  return decimal_arithmetic(node, left, right);
}

Compiler::Ref Compiler::decimal_arithmetic(const Node& node, StepId left, StepId right) {
  const DataType x = type(left);
  const DataType y = type(right);
  if (node.op == Op::multiply) {
    const int scale = x.scale + y.scale;
    if (scale > kMaxDecimalScale) {
      return fail(node.span,
                  fmt::format("the product would have {} digits after the point, more than {}",
                              scale, kMaxDecimalScale),
                  "round one side first, or cast one side to float");
    }
    const bool decimal = x.kind == Kind::decimal || y.kind == Kind::decimal;
    const DataType result = {decimal ? Kind::decimal : Kind::integer,
                             static_cast<std::uint8_t>(scale)};
    return emit(kernels::multiply_int, result, {left, right});
  }
  const DataType common = *unite(x, y);
  const Kernel kernel = node.op == Op::add        ? kernels::add_int
                        : node.op == Op::subtract ? kernels::subtract_int
                                                  : kernels::modulo_int;
  return emit(kernel, common, {widen(left, common), widen(right, common)});
}

Compiler::Ref Compiler::time_arithmetic(const Node& node, StepId left, StepId right) {
  // '5 minutes' beside a time is a span, as in now() - '5 minutes'; but t - '2024-01-09' is not.
  if (node.op == Op::add || node.op == Op::subtract) {
    const Kind x = type(left).kind;
    const Kind y = type(right).kind;
    const auto adapts = [&](const Node& n, Kind other) {
      return n.op == Op::literal && n.literal.type.kind == Kind::string &&
             (other == Kind::timestamp || other == Kind::interval) &&
             parse_interval(n.literal.text).has_value();
    };
    if (adapts(*node.args[1], x)) adapt_literal(*node.args[1], right, Kind::interval);
    if (node.op == Op::add && adapts(*node.args[0], y)) {
      adapt_literal(*node.args[0], left, Kind::interval);
    }
  }
  const DataType x = type(left);
  const DataType y = type(right);
  const bool add = node.op == Op::add;
  const bool subtract = node.op == Op::subtract;
  if (x.kind == Kind::timestamp && y.kind == Kind::interval && (add || subtract)) {
    return emit(add ? kernels::add_int : kernels::subtract_int, x, {left, right});
  }
  if (x.kind == Kind::interval && y.kind == Kind::timestamp && add) {
    return emit(kernels::add_int, y, {left, right});
  }
  if (x.kind == Kind::timestamp && y.kind == Kind::timestamp && subtract) {
    return emit(kernels::subtract_int, kInterval, {left, right});
  }
  if (x.kind == Kind::interval && y.kind == Kind::interval && (add || subtract)) {
    return emit(add ? kernels::add_int : kernels::subtract_int, x, {left, right});
  }
  const bool times = node.op == Op::multiply;
  if (times && is_numeric(x.kind) && y.kind == Kind::interval) std::swap(left, right);
  const bool scales = type(left).kind == Kind::interval && is_numeric(type(right).kind);
  if (scales && times && type(right).kind == Kind::integer) {
    return emit(kernels::multiply_int, kInterval, {left, right});
  }
  if (scales && (times || node.op == Op::divide)) {
    const StepId micros = emit(kernels::int_to_float, kFloat, {left});
    const StepId scaled = emit(times ? kernels::multiply_float : kernels::divide_float, kFloat,
                               {micros, to_float(right)});
    return emit(kernels::float_to_int, kInterval, {scaled});
  }
  std::string hint;
  if (x.kind == Kind::string || y.kind == Kind::string) {
    hint = add ? "|| joins texts; cast(… as float) makes a number of one"
               : "cast(… as float) makes a number of a text";
  } else if (x.kind == Kind::timestamp || y.kind == Kind::timestamp) {
    hint = "a time can be moved by a span: … + interval '5 minutes'";
  }
  static constexpr std::string_view kSymbols[] = {"+", "-", "*", "/", "%"};
  const auto symbol = kSymbols[static_cast<int>(node.op) - static_cast<int>(Op::add)];
  return fail(node.span, fmt::format("there is no {} {} {}", name_of(x), symbol, name_of(y)),
              std::move(hint));
}

}  // namespace streamobs::expr

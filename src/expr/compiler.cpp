#include "expr/compiler.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/decimal.h"
#include "expr/text_values.h"

namespace streamobs::expr {
namespace {

constexpr int kMaxDepth = 512;  // Derived fields over derived fields, each at most 64 deep.
constexpr std::size_t kMaxSteps = 4096;
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

/// The type both can be widened to, if there is one.
std::optional<DataType> unite(DataType x, DataType y) {
  if (x == y || y.kind == Kind::null) return x;
  if (x.kind == Kind::null) return y;
  if (!is_numeric(x.kind) || !is_numeric(y.kind)) return std::nullopt;
  if (x.kind == Kind::floating || y.kind == Kind::floating) return kFloat;
  return DataType{Kind::decimal, std::max(x.scale, y.scale)};
}

}  // namespace

Compiler::Ref Compiler::compile(const NodePtr& node, const SourceText& source,
                                Diagnostics& diagnostics, std::optional<Kind> expected) {
  source_ = &source;
  diagnostics_ = &diagnostics;
  definitions_.resize(scope_.definitions().size());
  visible_definitions_ = definitions_.size();
  depth_ = 0;
  memo_.clear();
  const std::size_t before = steps_.size();
  Ref result = compile_node(node);
  memo_.clear();  // Nodes may be gone, and others stand at their addresses, by the next call.
  if (result && steps_.size() - before > kMaxSteps) {
    return fail(node->span, "the expression is too big", "split it");
  }
  return expected ? require(result, *node, *expected) : result;
}

Compiler::Ref Compiler::fail(Span span, std::string message, std::string hint) {
  diagnostics_->push_back(diagnose(*source_, span, std::move(message), std::move(hint)));
  return std::nullopt;
}

Compiler::Ref Compiler::wrong_kind(const Node& node, StepId id, std::string_view wanted) {
  std::string hint;
  if (wanted == "string") hint = fmt::format("write cast({} as string)", to_sql(node));
  if (type(id).kind == Kind::string && (wanted == "number" || wanted == "int")) {
    hint = fmt::format("write cast({} as {})", to_sql(node), wanted == "int" ? "int" : "float");
  }
  if (wanted == "int" && is_numeric(type(id).kind)) {
    hint = fmt::format("write cast({} as int)", to_sql(node));
  }
  if (hint.size() > 200) hint = "use cast(… as …)";
  return fail(node.span,
              fmt::format("this is {}, but {} is needed here", name_of(type(id)), wanted),
              std::move(hint));
}

Compiler::Ref Compiler::require(Ref id, const Node& node, Kind expected) {
  if (!id) return std::nullopt;
  const Kind kind = type(*id).kind;
  if (kind == expected) return id;
  const bool widens =
      kind == Kind::null ||
      (kind == Kind::integer && (expected == Kind::floating || expected == Kind::decimal)) ||
      (kind == Kind::decimal && expected == Kind::floating);
  if (widens) return widen(*id, {expected, 0});
  return wrong_kind(node, *id, name_of({expected, 0}).substr(0, name_of({expected, 0}).find('(')));
}

// --- steps

StepId Compiler::add_step(Step step) {
  std::string key;
  const auto append = [&key](const auto& value) {
    key.append(reinterpret_cast<const char*>(&value), sizeof(value));
  };
  append(step.what);
  append(step.type.kind);
  append(step.type.scale);
  append(step.kernel);
  append(step.a);
  append(step.b);
  append(step.column);
  append(step.literal.null);
  append(step.literal.integer);
  append(step.literal.floating);
  for (const StepId arg : step.args) append(arg);
  key += step.literal.text;
  const auto id = static_cast<StepId>(steps_.size());
  const auto [known, added] = known_.try_emplace(std::move(key), id);
  if (!added) return known->second;
  steps_.push_back(std::move(step));
  return id;
}

StepId Compiler::constant(Value value) {
  Step step;
  step.what = Step::What::constant;
  step.type = value.type;
  step.literal = std::move(value);
  return add_step(std::move(step));
}

StepId Compiler::now() {
  Step step;
  step.what = Step::What::now;
  step.type = {Kind::timestamp, 0};
  return add_step(std::move(step));
}

StepId Compiler::emit(Kernel kernel, DataType type, std::vector<StepId> args, Options options) {
  if (type.kind == Kind::null) return constant(Value::of_null(type));
  bool all_constant = !args.empty();
  for (const StepId arg : args) {
    all_constant = all_constant && is_constant(arg);
    const bool null = is_constant(arg) && literal(arg).null;
    if (null && options.strict) return constant(Value::of_null(type));
  }
  Step step;
  step.type = type;
  step.kernel = kernel;
  step.strict = options.strict;
  step.reads_values = options.reads_values;
  step.a = options.a;
  step.b = options.b;
  step.args = std::move(args);
  return all_constant ? fold(step) : add_step(std::move(step));
}

ColumnView constant_view(const Value& value, const std::string_view& text) {
  static constexpr std::uint8_t kNull = 1;
  static constexpr std::uint8_t kTruth[] = {0, 1};
  ColumnView view;
  view.type = value.type;
  view.constant = true;
  view.nulls = value.null ? &kNull : nullptr;
  view.bools = &kTruth[!value.null && value.integer != 0 ? 1 : 0];
  view.ints = &value.integer;
  view.floats = &value.floating;
  view.strings = &text;
  return view;
}

/// Runs the kernel over its constants, here and now.
StepId Compiler::fold(const Step& step) {
  constexpr std::size_t kMaxFoldedText = 4096;  // Longer texts are made anew in each run.
  std::vector<std::string_view> texts(step.args.size());
  std::vector<ColumnView> args;
  for (std::size_t i = 0; i < step.args.size(); ++i) {
    const Value& value = literal(step.args[i]);
    texts[i] = value.text;
    args.push_back(constant_view(value, texts[i]));
  }
  Scratch scratch;
  std::uint8_t null = 0;
  std::uint8_t truth = 0;
  std::int64_t integer = 0;
  double floating = 0;
  std::string_view text;
  Frame frame;
  frame.rows = 1;
  frame.args = args;
  frame.type = step.type;
  frame.a = step.a;
  frame.b = step.b;
  frame.scratch = &scratch;
  frame.nulls = &null;
  frame.bools = &truth;
  frame.ints = &integer;
  frame.floats = &floating;
  frame.strings = &text;
  step.kernel(frame);
  if (text.size() > kMaxFoldedText) return add_step(step);
  Value value = Value::of_null(step.type);
  if (frame.is_null(0)) return constant(std::move(value));
  value.null = false;
  value.integer = step.type.kind == Kind::boolean ? truth : integer;
  value.floating = floating;
  value.text = text;
  return constant(std::move(value));
}

// --- conversions

StepId Compiler::widen(StepId id, DataType to) {
  const DataType from = type(id);
  if (from == to) return id;
  if (from.kind == Kind::null) return constant(Value::of_null(to));
  Options options;
  if (to.kind == Kind::floating) {
    options.a = from.scale;
    return emit(kernels::int_to_float, to, {id}, options);
  }
  options.a = power_of_ten(to.scale - from.scale);
  return emit(kernels::scale_int, to, {id}, options);
}

Compiler::Ref Compiler::convert(StepId id, DataType to) {
  const DataType from = type(id);
  if (from == to) return id;
  if (from.kind == Kind::null) return widen(id, to);
  if (to.kind == Kind::string) return to_text(id);
  Options options;
  if (from.kind == Kind::string) {
    switch (to.kind) {
      case Kind::integer:
        return emit(kernels::string_to_int, to, {id});
      case Kind::floating:
        return emit(kernels::string_to_float, to, {id});
      case Kind::decimal:
        return emit(kernels::string_to_decimal, to, {id});
      case Kind::boolean:
        return emit(kernels::string_to_bool, to, {id});
      case Kind::timestamp:
        return emit(kernels::string_to_timestamp, to, {id});
      case Kind::interval:
        return emit(kernels::string_to_interval, to, {id});
      default:
        return std::nullopt;
    }
  }
  if (from.kind == Kind::boolean && to.kind == Kind::integer) {
    return emit(kernels::bool_to_int, to, {id});
  }
  if (from.kind == Kind::integer && to.kind == Kind::boolean) {
    return emit(kernels::int_to_bool, to, {id});
  }
  if (!is_numeric(from.kind) || !is_numeric(to.kind)) return std::nullopt;
  if (to.kind == Kind::floating) return widen(id, to);
  if (from.kind == Kind::floating) {
    options.a = to.scale;
    const bool whole = to.kind == Kind::integer;
    return emit(whole ? kernels::float_to_int : kernels::float_to_decimal, to, {id}, options);
  }
  if (to.scale >= from.scale) return widen(id, to);
  options.a = kernels::round_parameter(from.scale - to.scale, kernels::Rounding::half_away);
  return emit(kernels::round_int, to, {id}, options);
}

StepId Compiler::to_text(StepId id) {
  if (type(id).kind == Kind::string) return id;
  if (type(id).kind == Kind::null) return widen(id, kString);
  return emit(kernels::to_string, kString, {id});
}

std::optional<DataType> Compiler::common_type(std::span<StepId> ids, std::span<const NodePtr> nodes,
                                              Span span, std::string_view what) {
  DataType common;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    // A text literal among times is a time.
    if (common.kind == Kind::timestamp || common.kind == Kind::interval) {
      if (!adapt_literal(*nodes[i], ids[i], common.kind)) return std::nullopt;
    }
    const auto united = unite(common, type(ids[i]));
    if (!united) {
      fail(i < nodes.size() ? nodes[i]->span : span,
           fmt::format("{} mixes {} and {}", what, name_of(common), name_of(type(ids[i]))),
           "make them one type with cast(… as …)");
      return std::nullopt;
    }
    common = *united;
  }
  return common;
}

bool Compiler::adapt_literal(const Node& node, StepId& id, Kind wanted) {
  if (node.op != Op::literal || node.literal.type.kind != Kind::string) return true;
  if (wanted == Kind::timestamp) {
    if (const auto time = parse_timestamp(node.literal.text)) {
      id = constant(Value::of_timestamp(*time));
      return true;
    }
    fail(node.span, "not a time", "for example '2024-01-09 12:34:56'");
    return false;
  }
  if (wanted == Kind::interval) {
    if (const auto span = parse_interval(node.literal.text)) {
      Value value = Value::of_int(*span);
      value.type = kInterval;
      id = constant(std::move(value));
      return true;
    }
    fail(node.span, "not a span of time", "for example '5 minutes'");
    return false;
  }
  return true;
}

// --- nodes

Compiler::Ref Compiler::compile_node(const NodePtr& node) {
  if (const auto known = memo_.find(node.get()); known != memo_.end()) return known->second;
  if (depth_ >= kMaxDepth) {
    return fail(node->span, "derived fields are nested too deeply here");
  }
  ++depth_;
  const Ref result = dispatch(*node);
  --depth_;
  memo_.emplace(node.get(), result);
  return result;
}

Compiler::Ref Compiler::dispatch(const Node& node) {
  if (node.op == Op::literal) return constant(node.literal);
  if (node.op == Op::column) return compile_column(node);
  if (node.op == Op::call) return compile_call(node);
  std::vector<StepId> args;
  bool ok = true;
  for (const NodePtr& arg : node.args) {
    const Ref id = compile_node(arg);
    ok = ok && id.has_value();
    args.push_back(id.value_or(0));
  }
  if (!ok) return std::nullopt;
  switch (node.op) {
    case Op::negate:
      return negate(node, args[0]);
    case Op::logical_not:
    case Op::logical_and:
    case Op::logical_or:
    case Op::is_true:
    case Op::is_false:
      return logical(node, args);
    case Op::add:
    case Op::subtract:
    case Op::multiply:
    case Op::divide:
    case Op::modulo:
      return arithmetic(node, args[0], args[1]);
    case Op::concat:
      return concat(node, args[0], args[1]);
    case Op::is_null:
      return is_null(args[0], node.negated);
    case Op::is_distinct:
      return distinct(node, args[0], args[1]);
    case Op::in:
      return in(node, std::move(args));
    case Op::between:
      return between(node, args);
    case Op::like:
      return like(node, args);
    case Op::case_when:
      return case_when(node, std::move(args));
    case Op::cast:
      return cast(node, args[0]);
    case Op::element:
      return element(node, args);
    default:
      return comparison(node, args[0], args[1]);
  }
}

Compiler::Ref Compiler::compile_column(const Node& node) {
  for (std::size_t i = visible_definitions_; i-- > 0;) {
    if (scope_.definitions()[i].name == node.name) return compile_definition(i);
  }
  if (const auto column = scope_.column(node.name)) {
    Step step;
    step.what = Step::What::column;
    step.type = scope_.columns()[*column].type;
    step.column = *column;
    return add_step(std::move(step));
  }
  std::string hint = scope_.suggestion(node.name);
  const std::size_t dot = node.name.find('.');
  if (dot != std::string::npos) {
    const auto map = scope_.column(node.name.substr(0, dot));
    if (map && scope_.columns()[*map].type.kind == Kind::map) {
      hint = fmt::format("write {}['{}']", node.name.substr(0, dot), node.name.substr(dot + 1));
    }
  }
  const std::string& text = source_->text;
  if (node.span.begin < text.size() && text[node.span.begin] == '"' &&
      !hint.starts_with("did you mean")) {
    hint = fmt::format("a text stands in single quotes: '{}'", node.name);
  }
  return fail(node.span, fmt::format("there is no column {}", node.name), std::move(hint));
}

Compiler::Ref Compiler::compile_definition(std::size_t index) {
  Definition& known = definitions_[index];
  if (known.done) return known.result;
  const Scope::Definition& definition = scope_.definitions()[index];
  const SourceText* const outer_source = source_;
  const std::size_t outer_visible = visible_definitions_;
  source_ = &definition.source;
  visible_definitions_ = index;
  const Ref result = compile_node(definition.node);
  source_ = outer_source;
  visible_definitions_ = outer_visible;
  definitions_[index] = {true, result};
  return result;
}

Compiler::Ref Compiler::compile_call(const Node& node) {
  const Function* const function = find_function(node.name);
  if (function == nullptr) {
    if (is_aggregate(node.name)) {
      std::string hint;
      if ((node.name == "max" || node.name == "min") && node.args.size() > 1) {
        hint = fmt::format("for one of several values write {}(…)",
                           node.name == "max" ? "greatest" : "least");
      }
      return fail(node.span,
                  node.name == "baseline"
                      ? "baseline() is only known in a rule's condition"
                      : fmt::format("aggregate function {} is not allowed here", node.name),
                  std::move(hint));
    }
    return fail(node.span, fmt::format("there is no function {}", node.name),
                similar_function(node.name));
  }
  if (node.star || node.distinct || node.filter != nullptr) {
    const std::string_view what = node.star ? "(*)" : node.distinct ? "distinct" : "filter (…)";
    return fail(node.span, fmt::format("{} goes with an aggregate function, which {} is not", what,
                                       node.name));
  }
  std::vector<StepId> args;
  bool ok = true;
  for (const NodePtr& arg : node.args) {
    const Ref id = compile_node(arg);
    ok = ok && id.has_value();
    args.push_back(id.value_or(0));
  }
  if (args.size() < function->least_args || args.size() > function->most_args) {
    const std::string wanted =
        function->least_args == function->most_args ? fmt::format("{}", function->least_args)
        : function->most_args < 10
            ? fmt::format("{} or {}", function->least_args, function->most_args)
            : fmt::format("at least {}", function->least_args);
    return fail(node.span, fmt::format("{} takes {} argument{}, not {}", node.name, wanted,
                                       wanted == "1" ? "" : "s", args.size()));
  }
  if (!ok) return std::nullopt;
  return function->resolve(*this, node, args);
}

Compiler::Ref Compiler::cast(const Node& node, StepId arg) {
  const Ref converted = convert(arg, node.type);
  if (converted) return converted;
  std::string hint;
  const Kind from = type(arg).kind;
  if (from == Kind::timestamp && is_numeric(node.type.kind)) {
    hint = "write extract(epoch from …) for seconds since 1970";
  } else if (is_numeric(from) && node.type.kind == Kind::timestamp) {
    hint = "write to_timestamp(seconds) or epoch_ms(milliseconds)";
  } else if (from == Kind::interval && is_numeric(node.type.kind)) {
    hint = "write extract(epoch from …) for seconds";
  }
  return fail(node.span,
              fmt::format("{} cannot be cast to {}", name_of(type(arg)), name_of(node.type)),
              std::move(hint));
}

Compiler::Ref Compiler::element(const Node& node, std::span<const StepId> args) {
  StepId map = args[0];
  StepId key = args[1];
  if (type(map).kind == Kind::null) map = widen(map, {Kind::map, 0});
  if (type(key).kind == Kind::null) key = widen(key, kString);
  if (type(map).kind != Kind::map) {
    return fail(node.args[0]->span,
                fmt::format("this is {}; only a map has values by key", name_of(type(map))));
  }
  if (type(key).kind != Kind::string) return wrong_kind(*node.args[1], key, "string");
  return emit(kernels::element, kString, {map, key});
}

Compiler::Ref Compiler::concat(const Node& node, StepId left, StepId right) {
  const auto is_string = [&](StepId id) {
    return type(id).kind == Kind::string || type(id).kind == Kind::null;
  };
  if (!is_string(left) && !is_string(right)) {
    return fail(
        node.span,
        fmt::format("|| joins texts, not {} and {}", name_of(type(left)), name_of(type(right))),
        "cast one side to string");
  }
  return emit(kernels::concat, kString, {to_text(left), to_text(right)});
}

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

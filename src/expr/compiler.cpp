#include "expr/compiler.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/decimal.h"
#include "expr/text_values.h"

namespace streamobs::expr {
namespace {

constexpr int kMaxDepth = 512;  // Derived fields over derived fields, each at most 64 deep.
constexpr std::size_t kMaxSteps = 4096;
constexpr int kMaxMistakes = 20;  // Of one expression, that are told.
constexpr DataType kFloat = {Kind::floating, 0};
constexpr DataType kString = {Kind::string, 0};
constexpr DataType kInterval = {Kind::interval, 0};

std::string name_of(DataType type) {
  return streamobs::to_text(type);
}

}  // namespace

std::optional<DataType> unite(DataType x, DataType y) {
  if (x == y || y.kind == Kind::null) return x;
  if (x.kind == Kind::null) return y;
  if (!is_numeric(x.kind) || !is_numeric(y.kind)) return std::nullopt;
  if (x.kind == Kind::floating || y.kind == Kind::floating) return kFloat;
  return DataType{Kind::decimal, std::max(x.scale, y.scale)};
}

Compiler::Ref Compiler::compile(const NodePtr& node, const SourceText& source,
                                Diagnostics& diagnostics, std::optional<Kind> expected) {
  source_ = &source;
  diagnostics_ = &diagnostics;
  definitions_.resize(scope_.definitions().size());
  visible_definitions_ = definitions_.size();
  depth_ = 0;
  mistakes_ = 0;
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
  // Finding the place takes a walk over the text, and a long text can have thousands of mistakes.
  if (++mistakes_ > kMaxMistakes) return std::nullopt;
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

Compiler::Ref Compiler::as_type(const Node& node, StepId id, DataType wanted) {
  const std::optional<DataType> both = unite(type(id), wanted);
  if (both == wanted) return widen(id, wanted);
  return wrong_kind(node, id, name_of(wanted));
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

Compiler::Ref Compiler::event_time() {
  if (!scope_.event_time()) return std::nullopt;
  Step step;
  step.what = Step::What::column;
  step.column = *scope_.event_time();
  step.type = scope_.columns()[step.column].type;
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
  return all_constant && options.foldable ? fold(step) : add_step(std::move(step));
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
    if (scope_.columns()[*column].type.kind == Kind::null) return std::nullopt;
    Step step;
    step.what = Step::What::column;
    step.type = scope_.columns()[*column].type;
    step.column = *column;
    return add_step(std::move(step));
  }
  if (scope_.incomplete()) return std::nullopt;
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

}  // namespace streamobs::expr

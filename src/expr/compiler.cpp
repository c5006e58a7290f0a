#include "expr/compiler.h"

#include <fmt/format.h>

namespace streamobs::expr {
namespace {

constexpr int kMaxDepth = 512;  // Derived fields over derived fields, each at most 64 deep.
constexpr std::size_t kMaxSteps = 4096;
constexpr int kMaxMistakes = 20;  // Of one expression, that are told.
constexpr DataType kString = {Kind::string, 0};

std::string name_of(DataType type) {
  return streamobs::to_text(type);
}

}  // namespace

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
  std::string of_sides;  // Both sides of a join have one.
  for (const Scope::Column& column : scope_.columns()) {
    if (!column.name.ends_with("." + node.name)) continue;
    of_sides += (of_sides.empty() ? "" : " or ") + column.name;
  }
  if (!of_sides.empty()) hint = fmt::format("which one: {}?", of_sides);
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

#include "window/select_compiler.h"

#include <algorithm>
#include <cctype>
#include <set>

#include <fmt/format.h>

#include "base/hash.h"
#include "window/definition.h"
#include "window/metric_aggregate.h"

namespace streamobs::window {

namespace {

using Family = AggregateFunction::Family;

/// Aggregates become columns of this name, which no user's name can be.
std::string column_of(const std::string& sql) {
  return "aggregate " + sql;
}

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

/// Stands for an aggregate call with a mistake, so that the rest around it is still looked at.
constexpr std::string_view kMistake = "aggregate ?";

/// A column by name, where `instead_of` stands.
expr::NodePtr column_node(const expr::Node& instead_of, std::string name) {
  auto node = std::make_shared<expr::Node>();
  node->op = expr::Op::column;
  node->span = instead_of.span;
  node->name = std::move(name);
  return node;
}

constexpr std::string_view kReserved[] = {"window_start", "window_end", "closed", "revision",
                                          "window",       "overflow",   "state"};
/// Parameters of the HTTP API, where KEY=VALUE filters stand beside them.
constexpr std::string_view kReservedKeys[] = {"from", "to", "windows", "limit"};

}  // namespace

void SelectCompiler::complain(const SourceText& source, expr::Span span, std::string message,
                              std::string hint) {
  diagnostics_.push_back(expr::diagnose(source, span, std::move(message), std::move(hint)));
}

std::size_t SelectCompiler::item_named(const std::string& name) const {
  for (std::size_t i = 0; i < items_.size(); ++i) {
    if (items_[i].options->name.text == name) return i;
  }
  return items_.size();
}

bool SelectCompiler::key_named(const std::string& name) const {
  return std::any_of(keys_.begin(), keys_.end(),
                     [&](const CompiledKey& key) { return key.name == name; });
}

bool SelectCompiler::check_names() {
  bool ok = true;
  std::set<std::string> taken;  // In lower case: SQL's column names do not mind the case.
  const auto check = [&](const SourceText& name, std::string_view what) {
    Diagnostic d;
    d.place = name.place;
    const std::string text = lower(name.text);
    const bool is_key = what == "key";
    if (std::find(std::begin(kReserved), std::end(kReserved), text) != std::end(kReserved) ||
        (is_key && std::find(std::begin(kReservedKeys), std::end(kReservedKeys), text) !=
                       std::end(kReservedKeys))) {
      d.message = fmt::format("window {}: the name {} is taken by the engine", options_.name.text,
                              name.text);
      d.hint = fmt::format("choose another name for this {}", what);
    } else if (!taken.insert(text).second) {
      d.message =
          fmt::format("window {}: there is already a column {}", options_.name.text, name.text);
      d.hint = is_key ? "rename it: by = { other_name = \"expression\" }"
                      : "each key and metric needs a name of its own";
    } else {
      return;
    }
    diagnostics_.push_back(std::move(d));
    ok = false;
  };
  for (const NamedExpression& key : options_.by) {
    check(key.name.empty() ? key.expression : key.name, "key");
  }
  for (const NamedExpression& metric : options_.select) check(metric.name, "metric");
  return ok;
}

bool SelectCompiler::check_call(const expr::Node& call, const SourceText& source) {
  const AggregateFunction& function = *find_aggregate(call.name);
  const Family family = function.family;
  const std::string usage = fmt::format("write {}", function.usage);
  bool nested = false;
  const auto look = [&](const expr::Node& node) {
    if (nested || &node == &call) return;
    if (node.op == expr::Op::call && find_aggregate(node.name) != nullptr) {
      nested = true;
      complain(
          source, node.span,
          fmt::format("{} stands inside {}: aggregates cannot be nested", node.name, call.name),
          "give the inner one a name of its own in select, or aggregate it in a second window");
    }
  };
  for (const expr::NodePtr& arg : call.args) expr::walk(arg, look);
  if (call.filter) expr::walk(call.filter, look);
  if (nested) return false;

  std::size_t least = 1;
  std::size_t most = 1;
  if (family == Family::quantile) least = most = 2;
  if (family == Family::rate) least = 0;
  if (call.star) {
    if (family == Family::count && !call.distinct) return true;
    complain(source, call.span, fmt::format("{}(*) means nothing", call.name), usage);
    return false;
  }
  if (call.args.size() < least || call.args.size() > most) {
    complain(source, call.span,
             fmt::format("{} takes {} but has {}", call.name,
                         least == most ? fmt::format("{} argument{}", most, most == 1 ? "" : "s")
                                       : fmt::format("at most {} argument", most),
                         call.args.size()),
             usage);
    return false;
  }
  if (call.distinct && family != Family::count) {
    complain(source, call.span, fmt::format("{}(distinct …) is not supported", call.name),
             "distinct is there for count: count(distinct x)");
    return false;
  }
  return true;
}

std::optional<double> SelectCompiler::quantile_of(const expr::Node& call,
                                                  const SourceText& source) {
  const expr::Node& p = *call.args[1];
  if (p.op == expr::Op::literal && !p.literal.null && is_numeric(p.literal.type.kind)) {
    const double v = p.literal.as_double();
    if (v >= 0 && v <= 1) return v;
    complain(source, p.span, fmt::format("{} of {}: expected a number from 0 to 1", call.name, v),
             v > 1 && v <= 100 ? fmt::format("for the {}th percentile write {}", v, v / 100)
                               : "0.5 is the median, 0.99 what 99 % stay below");
    return std::nullopt;
  }
  complain(source, p.span,
           fmt::format("{}: which quantile must be a constant from 0 to 1", call.name),
           "for example quantile(latency_ms, 0.95)");
  return std::nullopt;
}

std::size_t SelectCompiler::add_accumulator(WindowPlan& plan, const Signature& signature,
                                            DataType type, const expr::Node& call, int argument,
                                            int filter) {
  for (std::size_t i = 0; i < plan.accumulators.size(); ++i) {
    const AccumulatorPlan& a = plan.accumulators[i];
    if (a.kind == signature.kind && a.argument == argument && a.filter == filter) return i;
  }
  AccumulatorPlan a;
  a.kind = signature.kind;
  a.type = type;
  a.argument = argument;
  a.filter = filter;
  a.ops = &ops_of(signature.kind);
  a.offset = plan.row_bytes;
  a.text =
      fmt::format("{}({})", a.ops->name, argument == kNoOutput ? "*" : expr::to_sql(*call.args[0]));
  if (call.filter) a.text += fmt::format(" filter (where {})", expr::to_sql(*call.filter));
  a.definition = fmt::format(
      "{}({})", a.ops->name,
      argument == kNoOutput ? "*" : expression_definition(call.args[0], outputs_.scope()));
  if (call.filter) {
    a.definition += fmt::format(" where {}", expression_definition(call.filter, outputs_.scope()));
  }
  plan.row_bytes += a.ops->size;
  plan.flat = plan.flat && a.ops->flat;
  plan.accumulators.push_back(std::move(a));
  return plan.accumulators.size() - 1;
}

std::string SelectCompiler::add_aggregate(const expr::Node& call, const SourceText& source,
                                          WindowPlan& plan) {
  const std::string name = column_of(expr::to_sql(call));
  if (std::find(aggregate_columns_.begin(), aggregate_columns_.end(), name) !=
      aggregate_columns_.end()) {
    return name;
  }
  if (!check_call(call, source)) return {};
  Family family = find_aggregate(call.name)->family;
  if (call.distinct) family = Family::distinct;

  AggregatePlan aggregate;
  if (family == Family::median) aggregate.parameter = 0.5;
  if (family == Family::quantile) {
    const std::optional<double> p = quantile_of(call, source);
    if (!p) return {};
    aggregate.parameter = *p;
  }
  int argument = kNoOutput;
  DataType type;
  if (!call.args.empty() && !call.star) {
    const auto output = outputs_.add(call.args[0], source, diagnostics_);
    if (!output) return {};
    argument = *output;
    type = outputs_.type(argument);
    if (type.kind == Kind::null) {
      complain(source, call.args[0]->span, fmt::format("{} of NULL is always NULL", call.name), "");
      return {};
    }
  }
  const Signature signature = signature_of(family, argument == kNoOutput ? nullptr : &type);
  if (!signature.ok) {
    const bool number = family != Family::min && family != Family::max;
    std::string hint = "cast it, for example x::int, or count it instead";
    if (type.kind == Kind::boolean) hint = "count rows with count(*) filter (where x)";
    if (type.kind == Kind::interval) hint = "make it a number: extract(epoch from x)";
    complain(source, call.args[0]->span,
             fmt::format("{} cannot take {}: it needs {}", call.name, to_text(type),
                         number ? "numbers" : "numbers, text or times"),
             std::move(hint));
    return {};
  }
  int filter = kNoOutput;
  if (call.filter) {
    const auto output = outputs_.add(call.filter, source, diagnostics_, Kind::boolean);
    if (!output) return {};
    filter = *output;
  }
  aggregate.accumulator = add_accumulator(plan, signature, type, call, argument, filter);
  aggregate.finish = signature.finish;
  aggregate.type = signature.result;
  plan.aggregates.push_back(aggregate);
  aggregate_columns_.push_back(name);
  return name;
}

expr::NodePtr SelectCompiler::replace_aggregates(const expr::NodePtr& root,
                                                 const SourceText& source, WindowPlan& plan) {
  return expr::rewrite(root, [&](const expr::NodePtr& node) -> expr::NodePtr {
    if (node->op == expr::Op::literal) return nullptr;
    if (node->op == expr::Op::call) {
      if (find_aggregate(node->name) != nullptr) {
        std::string name = add_aggregate(*node, source, plan);
        return column_node(*node, name.empty() ? std::string(kMistake) : std::move(name));
      }
      if (node->star || node->distinct || node->filter) {
        const std::string_view near = nearest_aggregate(node->name);
        complain(source, node->span, fmt::format("there is no aggregate function {}", node->name),
                 near.empty() ? std::string("there are count, sum, avg, min, max, quantile, "
                                            "median, distinct_count, first, last and rate")
                              : fmt::format("did you mean {}?", near));
        return column_node(*node, std::string(kMistake));
      }
    }
    if (node->op == expr::Op::column &&
        (key_named(node->name) || item_named(node->name) < items_.size())) {
      return nullptr;
    }
    const std::string sql = expr::to_sql(*node);
    for (const CompiledKey& key : keys_) {
      if (key.sql == sql) return column_node(*node, key.name);
    }
    return nullptr;
  });
}

bool SelectCompiler::check_column(const expr::Node& column, const SourceText& source) {
  if (key_named(column.name) || item_named(column.name) < items_.size()) return true;
  if (std::find(aggregate_columns_.begin(), aggregate_columns_.end(), column.name) !=
      aggregate_columns_.end()) {
    return true;
  }
  const expr::Scope& scope = outputs_.scope();
  if (scope.column(column.name) || scope.definition(column.name) != nullptr) {
    complain(source, column.span,
             fmt::format("{} is neither a key nor inside an aggregate", column.name),
             fmt::format("add it to by, or aggregate it, for example max({})", column.name));
    return false;
  }
  return true;  // The expression compiler says that there is no such column, and what is near.
}

bool SelectCompiler::has_unknown_function(const expr::NodePtr& node, const SourceText& source,
                                          const WindowPlan& plan) {
  // A misspelt aggregate leaves its argument outside any: say what is misspelt, not that. The
  // expression compiler knows the functions, so it is asked with every name there might be.
  expr::Scope scope = outputs_.scope();
  for (std::size_t i = 0; i < plan.aggregates.size(); ++i) {
    scope.add_hidden_column(aggregate_columns_[i], plan.aggregates[i].type);
  }
  Diagnostics found;
  expr::ProgramBuilder probe(scope);
  if (probe.add(node, source, found)) return false;
  for (Diagnostic& d : found) {
    if (!d.message.starts_with("there is no function")) continue;
    diagnostics_.push_back(std::move(d));
    return true;
  }
  return false;
}

bool SelectCompiler::parse_items(WindowPlan& plan) {
  bool ok = true;
  for (const NamedExpression& metric : options_.select)
    items_.push_back({&metric, nullptr, {}, {}});
  for (Item& item : items_) {
    const SourceText& source = item.options->expression;
    expr::NodePtr parsed;
    if (!source.empty() || !options_.mistaken) parsed = expr::parse(source, diagnostics_);
    bool item_ok = parsed != nullptr;
    if (item_ok) item.node = replace_aggregates(parsed, source, plan);
    if (item_ok && has_unknown_function(item.node, source, plan)) item_ok = false;
    if (item_ok) {
      expr::walk(item.node, [&](const expr::Node& node) {
        if (node.op != expr::Op::column) return;
        if (!check_column(node, source)) item_ok = false;
        const std::size_t used = item_named(node.name);
        if (used < items_.size() && !key_named(node.name)) item.uses.push_back(used);
      });
    }
    if (!item_ok) {
      item.state = Item::State::failed;
      ok = false;
    }
  }
  return ok;
}

bool SelectCompiler::visit(std::size_t index, std::vector<std::size_t>& order) {
  Item& item = items_[index];
  if (item.state == Item::State::done || item.state == Item::State::failed) return true;
  if (item.state == Item::State::visiting) {
    complain(item.options->expression, {0, 0},
             fmt::format("{} is defined by itself", item.options->name.text),
             "metrics may use one another, but not in a circle");
    return false;
  }
  item.state = Item::State::visiting;
  for (const std::size_t used : item.uses) {
    if (!visit(used, order)) {
      item.state = Item::State::failed;
      return false;
    }
  }
  item.state = Item::State::done;
  order.push_back(index);
  return true;
}

bool SelectCompiler::order_items(std::vector<std::size_t>& order) {
  bool ok = true;
  for (std::size_t i = 0; i < items_.size(); ++i) ok = visit(i, order) && ok;
  return ok;
}

// The expression, the metrics it uses, and what the fields in its aggregates stand for.
std::uint64_t SelectCompiler::definition_of(const Item& item, const expr::Scope& scope,
                                            const WindowPlan& plan) const {
  std::string text = expression_definition(item.node, scope);
  const std::string expression = text;
  for (std::size_t i = 0; i < plan.aggregates.size(); ++i) {
    // One too many, because its text is part of another's, does no harm.
    if (expression.find(aggregate_columns_[i]) == std::string::npos) continue;
    text += '\n' + plan.accumulators[plan.aggregates[i].accumulator].definition;
  }
  return hash_bytes(text);
}

/// Items have been ordered, so none is defined by itself.
std::string_view SelectCompiler::aggregate_of_item(const Item& item, const WindowPlan& plan) const {
  return aggregate_of(*item.node, [&](const expr::Node& column) -> std::string_view {
    for (std::size_t i = 0; i < aggregate_columns_.size(); ++i) {
      if (aggregate_columns_[i] != column.name) continue;
      const AggregatePlan& aggregate = plan.aggregates[i];
      return name_of(aggregate, plan.accumulators[aggregate.accumulator]);
    }
    if (key_named(column.name)) return "";
    const std::size_t used = item_named(column.name);
    const bool known = used < items_.size() && items_[used].state == Item::State::done;
    return known ? aggregate_of_item(items_[used], plan) : "";
  });
}

expr::Scope SelectCompiler::item_scope(const WindowPlan& plan,
                                       const std::vector<std::size_t>& order) const {
  expr::Scope scope;
  for (const CompiledKey& key : keys_) scope.add_column(key.name, key.type);
  for (std::size_t i = 0; i < plan.aggregates.size(); ++i) {
    scope.add_hidden_column(aggregate_columns_[i], plan.aggregates[i].type);
  }
  scope.add_hidden_column(std::string(kMistake), DataType());
  for (const Item& item : items_) {
    if (item.state == Item::State::failed) scope.add_column(item.options->name.text, DataType());
  }
  for (const std::size_t i : order) {
    scope.add_definition(items_[i].options->name.text, items_[i].node,
                         items_[i].options->expression);
  }
  if (options_.names_missing) scope.set_incomplete();
  return scope;
}

std::vector<DataType> SelectCompiler::check_items(const expr::Scope& scope,
                                                  const std::vector<std::size_t>& order) {
  std::vector<DataType> types(items_.size());
  // Each by its name, those that others use first: a mistake is told where it was made, and the
  // builder, which knows the name then, does not tell it again.
  expr::ProgramBuilder builder(scope);
  for (const std::size_t i : order) {
    const Item& item = items_[i];
    const SourceText& source = item.options->expression;
    const auto output =
        builder.add(column_node(*item.node, item.options->name.text), source, diagnostics_);
    if (!output) continue;
    const DataType type = builder.type(*output);
    if (type.kind != Kind::null && type.kind != Kind::interval) {
      types[i] = type;
      continue;
    }
    complain(source, item.node->span,
             type.kind == Kind::null ? fmt::format("{} is always NULL", item.options->name.text)
                                     : fmt::format("{} is an interval, which a result cannot hold",
                                                   item.options->name.text),
             type.kind == Kind::null ? "" : "make it a number: extract(epoch from x)");
  }
  return types;
}

SelectCompiler::Metrics SelectCompiler::compile(WindowPlan& plan) {
  plan.row_bytes = kKeyBytes;
  Metrics metrics;
  metrics.good = check_names();
  metrics.good = parse_items(plan) && metrics.good;
  std::vector<std::size_t> order;
  metrics.good = order_items(order) && metrics.good;

  const expr::Scope scope = item_scope(plan, order);
  const std::vector<DataType> types = check_items(scope, order);
  expr::ProgramBuilder builder(scope);
  for (std::size_t i = 0; i < items_.size(); ++i) {
    const Item& item = items_[i];
    ResultColumn& column = metrics.columns.emplace_back();
    column.name = item.options->name.text;
    column.type = types[i];
    if (column.type.kind == Kind::null) {
      metrics.good = false;
      continue;
    }
    column.definition = definition_of(item, scope, plan);
    builder.add(item.node, item.options->expression, diagnostics_);
    plan.metric_aggregates.push_back(aggregate_of_item(item, plan));
  }
  if (metrics.good) plan.select = builder.build();
  return metrics;
}

}  // namespace streamobs::window

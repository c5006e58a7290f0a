#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/duration.h"
#include "base/hash.h"
#include "base/time_format.h"
#include "detect/detector.h"
#include "detect/plan.h"

namespace streamobs::detect {

namespace {

using expr::Node;
using expr::NodePtr;
using expr::Op;

const HistoryFunction* history_function(const Node& node) {
  if (node.op != Op::call) return nullptr;
  for (const HistoryFunction& f : kHistoryFunctions) {
    if (f.name == node.name) return &f;
  }
  return nullptr;
}

bool numeric(DataType type) {
  return type.kind == Kind::integer || type.kind == Kind::floating || type.kind == Kind::decimal;
}

bool is_comparison(Op op) {
  return op == Op::less || op == Op::less_equal || op == Op::greater || op == Op::greater_equal ||
         op == Op::equal || op == Op::not_equal;
}

// The side of a comparison a value may not be on: `metric > x` bounds the metric from above.
Bound bound_of(Op op, bool metric_is_left) {
  const bool greater = op == Op::greater || op == Op::greater_equal;
  const bool less = op == Op::less || op == Op::less_equal;
  if (!greater && !less) return Bound::none;
  const bool held_at_it = op == Op::greater_equal || op == Op::less_equal;
  if (greater == metric_is_left) return held_at_it ? Bound::below : Bound::upper;
  return held_at_it ? Bound::above : Bound::lower;
}

class RuleCompiler {
 public:
  RuleCompiler(const RuleOptions& options, std::shared_ptr<const WindowSchema> schema,
               Diagnostics& diagnostics)
      : diagnostics_(diagnostics) {
    plan_.options = options;
    plan_.schema = std::move(schema);
    for (const ResultColumn& column : plan_.schema->keys) row_.add_column(column.name, column.type);
    for (const ResultColumn& column : plan_.schema->metrics) {
      row_.add_column(column.name, column.type);
    }
  }

  /// False where something was wrong; then `diagnostics` says what, unless it lies in columns of
  /// the window that are of type null: that has been told.
  bool compile() {
    check_options();
    check_metric();
    if (const NodePtr when = expr::parse(plan_.options.when, diagnostics_)) {
      const NodePtr condition = cut_history_calls(when);
      compile_arguments();
      compile_judge(condition);
      if (good_) plan_.definition = definition_of(when);
    } else {
      good_ = false;
    }
    if (!plan_.options.description.empty()) {
      plan_.description = parse_description(plan_.options.description, *plan_.schema, diagnostics_);
      good_ = good_ && plan_.description.has_value();
    }
    return good_;
  }

  RulePlan take() { return std::move(plan_); }

 private:
  void complain(const SourcePlace& place, std::string message, std::string hint = {}) {
    diagnostics_.push_back(
        {Diagnostic::Severity::error, place, std::move(message), std::move(hint), {}});
    good_ = false;
  }

  void complain(expr::Span span, std::string message, std::string hint = {}) {
    diagnostics_.push_back(
        expr::diagnose(plan_.options.when, span, std::move(message), std::move(hint)));
    good_ = false;
  }

  void check_options() {
    const RuleOptions& o = plan_.options;
    if (o.warmup_windows < 1) {
      complain(o.name.place, fmt::format("rule {}: warmup is {}", o.name.text, o.warmup_windows),
               "a baseline needs at least one window");
    }
    if (o.hold < 0 || o.keep_firing_for < 0) {
      complain(o.name.place, fmt::format("rule {}: a duration cannot be negative", o.name.text));
    }
  }

  // Not the severity and the words: to change them makes no other rule of it.
  std::uint64_t definition_of(const NodePtr& when) const {
    std::string text;
    put_text(text, plan_.schema->window);
    put_u64(text, plan_.schema->definition);
    put_text(text, with_meaning(when));
    put_signed(text, plan_.options.hold);
    put_signed(text, plan_.options.keep_firing_for);
    put_signed(text, plan_.options.warmup_windows);
    put_u8(text, plan_.options.baseline_over_unflagged ? 1 : 0);
    return hash_bytes(text);
  }

  // An expression as SQL, and what the metrics in it are computed from.
  std::string with_meaning(const NodePtr& node) const {
    std::string out = expr::to_sql(*node);
    std::set<std::string> named;
    expr::walk(node, [&](const Node& inner) {
      if (inner.op == Op::column) named.insert(inner.name);
    });
    for (const ResultColumn& metric : plan_.schema->metrics) {
      if (named.count(metric.name) != 0) {
        out += fmt::format("; {}: {:016x}", metric.name, metric.definition);
      }
    }
    return out;
  }

  // Puts a synthetic column in the place of each call that looks back, and takes note of the call.
  NodePtr cut_history_calls(const NodePtr& when) {
    return expr::rewrite(when, [&](const NodePtr& node) -> NodePtr {
      const HistoryFunction* const function = history_function(*node);
      if (function == nullptr) return nullptr;
      if (!add_call(*node, *function)) broken_calls_.insert(expr::to_sql(*node));
      auto column = std::make_shared<Node>();
      column->op = Op::column;
      column->span = node->span;
      column->name = expr::to_sql(*node);
      return column;
    });
  }

  bool add_call(const Node& node, const HistoryFunction& function) {
    const std::size_t arguments = function.takes_span ? 2 : 1;
    if (node.args.size() != arguments || node.star || node.distinct || node.filter != nullptr) {
      complain(
          node.span,
          fmt::format("{} takes {}", function.name,
                      function.takes_span ? "a metric and a duration" : "one argument, a metric"),
          function.takes_span ? fmt::format("write {}(error_rate, '1h')", function.name)
                              : fmt::format("write {}(error_rate)", function.name));
      return false;
    }
    bool nested = false;
    expr::walk(node.args[0], [&](const Node& inner) {
      if (history_function(inner) == nullptr || nested) return;
      nested = true;
      complain(inner.span, fmt::format("{} cannot stand within {}", inner.name, function.name),
               "look back on the window's own columns only");
    });
    if (nested) return false;

    HistoryCall call;
    call.summarise = function.summarise;
    call.text = expr::to_sql(node);
    if (function.takes_span) {
      const auto span = span_of(*node.args[1], function);
      if (!span) return false;
      call.span = *span;
    }
    const auto known = std::find_if(plan_.calls.begin(), plan_.calls.end(),
                                    [&](const HistoryCall& c) { return c.text == call.text; });
    if (known != plan_.calls.end()) return true;
    call.series = series_of(node.args[0]);
    plan_.keep = std::max(plan_.keep, call.span);
    plan_.calls.push_back(std::move(call));
    return true;
  }

  std::optional<Duration> span_of(const Node& node, const HistoryFunction& function) {
    if (node.op != Op::literal || node.literal.null || node.literal.type.kind != Kind::string) {
      complain(node.span,
               fmt::format("how far {} looks back must be a duration in quotes", function.name),
               "write it as '1h'");
      return std::nullopt;
    }
    const Result<Duration> span = parse_duration(node.literal.text);
    if (!span) {
      complain(node.span, span.error().message);
      return std::nullopt;
    }
    const Duration step = std::max<Duration>(plan_.schema->step(), 1);
    const Duration windows = *span / step;
    const std::string_view unit = plan_.schema->window;
    if (windows > static_cast<Duration>(KeyHistory::kMaxEntries)) {
      complain(node.span,
               fmt::format("{} windows of {} are in {}; at most {} are kept", windows, unit,
                           node.literal.text, KeyHistory::kMaxEntries),
               "use a shorter duration, or a window of a larger size");
      return std::nullopt;
    }
    // Of hopping windows, those that overlap the one being judged do not count.
    const Duration size = std::max(plan_.schema->size, step);
    const Duration counted = *span < size ? 0 : (*span - size) / step + 1;
    if (counted < plan_.options.warmup_windows) {
      complain(node.span,
               fmt::format("at most {} windows of {} are in {}, and the rule waits for {}: it "
                           "would never say anything",
                           counted, unit, node.literal.text, plan_.options.warmup_windows),
               "use a longer duration, or set warmup lower");
      return std::nullopt;
    }
    return *span;
  }

  // The same argument is remembered once, however many calls look back on it.
  std::size_t series_of(const NodePtr& argument) {
    const std::string text = with_meaning(argument);
    const auto known = std::find(plan_.series_text.begin(), plan_.series_text.end(), text);
    if (known == plan_.series_text.end()) {
      plan_.series_text.push_back(text);
      series_.push_back(argument);
      return series_.size() - 1;
    }
    return static_cast<std::size_t>(known - plan_.series_text.begin());
  }

  void compile_arguments() {
    plan_.series = series_.size();
    if (series_.empty()) return;
    expr::ProgramBuilder builder(row_);
    for (const NodePtr& argument : series_) {
      const auto output = builder.add(argument, plan_.options.when, diagnostics_);
      if (!output) {
        good_ = false;
      } else if (!numeric(builder.type(*output))) {
        complain(argument->span, fmt::format("a baseline needs a number, and this is a {}",
                                             to_text(builder.type(*output))));
      }
    }
    if (good_) plan_.arguments = builder.build();
  }

  void compile_judge(const NodePtr& condition) {
    expr::Scope scope = row_;
    for (const HistoryCall& call : plan_.calls) {
      scope.add_hidden_column(call.text, {Kind::floating, 0});
    }
    for (const std::string& call : broken_calls_) scope.add_hidden_column(call, DataType());
    expr::ProgramBuilder builder(scope);
    const auto when = builder.add(condition, plan_.options.when, diagnostics_);
    if (!when) {
      good_ = false;
      return;
    }
    if (builder.type(*when).kind != Kind::boolean) {
      complain(condition->span,
               fmt::format("`when` must be true or false, and this is a {}",
                           to_text(builder.type(*when))),
               "compare it with something, as in error_rate > 0.05");
      return;
    }
    plan_.when_output = *when;
    choose_headline(condition, builder);
    if (good_) plan_.judge = builder.build();
  }

  std::optional<std::size_t> metric_index(std::string_view name) const {
    const auto& metrics = plan_.schema->metrics;
    for (std::size_t i = 0; i < metrics.size(); ++i) {
      if (metrics[i].name == name && numeric(metrics[i].type)) return i;
    }
    return std::nullopt;
  }

  std::optional<std::size_t> call_index(std::string_view text) const {
    for (std::size_t i = 0; i < plan_.calls.size(); ++i) {
      if (plan_.calls[i].text == text) return i;
    }
    return std::nullopt;
  }

  std::optional<std::size_t> first_baseline_in(const NodePtr& node) const {
    std::optional<std::size_t> found;
    expr::walk(node, [&](const Node& inner) {
      if (found || inner.op != Op::column) return;
      found = call_index(inner.name);
    });
    return found;
  }

  void check_metric() {
    const SourceText& wanted = plan_.options.metric;
    if (wanted.empty() || metric_index(wanted.text)) return;
    const auto& metrics = plan_.schema->metrics;
    const bool told = std::any_of(metrics.begin(), metrics.end(), [&](const ResultColumn& m) {
      return m.name == wanted.text && m.type.kind == Kind::null;
    });
    good_ = false;
    if (told) return;
    complain(wanted.place,
             fmt::format("window {} has no numeric metric '{}'", plan_.schema->window, wanted.text),
             metric_names().suggestion(wanted.text));
  }

  // `metric > limit`, either way round.
  struct Comparison {
    std::size_t metric = 0;
    NodePtr limit;
    Bound bound = Bound::none;
  };

  void collect_comparisons(const NodePtr& node, std::vector<Comparison>& out) const {
    if (node->op == Op::logical_and || node->op == Op::logical_or) {
      for (const NodePtr& arg : node->args) collect_comparisons(arg, out);
      return;
    }
    if (!is_comparison(node->op) || node->args.size() != 2) return;
    for (const bool left : {true, false}) {
      const NodePtr& side = node->args[left ? 0 : 1];
      if (side->op != Op::column) continue;
      if (const auto metric = metric_index(side->name)) {
        out.push_back({*metric, node->args[left ? 1 : 0], bound_of(node->op, left)});
        return;
      }
    }
  }

  // Which column the rule is about, against what, and how it is usually: for the anomaly's figures.
  void choose_headline(const NodePtr& condition, expr::ProgramBuilder& builder) {
    std::vector<Comparison> comparisons;
    collect_comparisons(condition, comparisons);
    const SourceText& wanted = plan_.options.metric;
    if (!wanted.empty()) {
      plan_.metric = metric_index(wanted.text);
      std::erase_if(comparisons, [&](const Comparison& c) { return c.metric != *plan_.metric; });
    }

    auto chosen = std::find_if(comparisons.begin(), comparisons.end(), [&](const Comparison& c) {
      return first_baseline_in(c.limit).has_value();
    });
    if (chosen == comparisons.end()) chosen = comparisons.begin();
    if (chosen != comparisons.end()) {
      plan_.metric = chosen->metric;
      plan_.baseline_call = first_baseline_in(chosen->limit);
      plan_.threshold_output = builder.add(chosen->limit, plan_.options.when, diagnostics_);
      plan_.bound = chosen->bound;
      if (plan_.threshold_output && !numeric(builder.type(*plan_.threshold_output))) {
        plan_.threshold_output.reset();
      }
    } else if (!plan_.metric) {
      expr::walk(condition, [&](const Node& node) {
        if (node.op == Op::column && !plan_.metric) plan_.metric = metric_index(node.name);
      });
    }
    if (plan_.metric) plan_.metric_name = plan_.schema->metrics[*plan_.metric].name;
  }

  expr::Scope metric_names() const {
    expr::Scope names;
    for (const ResultColumn& column : plan_.schema->metrics) {
      if (numeric(column.type)) names.add_column(column.name, column.type);
    }
    return names;
  }

  RulePlan plan_;
  Diagnostics& diagnostics_;
  expr::Scope row_;  ///< The columns of one row, keys first.
  std::vector<NodePtr> series_;
  std::set<std::string> broken_calls_;  ///< History calls with a mistake in them, as SQL.
  bool good_ = true;
};

}  // namespace

std::shared_ptr<const DetectPlan> compile_rules(
    const std::vector<RuleOptions>& rules,
    const std::vector<std::shared_ptr<const WindowSchema>>& windows, Diagnostics& diagnostics) {
  auto plan = std::make_shared<DetectPlan>();
  bool good = true;
  expr::Scope window_names;
  for (const auto& window : windows) window_names.add_column(window->window, {Kind::string, 0});
  std::set<std::string> names;

  for (const RuleOptions& rule : rules) {
    const auto complain = [&](const SourceText& at, std::string message, std::string hint) {
      diagnostics.push_back(
          {Diagnostic::Severity::error, at.place, std::move(message), std::move(hint), {}});
      good = false;
    };
    if (!names.insert(rule.name.text).second) {
      complain(rule.name, fmt::format("there are two rules called '{}'", rule.name.text),
               "results are kept by name: give one of them another");
    }
    const auto window = std::find_if(windows.begin(), windows.end(),
                                     [&](const auto& w) { return w->window == rule.on.text; });
    if (window == windows.end()) {
      complain(rule.on,
               fmt::format("rule {}: there is no window '{}'", rule.name.text, rule.on.text),
               windows.empty() ? "add a [window.…] section for it to judge"
                               : window_names.suggestion(rule.on.text));
      continue;
    }
    RuleCompiler compiler(rule, *window, diagnostics);
    if (compiler.compile()) {
      plan->rules.push_back(compiler.take());
    } else {
      good = false;
    }
  }
  if (!good) return nullptr;
  return plan;
}

}  // namespace streamobs::detect

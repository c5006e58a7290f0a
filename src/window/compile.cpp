// compile_windows: options → plan. Keys and conditions here, the select list in select_compiler.
#include <algorithm>

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "window/definition.h"
#include "window/plan.h"
#include "window/program_outputs.h"
#include "window/select_compiler.h"
#include "window/state.h"
#include "window/window_plan.h"

namespace streamobs::window {

namespace {

// WindowSchema::definition. Kept in checkpoints: a change here makes every engine forget its
// baselines once.
std::uint64_t definition_of(const WindowPlan& plan, const std::vector<CompiledKey>& keys) {
  std::string text;
  for (const auto& [what, value] : plan.definition) {
    if (what == "allowed_lateness") continue;  // It decides when rows come, not what they say.
    put_text(text, what);
    put_text(text, value);
  }
  for (const CompiledKey& key : keys) put_text(text, key.name);
  return hash_bytes(text);
}

// Stored with each row: a change here has rows of before not merged with later ones.
std::uint64_t state_definition_of(const WindowPlan& plan, std::uint64_t rows) {
  std::string text;
  put_u64(text, rows);
  for (const AccumulatorPlan& a : plan.accumulators) put_text(text, a.definition);
  return hash_bytes(text);
}

class WindowCompiler {
 public:
  WindowCompiler(const WindowOptions& options, ProgramOutputs& outputs, Diagnostics& diagnostics)
      : options_(options), outputs_(outputs), diagnostics_(diagnostics), good_(!options.mistaken) {}

  /// Whether nothing was wrong so far.
  bool good() const { return good_; }

  WindowPlan compile(const StreamSchema& stream, const expr::NodePtr& filter, std::size_t index) {
    WindowPlan plan;
    plan.index = index;
    plan.name = options_.name.text;
    plan.allowed_lateness = options_.allowed_lateness;
    plan.max_keys = options_.max_keys;
    const bool hops = options_.hop != 0 && options_.hop != options_.size;
    plan.definition = {{"from", stream.stream},
                       {"time", stream.time_field},
                       {"size", std::to_string(options_.size)},
                       {"timezone", options_.timezone}};
    if (hops) plan.definition.emplace_back("hop", std::to_string(options_.hop));
    if (options_.gap != 0) {
      plan.definition.emplace_back("gap", std::to_string(options_.gap));
      // Sessions that have closed are told from those that go on by it.
      plan.definition.emplace_back("allowed_lateness", std::to_string(options_.allowed_lateness));
    }
    if (options_.cut_every != 0) {
      plan.definition.emplace_back("cut_every", std::to_string(options_.cut_every));
    }
    compile_time(plan);
    compile_correction(plan);
    const std::vector<CompiledKey> keys = compile_keys(plan);
    compile_where(plan);
    if (filter) {
      plan.definition.emplace_back("filter", expression_definition(filter, outputs_.scope()));
    }
    if (options_.select.empty() && !options_.mistaken) {
      complain(
          options_.name.place, "it selects nothing",
          "add a table [window." + plan.name + ".select], for example requests = \"count(*)\"");
    }
    SelectCompiler select(options_, keys, outputs_, diagnostics_);
    SelectCompiler::Metrics metrics = select.compile(plan);
    good_ = good_ && metrics.good;
    if (plan.session()) {
      plan.first_time = add_time(plan, AccumulatorKind::min_int);
      plan.last_time = add_time(plan, AccumulatorKind::max_int);
    }
    if (plan.accumulators.size() > WindowState::kAccumulatorsMax) {
      complain(options_.name.place,
               fmt::format("it needs {} accumulators, more than {}", plan.accumulators.size(),
                           WindowState::kAccumulatorsMax),
               "select less, or split it into several windows");
    }
    auto schema = std::make_shared<WindowSchema>();
    schema->window = plan.name;
    schema->stream = stream.stream;
    schema->size = options_.size;
    schema->hop = hops ? options_.hop : 0;
    schema->gap = options_.gap;
    schema->allowed_lateness = options_.allowed_lateness;
    for (const CompiledKey& key : keys) schema->keys.push_back({key.name, key.type});
    schema->metrics = std::move(metrics.columns);
    for (const AccumulatorPlan& a : plan.accumulators) schema->accumulators.push_back(a.text);
    schema->definition = definition_of(plan, keys);
    plan.state_definition = state_definition_of(plan, schema->definition);
    plan.schema = std::move(schema);
    return plan;
  }

 private:
  void complain(const SourcePlace& place, std::string_view what, std::string hint) {
    Diagnostic d;
    d.place = place;
    d.message = fmt::format("window {}: {}", options_.name.text, what);
    d.hint = std::move(hint);
    diagnostics_.push_back(std::move(d));
    good_ = false;
  }

  void compile_time(WindowPlan& plan) {
    const SourcePlace& place =
        options_.size_text.place.line != 0 ? options_.size_text.place : options_.name.place;
    if (options_.size <= 0) {
      complain(place, "size must be more than nothing", "for example size = \"1m\"");
      return;
    }
    if (options_.allowed_lateness < 0) {
      complain(place, "allowed_lateness cannot be negative", "for example \"10s\"");
    }
    if (options_.max_keys == 0) {
      complain(place, "max_keys must be at least 1", "leave it out for 100000");
    }
    if (options_.gap != 0) {
      if (options_.hop != 0 || !options_.timezone.empty()) {
        complain(place, "a session has neither hop nor timezone", "leave them out, or gap");
        return;
      }
      const Duration pane = session_pane(options_.gap, options_.cut_every);
      if (pane == 0 || (options_.cut_every != 0 && options_.cut_every <= options_.gap)) {
        complain(place,
                 "cut_every must be longer than the gap, and a whole number of parts of an eighth "
                 "of it",
                 "for example gap = \"5m\", cut_every = \"1h\"");
        return;
      }
      plan.gap = options_.gap;
      plan.cut_every = options_.cut_every;
      plan.assigner = Assigner(pane);
      return;
    }
    if (options_.hop != 0 && !compile_hop()) return;
    if (options_.timezone.empty()) {
      plan.assigner = Assigner(options_.size, options_.hop != 0 ? options_.hop : options_.size);
      return;
    }
    if (options_.size % kDay != 0) {
      complain(place, "with a timezone, size must be whole days",
               "size = \"1d\"; shorter windows need no timezone");
      return;
    }
    auto zone = TimeZone::load(options_.timezone);
    if (!zone) {
      complain(place, zone.error().message, "for example timezone = \"Europe/Berlin\"");
      return;
    }
    plan.assigner = Assigner(options_.size, *zone);
  }

  /// Revisions come with each window's end, or where windows are longer with each full minute: what
  /// is corrected should not have to wait for midnight. Of hopping windows with each hop, so that
  /// what is late for some of a pane's windows and in time for others is due at one end.
  void compile_correction(WindowPlan& plan) {
    if (options_.correct_for == 0) return;
    if (plan.session()) {
      complain(options_.name.place, "sessions are not corrected once they have closed",
               "leave late and correct_for out; allowed_lateness keeps them open for longer");
      return;
    }
    Duration step = plan.assigner.step();
    if (!plan.hopping() && step % kMinute == 0) step = kMinute;
    plan.revisions = Assigner(step);
    plan.correct_for = (options_.correct_for + step - 1) / step * step;
  }

  /// Of each group, the least or greatest time of its events; where it stands in the row.
  static std::size_t add_time(WindowPlan& plan, AccumulatorKind kind) {
    AccumulatorPlan a;
    a.kind = kind;
    a.type = {Kind::timestamp, 0};
    a.argument = kEventTime;
    a.ops = &ops_of(kind);
    a.offset = plan.row_bytes;
    a.text = fmt::format("{}(event time)", a.ops->name);
    a.definition = a.text;
    plan.row_bytes += a.ops->size;
    plan.accumulators.push_back(std::move(a));
    return plan.accumulators.back().offset;
  }

  /// False where windows cannot be made of panes of this length.
  bool compile_hop() {
    const SourcePlace& place =
        options_.hop_text.place.line != 0 ? options_.hop_text.place : options_.name.place;
    const Duration hop = options_.hop;
    if (hop == options_.size) return true;  // Tumbling, with every word of it.
    if (!options_.timezone.empty()) {
      complain(place, "windows of whole days of a time zone do not hop",
               "leave hop or timezone out; without a timezone, days are those of UTC");
      return false;
    }
    if (hop < 0 || hop > options_.size || options_.size % hop != 0) {
      complain(place, "size must be a whole number of hops",
               "for example size = \"5m\" with hop = \"1m\"; without hop, one window follows the "
               "other");
      return false;
    }
    if (options_.size / hop > kMaxPanes) {
      complain(place,
               fmt::format("each event would be in {} windows; at most {} can be had",
                           options_.size / hop, kMaxPanes),
               "make hop longer");
      return false;
    }
    return true;
  }

  std::vector<CompiledKey> compile_keys(WindowPlan& plan) {
    std::vector<CompiledKey> keys;
    std::string definition;
    for (const NamedExpression& by : options_.by) {
      CompiledKey& key = keys.emplace_back();
      key.name = by.name.empty() ? by.expression.text : by.name.text;
      const expr::NodePtr node = parse(by.expression);
      if (node) key.sql = expr::to_sql(*node);
      const auto output =
          node ? outputs_.add(node, by.expression, diagnostics_) : std::optional<int>();
      if (!output) {
        good_ = false;
        continue;
      }
      const DataType type = outputs_.type(*output);
      if (type.kind == Kind::null || type.kind == Kind::interval) {
        diagnostics_.push_back(expr::diagnose(
            by.expression, node->span,
            type.kind == Kind::null ? "this key is always NULL" : "an interval cannot be a key",
            type.kind == Kind::null ? "leave it out" : "make it a number: extract(epoch from x)"));
        good_ = false;
        continue;
      }
      key.type = type;
      plan.keys.push_back(*output);
      plan.key_types.push_back(type);
      // What a constant is, each row says itself: `instance` is one, and rows of several add up.
      const std::string meaning = node->op == expr::Op::literal
                                      ? std::string("a constant")
                                      : expression_definition(node, outputs_.scope());
      definition += fmt::format("{}: {}\n", meaning, to_text(type));
    }
    plan.definition.emplace_back("by", std::move(definition));
    return keys;
  }

  /// The tree of an expression, null after a mistake; an empty one is what is left of a mistake.
  expr::NodePtr parse(const SourceText& source) {
    if (source.empty() && options_.mistaken) return nullptr;
    return expr::parse(source, diagnostics_);
  }

  void compile_where(WindowPlan& plan) {
    if (options_.where.empty()) return;
    const expr::NodePtr node = parse(options_.where);
    const auto output = node ? outputs_.add(node, options_.where, diagnostics_, Kind::boolean)
                             : std::optional<int>();
    if (!output) {
      good_ = false;
      return;
    }
    plan.where = *output;
    plan.definition.emplace_back("where", expression_definition(node, outputs_.scope()));
  }

  const WindowOptions& options_;
  ProgramOutputs& outputs_;
  Diagnostics& diagnostics_;
  bool good_;
};

}  // namespace

CheckedWindows check_windows(const StreamSchema& schema, const expr::Scope& scope,
                             const expr::NodePtr& filter, const SourceText& filter_source,
                             const std::vector<WindowOptions>& windows, Diagnostics& diagnostics) {
  CheckedWindows checked;
  bool good = true;
  ProgramOutputs outputs(scope);
  auto plan = std::make_shared<StreamWindowsPlan>();
  plan->stream = schema.stream;
  if (filter) {
    const auto output = outputs.add(filter, filter_source, diagnostics, Kind::boolean);
    good = output.has_value();
    if (output) plan->filter = *output;
  }
  for (const WindowOptions& options : windows) {
    WindowCompiler compiler(options, outputs, diagnostics);
    plan->windows.push_back(compiler.compile(schema, filter, plan->windows.size()));
    good = good && compiler.good();
  }
  checked.schemas = result_schemas(*plan);
  if (!good) return checked;
  plan->program = outputs.build();
  checked.plan = std::move(plan);
  return checked;
}

std::shared_ptr<const StreamWindowsPlan> compile_windows(const StreamSchema& schema,
                                                         const expr::Scope& scope,
                                                         const expr::NodePtr& filter,
                                                         const SourceText& filter_source,
                                                         const std::vector<WindowOptions>& windows,
                                                         Diagnostics& diagnostics) {
  return check_windows(schema, scope, filter, filter_source, windows, diagnostics).plan;
}

std::vector<std::shared_ptr<const WindowSchema>> result_schemas(const StreamWindowsPlan& plan) {
  std::vector<std::shared_ptr<const WindowSchema>> schemas;
  for (const WindowPlan& window : plan.windows) schemas.push_back(window.schema);
  return schemas;
}

}  // namespace streamobs::window

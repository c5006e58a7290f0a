#include "decode/stream_plan.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "event/dead_letter.h"

namespace streamobs::decode {

namespace {

constexpr std::size_t kMaxFields = 1024;
constexpr std::size_t kMaxPathBytes = 256;

class Compiler {
 public:
  Compiler(const StreamOptions& options, Diagnostics& diagnostics)
      : options_(options), diagnostics_(diagnostics), plan_(std::make_shared<StreamPlan>()) {}

  CheckedStream compile(std::uint32_t stream_id, const std::vector<const LookupSchema*>& lookups) {
    failed_ = options_.mistaken;
    plan_->options = options_;
    plan_->schema.stream = options_.name.text;
    plan_->schema.stream_id = stream_id;
    plan_->schema.joined = options_.joined;
    if (options_.name.empty()) error(options_.name.place, "a stream has no name", "");
    add_fields();
    add_time();
    add_id();
    add_patterns();
    check_limits();
    for (const Field& field : plan_->schema.fields) plan_->scope.add_column(field.name, field.type);
    for (const LookupSchema* table : lookups) plan_->scope.add_lookup(*table);
    if (const auto time = plan_->schema.index_of(plan_->schema.time_field)) {
      plan_->scope.set_event_time(*time);
    }
    add_templates();
    if (options_.names_missing) plan_->scope.set_incomplete();
    add_derived();
    add_checks();
    add_filter();
    auto zone = TimeZone::load(options_.timezone);
    if (zone) {
      plan_->zone = *zone;
    } else {
      error(options_.name.place, stream() + zone.error().message,
            "timezone takes an IANA name such as \"Europe/Berlin\", or \"UTC\"");
    }
    return {plan_, !failed_};
  }

 private:
  std::string stream() const { return fmt::format("stream {}: ", options_.name.text); }

  void error(const SourcePlace& place, std::string message, std::string hint) {
    failed_ = true;
    Diagnostic d;
    d.place = place;
    d.message = std::move(message);
    d.hint = std::move(hint);
    diagnostics_.push_back(std::move(d));
  }

  /// An error that the reader of the config knows as well.
  void error_unless_told(const SourcePlace& place, std::string message, std::string hint) {
    failed_ = true;
    if (!options_.mistaken) error(place, std::move(message), std::move(hint));
  }

  void add_fields() {
    if (options_.fields.size() > kMaxFields) {
      error(options_.name.place,
            stream() + fmt::format("{} fields are declared, at most {} can be",
                                   options_.fields.size(), kMaxFields),
            "declare those that expressions use");
      return;
    }
    for (const FieldOptions& from : options_.fields) {
      const std::string& name = from.name.text;
      if (name.empty()) {
        error(from.name.place, stream() + "a field has no name", "");
        continue;
      }
      if (plan_->schema.index_of(name)) {
        error(from.name.place, stream() + fmt::format("the field {} is declared twice", name),
              "remove one of them, or give one another name with its own `path`");
        continue;
      }
      Field field;
      field.name = name;
      field.path = from.path.empty() ? name : from.path;
      field.type = from.type;
      if (from.type.kind == Kind::null || from.type.kind == Kind::interval) {
        error_unless_told(from.name.place,
                          stream() + fmt::format("the field {} has no usable type", name),
                          "use string, int, float, bool, decimal(n), timestamp or map");
        field.type = {};
      }
      field.required = from.required;
      field.aliases = from.aliases;
      check_paths(from, field);
      plan_->schema.fields.push_back(std::move(field));
    }
  }

  void check_paths(const FieldOptions& from, const Field& field) {
    std::vector<std::string> paths = {field.path};
    paths.insert(paths.end(), field.aliases.begin(), field.aliases.end());
    for (std::size_t i = 0; i < paths.size(); ++i) {
      if (paths[i].empty() || paths[i].size() > kMaxPathBytes) {
        error(from.name.place,
              stream() + fmt::format("a path of the field {} is empty or longer than {} bytes",
                                     field.name, kMaxPathBytes),
              "a path is the event's keys joined by dots");
      } else if (std::find(paths.begin(), paths.begin() + static_cast<std::ptrdiff_t>(i),
                           paths[i]) != paths.begin() + static_cast<std::ptrdiff_t>(i)) {
        error(from.name.place,
              stream() + fmt::format("the field {} names {} twice", field.name, paths[i]),
              "remove one of its aliases");
      }
    }
  }

  void add_time() {
    StreamSchema& schema = plan_->schema;
    if (options_.timeless) return;
    schema.time_field = options_.time.text;
    if (options_.time.empty()) {
      error_unless_told(options_.name.place,
                        stream() + "it does not say which field bears the time",
                        "add time = \"NAME\"");
      return;
    }
    const auto index = schema.index_of(options_.time.text);
    if (!index) {
      Field field;
      field.name = options_.time.text;
      field.path = field.name;
      field.type = {Kind::timestamp, 0};
      field.required = true;
      schema.fields.push_back(std::move(field));
      return;
    }
    Field& field = schema.fields[*index];
    field.required = true;
    if (field.type.kind == Kind::boolean || field.type.kind == Kind::map) {
      error(options_.time.place,
            stream() + fmt::format("the time field {} is declared as {}, which cannot be a time",
                                   field.name, to_text(field.type)),
            "declare it as timestamp, or leave it out of `fields`");
    }
  }

  void add_id() {
    if (options_.id.empty()) return;
    const std::string& name = options_.id.text;
    const auto index = plan_->schema.index_of(name);
    if (!index) {
      error_unless_told(options_.id.place,
                        stream() + fmt::format("the id field {} is not declared", name),
                        fmt::format("add it to `fields`: {} = \"string\"", name));
      return;
    }
    const Field& field = plan_->schema.fields[*index];
    if (field.type.kind != Kind::string && field.type.kind != Kind::integer) {
      error_unless_told(
          options_.id.place,
          stream() + fmt::format("the id field {} is declared as {}", name, to_text(field.type)),
          "an id is a string or an int");
      return;
    }
    plan_->id_column = *index;
  }

  void add_patterns() {
    std::string text;
    for (const SourceText& source : options_.patterns) {
      // There is no line break in a pattern.
      text.append(source.text).append("\n");
      LinePattern::Fault fault;
      if (auto pattern = LinePattern::parse(source.text, fault)) {
        plan_->patterns.push_back(std::move(*pattern));
        continue;
      }
      failed_ = true;
      const auto at = static_cast<std::uint32_t>(fault.at);
      diagnostics_.push_back(
          expr::diagnose(source, {at, at + 1}, std::move(fault.message), std::move(fault.hint)));
    }
    if (!text.empty()) plan_->pattern_text = std::make_shared<const std::string>(std::move(text));
  }

  void check_limits() {
    const auto at_least = [&](std::string_view what, std::int64_t value, std::int64_t least) {
      if (value >= least) return;
      error(options_.name.place, stream() + fmt::format("{} is too small", what),
            "leave it out for the default");
    };
    at_least("max_future", options_.max_future, 0);
    at_least("idle_timeout", options_.idle_timeout, 1);
    at_least("max_event_bytes", static_cast<std::int64_t>(options_.max_event_bytes), 2);
    at_least("id_horizon", options_.id_horizon, 1);
    at_least("max_ids", static_cast<std::int64_t>(options_.ids_max), 1);
  }

  /// The columns that window/template_column fills, in its order. They are there whatever is wrong
  /// with the field: those who name them have made no mistake.
  void add_templates() {
    const TemplateOptions& templates = options_.templates;
    if (templates.from.empty()) return;
    const std::string& from = templates.from.text;
    plan_->template_column = plan_->schema.index_of(from);
    if (!plan_->template_column ||
        plan_->schema.fields[*plan_->template_column].type.kind != Kind::string) {
      error_unless_told(templates.from.place,
                        stream() + fmt::format("templates are mined from {}, which is no string "
                                               "field",
                                               from),
                        fmt::format("declare it: fields = {{ {} = \"string\" }}", from));
    }
    const std::string& name = templates.as.text;
    const std::pair<std::string, Kind> columns[] = {
        {name, Kind::string}, {name + "_id", Kind::integer}, {name + "_is_new", Kind::boolean}};
    for (const auto& [column, kind] : columns) {
      if (plan_->scope.column(column)) {
        error(templates.as.place.line != 0 ? templates.as.place : templates.from.place,
              stream() + fmt::format("template: there is a field {} already", column),
              "give the templates another name: as = \"kind\"");
      }
      plan_->scope.add_column(column, {kind, 0});
    }
  }

  /// A check is made when an event comes, before it has its place in the log.
  void refuse_history_in(const expr::NodePtr& node, const SourceText& source) {
    Diagnostics told;
    expr::ProgramBuilder one(plan_->scope);
    if (!one.add(node, source, told)) return;
    const auto program = one.build();
    const std::vector<std::size_t>& inputs = program->inputs_used();
    const bool templates = !inputs.empty() && inputs.back() >= plan_->schema.fields.size();
    if (!templates && !program->looks_up()) return;
    diagnostics_.push_back(
        expr::diagnose(source, node->span,
                       fmt::format("a check knows no {}: it is made before the event has its place",
                                   templates ? "templates" : "tables"),
                       "leave such events out with filter = \"…\", or count them in a window"));
    failed_ = true;
  }

  /// The tree of an expression, null after a mistake; an empty one is what is left of a mistake.
  expr::NodePtr parse(const SourceText& source) {
    expr::NodePtr node;
    if (!source.empty() || !options_.mistaken) node = expr::parse(source, diagnostics_);
    failed_ = failed_ || node == nullptr;
    return node;
  }

  /// The tree of an expression that has a type; null after a mistake.
  expr::NodePtr parse_and_check(const SourceText& source,
                                std::optional<Kind> expected = std::nullopt) {
    expr::NodePtr node = parse(source);
    if (node && !expr::ProgramBuilder(plan_->scope).add(node, source, diagnostics_, expected)) {
      failed_ = true;
      return nullptr;
    }
    return node;
  }

  void add_derived() {
    for (const NamedExpression& derived : options_.derive) {
      const std::string& name = derived.name.text;
      if (name.empty() || plan_->scope.column(name) || plan_->scope.definition(name) != nullptr) {
        error_unless_told(
            derived.name.place,
            stream() + (name.empty() ? std::string("a derived field has no name")
                                     : fmt::format("the name {} is taken already", name)),
            "give the derived field a name of its own");
        parse_and_check(derived.expression);
        continue;
      }
      if (const auto node = parse_and_check(derived.expression)) {
        plan_->scope.add_definition(name, node, derived.expression);
      } else {
        plan_->scope.add_column(name, DataType());
      }
    }
  }

  void add_checks() {
    if (options_.checks.empty()) return;
    expr::ProgramBuilder builder(plan_->scope);
    for (const NamedExpression& check : options_.checks) {
      const std::string& name = check.name.text;
      auto& names = plan_->check_names;
      if (name.empty() || std::find(names.begin(), names.end(), name) != names.end()) {
        error_unless_told(
            check.name.place,
            stream() + (name.empty() ? std::string("a check has no name")
                                     : fmt::format("the check {} is there twice", name)),
            "events that fail it are refused under its name: give it one of its own");
      }
      if (std::find(std::begin(reason::kAll), std::end(reason::kAll), name) !=
          std::end(reason::kAll)) {
        error_unless_told(
            check.name.place,
            stream() + fmt::format("a check cannot be called {}, events are refused under that "
                                   "name for another reason",
                                   name),
            "give it another name");
      }
      names.push_back(name);
      const auto node = parse(check.expression);
      if (!node || !builder.add(node, check.expression, diagnostics_, Kind::boolean)) {
        failed_ = true;
      } else {
        refuse_history_in(node, check.expression);
      }
    }
    if (!failed_) plan_->checks = builder.build();
  }

  void add_filter() {
    if (options_.filter.empty()) return;
    plan_->filter = parse_and_check(options_.filter, Kind::boolean);
  }

  const StreamOptions& options_;
  Diagnostics& diagnostics_;
  std::shared_ptr<StreamPlan> plan_;
  bool failed_ = false;
};

}  // namespace

CheckedStream check_stream(const StreamOptions& options, std::uint32_t stream_id,
                           Diagnostics& diagnostics,
                           const std::vector<const LookupSchema*>& lookups) {
  return Compiler(options, diagnostics).compile(stream_id, lookups);
}

std::shared_ptr<const StreamPlan> compile_stream(const StreamOptions& options,
                                                 std::uint32_t stream_id,
                                                 Diagnostics& diagnostics) {
  CheckedStream checked = check_stream(options, stream_id, diagnostics);
  return checked.complete ? std::move(checked.plan) : nullptr;
}

}  // namespace streamobs::decode

#include "app/plan.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "app/plan_join.h"
#include "app/view_columns.h"
#include "config/keys.h"
#include "expr/program.h"
#include "expr/text_values.h"
#include "kafka/properties.h"
#include "narrate/narrator.h"

namespace streamobs::app {

namespace {

/// Makes the plan section by section. What a mistake touches is left out or has columns of type
/// null, so that the rest can be looked at without telling its consequences.
class Planner {
 public:
  Planner(config::Config config, Diagnostics& diagnostics)
      : plan_(std::make_shared<Plan>()), diagnostics_(diagnostics) {
    plan_->config = std::move(config);
    declared_ = plan_->config.streams.size();
    plan_->streams.resize(declared_);
    plan_->windows.resize(plan_->config.windows.size());
  }

  /// False where anything was wrong.
  bool plan() {
    const auto first = static_cast<std::ptrdiff_t>(diagnostics_.size());
    check_sources_and_sinks();
    plan_lookups();
    for (std::uint32_t id = 0; id < plan_->streams.size(); ++id) plan_stream(id);
    for (const config::JoinConfig& join : plan_->config.joins) add_join(join);
    if (!check_windows_without_stream()) warn_of_idle_streams();
    check_views();
    plan_rules();
    check_evidence();
    return good_ &&
           std::none_of(diagnostics_.begin() + first, diagnostics_.end(), [](const Diagnostic& d) {
             return d.severity == Diagnostic::Severity::error;
           });
  }

  const config::Config& config() const { return plan_->config; }
  std::shared_ptr<Plan> take() { return std::move(plan_); }

 private:
  /// What only librdkafka and the reader of times can tell.
  void check_sources_and_sinks() {
    for (source::SourceOptions& source : plan_->config.sources) {
      if (source.type != source::Type::kafka) continue;
      good_ = kafka::check(source.kafka, diagnostics_) && good_;
      good_ = read_start(source) && good_;
      for (source::MessageField& field : source.message_fields) {
        good_ = settle_field(source, field) && good_;
      }
    }
    for (const sink::SinkOptions& sink : plan_->config.sinks) {
      good_ = kafka::check(sink.kafka, diagnostics_) && good_;
    }
  }

  /// What events are given of their message is read from them like all else: by a declared field.
  bool settle_field(const source::SourceOptions& source, source::MessageField& given) {
    const std::optional<std::uint32_t> id = plan_->stream_id(source.stream.text);
    if (!id) return true;  // Which has been told.
    const decode::StreamOptions& stream = plan_->config.streams[*id];
    const std::string& name = given.name.text;
    const auto complain = [&](std::string message, std::string hint) {
      diagnostics_.push_back(
          {Diagnostic::Severity::error, given.name.place, std::move(message), std::move(hint), ""});
      return false;
    };
    const auto reads_it = [&](const decode::FieldOptions& field) {
      const std::string& path = field.path.empty() ? field.name.text : field.path;
      return path == name ||
             std::find(field.aliases.begin(), field.aliases.end(), name) != field.aliases.end();
    };
    const auto field = std::find_if(stream.fields.begin(), stream.fields.end(), reads_it);
    if (field == stream.fields.end()) {
      if (name == stream.time.text || stream.names_missing) return true;
      std::vector<std::string_view> known = {stream.time.text};
      for (const decode::FieldOptions& declared : stream.fields) {
        known.push_back(declared.path.empty() ? declared.name.text : declared.path);
      }
      return complain(
          "fields: no field of stream '" + stream.name.text + "' reads \"" + name + "\"",
          config::did_you_mean(name, known,
                               "declare it in [stream." + stream.name.text + "]: fields = { " +
                                   name + " = \"string\" }"));
    }
    if (field->type.kind == Kind::map) {
      return complain("fields: \"" + name + "\" is a map", "a part of a message is one value");
    }
    given.bare = field->type.kind == Kind::boolean || field->type.kind == Kind::integer ||
                 field->type.kind == Kind::floating || field->type.kind == Kind::decimal;
    return true;
  }

  bool read_start(source::SourceOptions& source) {
    if (source.start.text == "earliest") return true;
    if (source.start.text == "latest") {
      source.topic_start = source::TopicStart::latest;
      return true;
    }
    const std::optional<Timestamp> time = expr::parse_timestamp(source.start.text);
    if (time && *time >= 0) {
      source.topic_start = source::TopicStart::time;
      source.start_time = *time;
      return true;
    }
    diagnostics_.push_back({Diagnostic::Severity::error, source.start.place,
                            "start: \"" + source.start.text + "\" is no place to start at",
                            "there are \"earliest\", \"latest\" and a time since 1970: "
                            "\"2024-01-09T12:00:00Z\"",
                            ""});
    return false;
  }

  /// The windows that read a stream, as they stand in the config.
  std::vector<std::size_t> windows_of(std::string_view stream) const {
    std::vector<std::size_t> ids;
    for (std::size_t i = 0; i < plan_->config.windows.size(); ++i) {
      if (plan_->config.windows[i].from.text == stream) ids.push_back(i);
    }
    return ids;
  }

  void warn_of_idle_streams() {
    for (const decode::StreamOptions& stream : plan_->config.streams) {
      const std::string& name = stream.name.text;
      const auto sends_it = [&](const auto& sink) { return sink.from.text == name; };
      const auto& sinks = plan_->config.sinks;
      const auto joins_it = [&](const config::JoinConfig& join) {
        return join.options.streams[0].text == name || join.options.streams[1].text == name;
      };
      const auto& joins = plan_->config.joins;
      if (std::any_of(joins.begin(), joins.end(), joins_it)) continue;
      if (!windows_of(name).empty() || std::any_of(sinks.begin(), sinks.end(), sends_it)) continue;
      diagnostics_.push_back(
          {Diagnostic::Severity::warning, stream.name.place,
           "stream '" + name +
               "' has no window: its events are checked and counted, but nothing comes out of them",
           (stream.joined ? "add [window.NAME] with from = \""
                          : "add [window.NAME] or [sink.NAME] with from = \"") +
               name + "\"",
           ""});
    }
  }

  void plan_lookups() {
    for (const decode::LookupOptions& options : plan_->config.lookups) {
      plan_->lookups.push_back(decode::check_lookup(options, diagnostics_));
      good_ = good_ && plan_->lookups.back()->rows != nullptr;
      lookups_.push_back(&plan_->lookups.back()->schema);
    }
  }

  void plan_stream(std::uint32_t id) {
    const decode::StreamOptions& options = plan_->config.streams[id];
    PlannedStream& stream = plan_->streams[id];
    const decode::CheckedStream checked = decode::check_stream(options, id, diagnostics_, lookups_);
    good_ = good_ && checked.complete;
    complete_.push_back(checked.complete && !options.names_missing);
    stream.decode = checked.plan;
    stream.window_ids = windows_of(options.name.text);
    if (!stream.window_ids.empty()) {
      stream.windows = plan_windows(*checked.plan, stream.window_ids);
    }
  }

  /// The stream of its rows is planned like any other once its fields are known.
  void add_join(const config::JoinConfig& join) {
    const auto id = static_cast<std::uint32_t>(plan_->streams.size());
    decode::StreamOptions stream = join.stream;
    const std::optional<std::uint32_t> left = plan_->stream_id(join.options.streams[0].text);
    const std::optional<std::uint32_t> right = plan_->stream_id(join.options.streams[1].text);
    std::shared_ptr<window::JoinPlan> plan;
    if (left && right && left != right && *left < declared_ && *right < declared_) {
      plan = plan_join(join.options, *plan_->streams[*left].decode, *plan_->streams[*right].decode,
                       stream, diagnostics_);
    }
    const auto is_whole = [this](const std::optional<std::uint32_t>& side) {
      return side && *side < declared_ && complete_[*side];
    };
    if (plan == nullptr || !is_whole(left) || !is_whole(right)) {  // Which has been told.
      stream.mistaken = true;
      stream.names_missing = true;
    }
    plan_->config.streams.push_back(std::move(stream));
    plan_->streams.emplace_back();
    plan_stream(id);
    good_ = good_ && plan != nullptr;
    if (plan != nullptr) plan->schema = &plan_->streams[id].decode->schema;
    plan_->joins.push_back({std::move(plan), id});
  }

  std::shared_ptr<const window::StreamWindowsPlan> plan_windows(
      const decode::StreamPlan& stream, const std::vector<std::size_t>& ids) {
    std::vector<window::WindowOptions> windows;
    for (const std::size_t i : ids) windows.push_back(plan_->config.windows[i]);
    window::CheckedWindows checked = window::check_windows(
        stream.schema, stream.scope, stream.filter, stream.options.filter, windows, diagnostics_);
    good_ = good_ && checked.plan != nullptr;
    for (std::size_t i = 0; i < ids.size(); ++i) {
      plan_->windows[ids[i]] = {windows[i], checked.schemas[i], stream.schema.stream_id};
    }
    return std::move(checked.plan);
  }

  /// Windows that name a stream there is not, which has been told: any field may be one of its.
  /// True if there are some.
  bool check_windows_without_stream() {
    decode::StreamPlan unknown;
    unknown.scope.set_incomplete();
    std::vector<std::size_t> ids;
    for (std::size_t i = 0; i < plan_->config.windows.size(); ++i) {
      if (!plan_->stream_id(plan_->config.windows[i].from.text)) ids.push_back(i);
    }
    if (!ids.empty()) plan_windows(unknown, ids);
    return !ids.empty();
  }

  /// The columns of all windows of which they are known.
  std::vector<std::shared_ptr<const WindowSchema>> known_schemas() const {
    std::vector<std::shared_ptr<const WindowSchema>> known;
    for (const PlannedWindow& window : plan_->windows) {
      if (!window.options.names_missing) known.push_back(window.schema);
    }
    return known;
  }

  /// The windows of a view have the same columns.
  void check_views() {
    const std::vector<std::shared_ptr<const WindowSchema>> known = known_schemas();
    const auto find = [&](const SourceText& name) {
      const auto found = std::find_if(known.begin(), known.end(),
                                      [&](const auto& w) { return w->window == name.text; });
      return found == known.end() ? nullptr : found->get();
    };
    for (const store::ViewOptions& view : plan_->config.store.views) {
      const WindowSchema* first = nullptr;
      for (const SourceText& name : view.windows) {
        const WindowSchema* const window = find(name);
        if (window == nullptr) continue;  // Which has been told.
        if (first == nullptr) first = window;
        std::optional<Difference> difference = difference_in_view(*first, *window);
        if (!difference) continue;
        diagnostics_.push_back({Diagnostic::Severity::error, name.place,
                                "windows: " + difference->message, difference->hint, ""});
      }
    }
  }

  void plan_rules() {
    const std::vector<std::shared_ptr<const WindowSchema>> windows = known_schemas();
    std::vector<detect::RuleOptions> rules;
    for (const detect::RuleOptions& rule : plan_->config.rules) {
      const bool known = std::any_of(windows.begin(), windows.end(),
                                     [&](const auto& w) { return w->window == rule.on.text; });
      if (rule.when.empty()) {  // So it is only after a mistake.
        good_ = false;
      } else if (known) {
        rules.push_back(rule);
      } else {
        good_ = false;
        expr::parse(rule.when, diagnostics_);
      }
    }
    plan_->rules = detect::compile_rules(rules, windows, diagnostics_);
    good_ = good_ && plan_->rules != nullptr;
  }

  void check_evidence() {
    const std::vector<std::shared_ptr<const WindowSchema>> windows = known_schemas();
    // Which window explains which cannot be told while one of them is not known.
    if (windows.size() != plan_->windows.size()) return;
    good_ = narrate::check(plan_->config.incidents, windows, diagnostics_) && good_;
  }

  std::shared_ptr<Plan> plan_;
  Diagnostics& diagnostics_;
  std::vector<const LookupSchema*> lookups_;
  std::vector<bool> complete_;  ///< By stream: nothing is wrong with it.
  std::size_t declared_ = 0;    ///< Streams that events are sent to; those of joins come behind.
  bool good_ = true;
};

void plan_sources(Plan& plan) {
  for (std::size_t i = 0; i < plan.config.sources.size(); ++i) {
    const source::SourceOptions& options = plan.config.sources[i];
    plan.sources.push_back({options.name.text, std::string(source::to_text(options.type)),
                            plan.stream_id(options.stream.text).value_or(0), i, options.name.text,
                            options.group.empty(),  // A group may give it nothing to read.
                            source::partitions_max(options.type)});
  }
  const auto add = [&plan](const char* type, std::uint32_t stream_id) {
    const auto id = static_cast<std::uint32_t>(plan.sources.size());
    plan.sources.push_back(
        {type, type, stream_id, std::nullopt, fmt::format("({})", type), false, 1});
    return id;
  };
  for (std::uint32_t id = 0; id < plan.streams.size(); ++id) {
    if (!plan.config.streams[id].joined) plan.streams[id].http_source = add("http", id);
  }
  for (std::uint32_t id = 0; id < plan.streams.size(); ++id) {
    if (!plan.config.streams[id].joined) plan.streams[id].embedded_source = add("embedded", id);
  }
  for (PlannedJoin& join : plan.joins) join.source_id = add("join", join.stream_id);
  for (const PlannedSource& source : plan.sources) plan.source_names.push_back(source.name);
}

store::OutboxOptions::From from_of(const Plan& plan, std::string_view name) {
  using From = store::OutboxOptions::From;
  const std::optional<std::uint32_t> stream = plan.stream_id(name);
  if (stream && !plan.config.streams[*stream].joined) return From::stream;
  if (name == "anomalies") return From::anomalies;
  if (name == "incidents") return From::incidents;
  if (name == "dead_letters") return From::dead_letters;
  return From::window;
}

/// The key's names have been checked.
PlannedOutbound outbound_of(const PlannedStream& stream, const sink::SinkOptions& sink) {
  PlannedOutbound out;
  out.sink = sink.name.text;
  for (const SourceText& key : sink.key) {
    out.key.push_back(*stream.decode->schema.index_of(key.text));
  }
  return out;
}

/// For what is told of the stream's events besides its windows.
void plan_filter(PlannedStream& stream) {
  if (stream.decode->filter == nullptr) return;
  Diagnostics none;  // It has been compiled for the stream's windows, or is so here first.
  expr::ProgramBuilder builder(stream.decode->scope);
  builder.add(stream.decode->filter, stream.decode->options.filter, none, Kind::boolean);
  stream.filter = builder.build();
}

/// What the store keeps for each sink.
void plan_outboxes(Plan& plan) {
  for (const sink::SinkOptions& sink : plan.config.sinks) {
    store::OutboxOptions out;
    out.sink = sink.name.text;
    out.feed = fmt::format("{}\n{}", sink.from.text, sink.topic.text);
    out.target = fmt::format("{}\n{}", sink.kafka.client.brokers.text, sink.markers.text);
    out.from = from_of(plan, sink.from.text);
    out.bytes_max = sink.outbox_bytes_max;
    out.required = sink.required;
    if (out.from == store::OutboxOptions::From::dead_letters) {
      for (const SourceText& member : sink.key) out.members.push_back(member.text);
    }
    for (const PlannedWindow& window : plan.windows) {
      if (out.from != store::OutboxOptions::From::window) break;
      if (window.schema->window != sink.from.text) continue;
      out.window = window.schema->window;
      const std::vector<ResultColumn>& keys = window.schema->keys;
      for (std::size_t i = 0; !sink.key_given && i < keys.size(); ++i) out.key.push_back(i);
      for (const SourceText& wanted : sink.key) {
        const auto same = [&](const ResultColumn& key) { return key.name == wanted.text; };
        const auto found = std::find_if(keys.begin(), keys.end(), same);
        out.key.push_back(static_cast<std::size_t>(found - keys.begin()));
      }
    }
    const auto stream = plan.stream_id(sink.from.text);
    if (out.from == store::OutboxOptions::From::stream) {
      plan.streams[*stream].outbound.push_back(outbound_of(plan.streams[*stream], sink));
    }
    plan.config.store.outboxes.push_back(std::move(out));
  }
}

}  // namespace

std::vector<std::shared_ptr<const WindowSchema>> Plan::schemas() const {
  std::vector<std::shared_ptr<const WindowSchema>> all;
  for (const PlannedWindow& window : windows) all.push_back(window.schema);
  return all;
}

std::optional<std::uint32_t> Plan::stream_id(std::string_view name) const {
  for (std::uint32_t id = 0; id < config.streams.size(); ++id) {
    if (config.streams[id].name.text == name) return id;
  }
  return std::nullopt;
}

std::shared_ptr<const Plan> make_plan(config::Config config, Diagnostics& diagnostics) {
  return make_plan(config::Reading{std::move(config), true}, diagnostics);
}

std::shared_ptr<const Plan> make_plan(config::Reading reading, Diagnostics& diagnostics) {
  if (!reading.config) return nullptr;
  const std::size_t first = diagnostics.size();
  Planner planner(std::move(*reading.config), diagnostics);
  const bool good = planner.plan();
  config::add_excerpts(planner.config(), diagnostics, first);
  config::sort_by_place(planner.config(), diagnostics);
  if (!good || !reading.complete) return nullptr;
  std::shared_ptr<Plan> plan = planner.take();
  plan_sources(*plan);
  for (PlannedStream& stream : plan->streams) plan_filter(stream);
  plan_outboxes(*plan);
  return plan;
}

}  // namespace streamobs::app

#include "app/plan.h"

#include <algorithm>
#include <utility>

#include "narrate/narrator.h"

namespace streamobs::app {

namespace {

bool any_error(const Diagnostics& diagnostics, std::size_t from) {
  return std::any_of(diagnostics.begin() + static_cast<std::ptrdiff_t>(from), diagnostics.end(),
                     [](const Diagnostic& d) { return d.severity == Diagnostic::Severity::error; });
}

/// Compiles stream `id` and the windows that read it; false if something is wrong with them.
bool plan_stream(Plan& plan, std::uint32_t id, Diagnostics& diagnostics) {
  const decode::StreamOptions& options = plan.config.streams[id];
  PlannedStream& stream = plan.streams[id];
  stream.decode = decode::compile_stream(options, id, diagnostics);
  if (stream.decode == nullptr) return false;

  std::vector<window::WindowOptions> windows;
  for (std::size_t i = 0; i < plan.config.windows.size(); ++i) {
    if (plan.config.windows[i].from.text != options.name.text) continue;
    windows.push_back(plan.config.windows[i]);
    stream.window_ids.push_back(i);
  }
  if (windows.empty()) {
    diagnostics.push_back({Diagnostic::Severity::warning, options.name.place,
                           "stream '" + options.name.text +
                               "' has no window: its events are "
                               "checked and counted, but nothing comes out of them",
                           "add [window.NAME] with from = \"" + options.name.text + "\"", ""});
    return true;
  }
  stream.windows =
      window::compile_windows(stream.decode->schema, stream.decode->scope, stream.decode->filter,
                              options.filter, windows, diagnostics);
  if (stream.windows == nullptr) return false;
  const auto schemas = window::result_schemas(*stream.windows);
  for (std::size_t i = 0; i < schemas.size(); ++i) {
    plan.windows[stream.window_ids[i]] = {windows[i], schemas[i], id};
  }
  return true;
}

void plan_sources(Plan& plan) {
  for (std::size_t i = 0; i < plan.config.sources.size(); ++i) {
    const source::SourceOptions& options = plan.config.sources[i];
    const char* const type = options.type == source::Type::file             ? "file"
                             : options.type == source::Type::standard_input ? "stdin"
                                                                            : "demo";
    plan.sources.push_back(
        {options.name.text, type, plan.stream_id(options.stream.text).value_or(0), i});
  }
  for (std::uint32_t id = 0; id < plan.streams.size(); ++id) {
    plan.streams[id].http_source = static_cast<std::uint32_t>(plan.sources.size());
    plan.sources.push_back({"http", "http", id, std::nullopt});
  }
  for (std::uint32_t id = 0; id < plan.streams.size(); ++id) {
    plan.streams[id].embedded_source = static_cast<std::uint32_t>(plan.sources.size());
    plan.sources.push_back({"embedded", "embedded", id, std::nullopt});
  }
  for (const PlannedSource& source : plan.sources) plan.source_names.push_back(source.name);
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
  const std::size_t before = diagnostics.size();
  auto plan = std::make_shared<Plan>();
  plan->config = std::move(config);
  plan->streams.resize(plan->config.streams.size());
  plan->windows.resize(plan->config.windows.size());
  bool streams_good = true;
  for (std::uint32_t id = 0; id < plan->streams.size(); ++id) {
    streams_good = plan_stream(*plan, id, diagnostics) && streams_good;
  }
  // Rules and incidents speak of the windows' columns; without those only noise would follow.
  if (!streams_good) return nullptr;
  plan->rules = detect::compile_rules(plan->config.rules, plan->schemas(), diagnostics);
  narrate::check(plan->config.incidents, plan->schemas(), diagnostics);
  if (any_error(diagnostics, before)) return nullptr;
  plan_sources(*plan);
  return plan;
}

}  // namespace streamobs::app

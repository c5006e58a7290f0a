// include/streamobs: the engine inside another program. A thin coat over the topology: it owns the
// threads, and turns our types into the public ones, which know nothing of Boost or of our insides.
#include <atomic>
#include <chrono>
#include <future>
#include <stdexcept>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "app/plan.h"
#include "app/topology.h"
#include "base/decimal.h"
#include "base/json_writer.h"
#include "base/log.h"
#include "base/time_format.h"
#include "config/config.h"
#include "streamobs/engine.h"

namespace streamobs {

namespace {

Time to_time(Timestamp t) {
  return Time(std::chrono::microseconds(t));
}

ResultValue to_public(const Value& value) {
  if (value.null) return std::monostate{};
  switch (value.type.kind) {
    case Kind::boolean:
      return value.integer != 0;
    case Kind::integer:
      return value.integer;
    case Kind::floating:
      return value.floating;
    default:
      return value.to_string();
  }
}

ResultFields to_fields(const std::vector<ResultColumn>& columns, const std::vector<Value>& values) {
  ResultFields fields;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    fields.emplace_back(columns[i].name, to_public(values[i]));
  }
  return fields;
}

ResultFields to_fields(const std::vector<NamedValue>& keys) {
  ResultFields fields;
  for (const NamedValue& key : keys) fields.emplace_back(key.name, to_public(key.value));
  return fields;
}

WindowResult to_public(const WindowSchema& schema, const WindowRow& row) {
  WindowResult result;
  result.window = schema.window;
  result.start = to_time(row.start);
  result.end = to_time(row.end);
  result.closed = row.closed;
  result.revision = row.revision;
  result.keys = to_fields(schema.keys, row.keys);
  result.metrics = to_fields(schema.metrics, row.metrics);
  return result;
}

AnomalyResult to_public(const Anomaly& anomaly) {
  AnomalyResult result;
  result.id = anomaly.id;
  result.rule = anomaly.rule;
  result.severity = std::string(to_text(anomaly.severity));
  result.window_start = to_time(anomaly.window_start);
  result.window_end = to_time(anomaly.window_end);
  result.keys = to_fields(anomaly.keys);
  result.metric_name = anomaly.metric_name;
  result.metric_value = anomaly.metric_value;
  result.baseline_value = anomaly.baseline_value;
  result.threshold_value = anomaly.threshold_value;
  result.description = anomaly.description;
  result.resolved = anomaly.resolved;
  result.withdrawn = anomaly.withdrawn;
  result.revision = anomaly.revision;
  return result;
}

IncidentResult to_public(const Incident& incident) {
  IncidentResult result;
  result.id = incident.id;
  result.severity = std::string(to_text(incident.severity));
  result.keys = to_fields(incident.keys);
  result.started_at = to_time(incident.started_at);
  if (incident.resolved_at) result.resolved_at = to_time(*incident.resolved_at);
  result.title = incident.title;
  result.explanation = incident.explanation;
  result.revision = incident.revision;
  return result;
}

PushResult to_public(const source::IngestOutcome& outcome) {
  PushResult result;
  switch (outcome.status) {
    case source::IngestOutcome::Status::taken:
      result.status = PushResult::Status::taken;
      break;
    case source::IngestOutcome::Status::overloaded:
      result.status = PushResult::Status::busy;
      break;
    default:
      result.status = PushResult::Status::stopped;
      break;
  }
  result.accepted = outcome.accepted;
  result.rejected = outcome.rejected;
  for (const source::RefusedEvent& error : outcome.errors) {
    result.refusals.push_back({error.index, error.reason, error.detail});
  }
  return result;
}

}  // namespace

Config Config::from_file(std::string path) {
  Config config;
  config.path_ = std::move(path);
  return config;
}

Config Config::from_toml(std::string text) {
  Config config;
  config.text_ = std::move(text);
  return config;
}

Config& Config::data_dir(std::string path) {
  data_dir_ = std::move(path);
  return *this;
}

Config& Config::listen(std::string address) {
  listen_ = std::move(address);
  return *this;
}

Config& Config::without_http() {
  http_ = false;
  return *this;
}

void Event::name(std::string_view name) {
  if (!body_.empty()) body_ += ',';
  body_ += '"';
  append_json_escaped(body_, name);
  body_ += "\":";
}

Event& Event::set(std::string_view field, std::string_view value) {
  name(field);
  body_ += '"';
  append_json_escaped(body_, value);
  body_ += '"';
  return *this;
}

Event& Event::set(std::string_view field, std::int64_t value) {
  name(field);
  body_ += fmt::format("{}", value);
  return *this;
}

Event& Event::set(std::string_view field, double value) {
  name(field);
  JsonWriter(body_).value(value);
  return *this;
}

Event& Event::set(std::string_view field, bool value) {
  name(field);
  body_ += value ? "true" : "false";
  return *this;
}

std::string Event::now() {
  return to_rfc3339(SystemClock().now());
}

struct Engine::Impl {
  std::shared_ptr<const app::Plan> plan;
  std::unique_ptr<app::Topology> topology;
  std::thread runner;
  std::promise<bool>
      ready;  ///< Set once: true when events are taken, false when the run has ended.
  std::atomic<bool> ready_told{false};
  bool start_called = false;
  bool started = false;
  std::function<void(const WindowResult&)> on_window;
  std::function<void(const AnomalyResult&)> on_anomaly;
  std::function<void(const IncidentResult&)> on_incident;

  void tell_ready(bool is_ready) {
    if (!ready_told.exchange(true)) ready.set_value(is_ready);
  }
  void tell(const Record& record) const;
  void tell_unguarded(const Record& record) const;
};

/// A callback that throws is the host's mistake; it must not stop the pipeline.
void Engine::Impl::tell(const Record& record) const {
  try {
    tell_unguarded(record);
  } catch (const std::exception& error) {
    log::error("a callback of the embedding program has thrown; its result is passed over",
               {{"error", error.what()}});
  }
}

void Engine::Impl::tell_unguarded(const Record& record) const {
  if (const auto* window = std::get_if<WindowBatchPtr>(&record)) {
    if (!on_window) return;
    for (const WindowRow& row : (*window)->rows) on_window(to_public(*(*window)->schema, row));
  } else if (const auto* anomaly = std::get_if<AnomalyPtr>(&record)) {
    if (on_anomaly) on_anomaly(to_public(**anomaly));
  } else if (const auto* incident = std::get_if<IncidentPtr>(&record)) {
    if (on_incident) on_incident(to_public(**incident));
  }
}

Engine::Engine(const Config& config) : impl_(std::make_unique<Impl>()) {
  Diagnostics diagnostics;
  config::Reading reading = config.path_.empty() ? config::read(config.text_, "config", diagnostics)
                                                 : config::read_file(config.path_, diagnostics);
  config::override_with(reading, config.data_dir_, config.listen_, diagnostics);
  if (reading.config && !config.http_) reading.config->http.enabled = false;
  impl_->plan = app::make_plan(std::move(reading), diagnostics);
  if (impl_->plan == nullptr) throw ConfigError(config::to_text(diagnostics, false));
  app::TopologyOptions options;
  options.handle_signals = false;  // They are the host program's business.
  options.on_ready = [impl = impl_.get()] { impl->tell_ready(true); };
  impl_->topology = std::make_unique<app::Topology>(impl_->plan, options);
}

Engine::~Engine() {
  stop();
}

void Engine::on_window(std::function<void(const WindowResult&)> callback) {
  impl_->on_window = std::move(callback);
}
void Engine::on_anomaly(std::function<void(const AnomalyResult&)> callback) {
  impl_->on_anomaly = std::move(callback);
}
void Engine::on_incident(std::function<void(const IncidentResult&)> callback) {
  impl_->on_incident = std::move(callback);
}

void Engine::start() {
  if (std::exchange(impl_->start_called, true)) {
    throw std::logic_error("an engine can be started once");
  }
  impl_->topology->add_listener([impl = impl_.get()](const Record& record) { impl->tell(record); });
  const Result<> started = impl_->topology->start();
  if (started.has_error()) throw std::runtime_error(started.error().message);
  impl_->started = true;
  std::future<bool> ready = impl_->ready.get_future();
  impl_->runner = std::thread([impl = impl_.get()] {
    impl->topology->run();
    impl->tell_ready(false);
  });
  // Recovery first: what was pushed in an earlier life is counted before anything new is.
  if (!ready.get()) {
    stop();
    throw std::runtime_error("the engine could not take up what it had logged; the log says why");
  }
}

std::string Engine::address() const {
  return impl_->topology->address();
}

PushResult Engine::push(std::string_view stream, std::string_view json) {
  const std::optional<std::uint32_t> stream_id = impl_->plan->stream_id(stream);
  if (!stream_id || impl_->plan->config.streams[*stream_id].joined) {
    PushResult unknown;
    unknown.status = PushResult::Status::unknown_stream;
    return unknown;
  }
  return to_public(impl_->topology->push(*stream_id, json));
}

PushResult Engine::push(std::string_view stream, const Event& event) {
  return push(stream, event.json());
}

std::vector<WindowResult> Engine::windows(std::string_view window, std::size_t limit) {
  store::WindowQuery query;
  query.window = std::string(window);
  query.limit = limit;
  const Result<std::vector<WindowRow>> rows = impl_->topology->window_rows(query);
  if (rows.has_error()) throw std::runtime_error(rows.error().message);
  std::vector<WindowResult> results;
  for (const auto& schema : impl_->plan->schemas()) {
    if (schema->window != window) continue;
    for (const WindowRow& row : *rows) results.push_back(to_public(*schema, row));
  }
  return results;
}

void Engine::stop() {
  if (!impl_->started || !impl_->runner.joinable()) return;
  impl_->topology->request_stop();
  impl_->runner.join();
}

}  // namespace streamobs

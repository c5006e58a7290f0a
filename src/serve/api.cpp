#include "serve/api.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "serve/answers.h"
#include "serve/config_reload.h"
#include "serve/dead_letters.h"
#include "serve/endpoint.h"
#include "serve/health.h"
#include "serve/json.h"
#include "serve/management.h"
#include "serve/openapi.h"
#include "serve/parameters.h"
#include "serve/window_query.h"

namespace streamobs::serve {

namespace {

using ContextPtr = std::shared_ptr<const ApiContext>;

/// {"rows": [...]}
template <class Row>
std::string rows_body(const std::vector<Row>& rows) {
  std::string body;
  body.reserve(64 + rows.size() * 256);
  JsonWriter json(body);
  json.begin_object().key("rows").begin_array();
  for (const Row& row : rows) write(json, row);
  json.end_array().end_object();
  return body;
}

template <class Row>
http::Response rows_response(const Result<std::vector<Row>>& rows) {
  if (!rows) return failed(rows.error());
  return json_response(rows_body(*rows));
}

/// Names of keys over all windows: what anomalies can be asked by.
std::vector<std::string> key_names(const ApiContext& context) {
  std::vector<std::string> names;
  for (const WindowInfo& info : context.windows) {
    for (const ResultColumn& key : info.schema->keys) {
      if (std::find(names.begin(), names.end(), key.name) == names.end()) names.push_back(key.name);
    }
  }
  return names;
}

const WindowInfo* find_window(const ApiContext& context, std::string_view name) {
  for (const WindowInfo& info : context.windows) {
    if (info.schema->window == name) return &info;
  }
  return nullptr;
}

std::vector<std::string> window_names(const ApiContext& context) {
  std::vector<std::string> names;
  for (const WindowInfo& info : context.windows) names.push_back(info.schema->window);
  return names;
}

http::Response no_such_window(const ApiContext& context, int status, std::string_view name) {
  // Views have rows to be asked for, but none that are sent as they come.
  std::vector<std::string> names = window_names(context);
  for (const RowSource& view : context.views) {
    if (status == 404) names.push_back(view.name);
  }
  return http::problem(
      status, "there is no window \"" + std::string(name) + "\"; there is " + enumerate(names));
}

StreamState state_of(const std::vector<StreamState>& states, std::string_view stream) {
  for (const StreamState& state : states) {
    if (state.stream == stream) return state;
  }
  return {};
}

asio::awaitable<void> list_streams(const ApiContext& context, http::Exchange& exchange) {
  const auto checked = check_parameters(exchange.request().target.query, {});
  if (!checked) {
    exchange.respond(failed(checked.error()));
    co_return;
  }
  std::vector<StreamState> states;
  if (context.stream_states) states = context.stream_states();
  std::string body;
  JsonWriter json(body);
  json.begin_object().key("rows").begin_array();
  for (const StreamInfo& info : context.streams) {
    write(json, info, state_of(states, info.stream));
  }
  json.end_array().end_object();
  exchange.respond(json_response(std::move(body)));
}

asio::awaitable<void> list_windows(const ApiContext& context, http::Exchange& exchange) {
  const auto checked = check_parameters(exchange.request().target.query, {});
  if (!checked) {
    exchange.respond(failed(checked.error()));
    co_return;
  }
  std::string body;
  JsonWriter json(body);
  json.begin_object().key("rows").begin_array();
  for (const WindowInfo& info : context.windows) write(json, info);
  json.end_array().key("views").begin_array();
  for (const RowSource& view : context.views) write(json, view);
  json.end_array().end_object();
  exchange.respond(json_response(std::move(body)));
}

/// The window or view of that name.
std::optional<RowSource> find_rows(const ApiContext& context, std::string_view name) {
  for (const RowSource& view : context.views) {
    if (view.name == name) return view;
  }
  const WindowInfo* info = find_window(context, name);
  if (info == nullptr) return std::nullopt;
  return RowSource{info->schema->window, {{info->schema, ""}}, false};
}

asio::awaitable<void> window_rows(const ApiContext& context, http::Exchange& exchange) {
  const std::string_view name = exchange.request().parameter("name");
  const std::optional<RowSource> source = find_rows(context, name);
  if (!source) {
    exchange.respond(no_such_window(context, 404, name));
    co_return;
  }
  co_await show_rows(context, *source, exchange);
}

asio::awaitable<void> endpoint_rows(const ApiContext& context, const EndpointOptions& endpoint,
                                    http::Exchange& exchange) {
  const std::optional<RowSource> source = find_rows(context, endpoint.window.text);
  co_await show_endpoint(context, endpoint, *source, exchange);
}

asio::awaitable<void> show_description(const ApiContext& context, http::Exchange& exchange) {
  const auto checked = check_parameters(exchange.request().target.query, {});
  exchange.respond(checked ? json_response(openapi_description(context)) : failed(checked.error()));
  co_return;
}

asio::awaitable<void> list_anomalies(const ApiContext& context, http::Exchange& exchange) {
  std::vector<std::string> names = {"severity", "rule"};
  const std::vector<std::string> keys = key_names(context);
  names.insert(names.end(), keys.begin(), keys.end());
  auto query = read_list_query(exchange.request().target.query, names);
  if (query) {
    for (const auto& [name, value] : query->equal) {
      if (name == "severity" && !parse_severity(value)) {
        query = fail(ErrorCode::invalid,
                     "severity = \"" + value + "\" is none of low, medium, high and critical");
        break;
      }
    }
  }
  if (!query) {
    exchange.respond(failed(query.error()));
    co_return;
  }
  const auto rows = co_await context.queries->anomalies(std::move(*query));
  exchange.respond(rows_response(rows));
}

asio::awaitable<void> list_incidents(const ApiContext& context, http::Exchange& exchange) {
  auto query = read_list_query(exchange.request().target.query, {"status"});
  if (query && !query->equal.empty() && query->equal[0].second != "open" &&
      query->equal[0].second != "resolved") {
    query = fail(ErrorCode::invalid,
                 "status = \"" + query->equal[0].second + "\" is neither open nor resolved");
  }
  if (!query) {
    exchange.respond(failed(query.error()));
    co_return;
  }
  const auto rows = co_await context.queries->incidents(std::move(*query));
  exchange.respond(rows_response(rows));
}

asio::awaitable<void> show_pipeline(const ApiContext& context, http::Exchange& exchange) {
  const auto checked = check_parameters(exchange.request().target.query, {});
  if (!checked) {
    exchange.respond(failed(checked.error()));
    co_return;
  }
  PipelineState state;
  if (context.pipeline) state = context.pipeline();
  std::string body;
  JsonWriter json(body);
  json.begin_object().field("version", context.version);
  json.key("started_at").time(context.started_at);
  const Duration uptime = std::max<Duration>(context.clock->now() - context.started_at, 0);
  json.field("uptime_seconds", static_cast<double>(uptime / kMillisecond) / 1'000);
  json.key("config");
  write(json, state.config);
  write_members(json, state);
  json.end_object();
  exchange.respond(json_response(std::move(body)));
}

/// One that is no number is not ours: begin with what comes next.
std::optional<std::uint64_t> read_event_id(std::string_view text) {
  std::uint64_t id = 0;
  const char* const end = text.data() + text.size();
  const auto [stopped_at, problem] = std::from_chars(text.data(), end, id);
  if (problem != std::errc() || stopped_at != end) return std::nullopt;
  return id;
}

std::vector<std::string> split_list(std::string_view list) {
  std::vector<std::string> names;
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    names.emplace_back(list.substr(0, comma));
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return names;
}

/// What is asked of the live events; else the answer that says what is wrong.
std::variant<Subscription, http::Response> read_subscription(const ApiContext& context,
                                                             const http::Request& request) {
  const auto checked =
      check_parameters(request.target.query, {"events", "windows", "streams", "last_event_id"});
  if (!checked) return failed(checked.error());
  Subscription subscription;
  for (const auto& [name, value] : request.target.query) {
    if (name == "events") subscription.events = split_list(value);
    if (name == "windows") subscription.windows = split_list(value);
    if (name == "streams") subscription.streams = split_list(value);
    if (name == "last_event_id") subscription.last_event_id = read_event_id(value);
  }
  const std::vector<std::string> kinds(std::begin(LiveHub::kEvents), std::end(LiveHub::kEvents));
  for (const std::string& event : subscription.events) {
    if (std::find(kinds.begin(), kinds.end(), event) != kinds.end()) continue;
    return http::problem(
        400, fmt::format("there are no live events \"{}\"; there are {}", event, enumerate(kinds)));
  }
  for (const std::string& window : subscription.windows) {
    if (find_window(context, window) == nullptr) return no_such_window(context, 400, window);
  }
  for (const std::string& stream : subscription.streams) {
    std::vector<std::string> streams;
    for (const StreamInfo& info : context.streams) streams.push_back(info.stream);
    if (std::find(streams.begin(), streams.end(), stream) != streams.end()) continue;
    return http::problem(
        400, fmt::format("there is no stream \"{}\"; there is {}", stream, enumerate(streams)));
  }
  const std::vector<std::string>& events = subscription.events;
  if (subscription.streams.empty() &&
      std::find(events.begin(), events.end(), "stream") != events.end()) {
    return http::problem(400, "events of streams are told of those that streams=… names");
  }
  // A reader that comes back by itself says so here, and its address is the one it began with.
  if (const auto header = request.header("last-event-id")) {
    subscription.last_event_id = read_event_id(*header);
  }
  return subscription;
}

asio::awaitable<void> show_live(const ApiContext& context, http::Exchange& exchange) {
  std::variant<Subscription, http::Response> read = read_subscription(context, exchange.request());
  if (auto* const refused = std::get_if<http::Response>(&read)) {
    exchange.respond(std::move(*refused));
    co_return;
  }
  Subscription& subscription = std::get<Subscription>(read);
  co_await context.live->serve(exchange, std::move(subscription));
}

using Show = asio::awaitable<void> (*)(const ApiContext&, http::Exchange&);

void add(http::Router& router, const ContextPtr& context, std::string_view pattern,
         http::RouteFlags flags, Show show, std::string_view method = "GET") {
  router.add(method, pattern, flags,
             [context, show](http::Exchange& exchange) { return show(*context, exchange); });
}

}  // namespace

void add_api_routes(http::Router& router, ApiContext given) {
  const ContextPtr context = std::make_shared<const ApiContext>(std::move(given));
  http::RouteFlags plain;
  http::RouteFlags open;
  open.open = true;
  http::RouteFlags live;
  live.live = true;
  add(router, context, "/api/v1/streams", plain, list_streams);
  add(router, context, "/api/v1/windows", plain, list_windows);
  add(router, context, "/api/v1/windows/{name}", plain, window_rows);
  add(router, context, "/api/v1/anomalies", plain, list_anomalies);
  add(router, context, "/api/v1/incidents", plain, list_incidents);
  add(router, context, "/api/v1/dead-letters", plain, list_dead_letters);
  add(router, context, "/api/v1/dead-letters/replay", plain, replay_dead_letters, "POST");
  add(router, context, "/api/v1/pipeline", plain, show_pipeline);
  add(router, context, "/api/v1/health", plain, show_health);
  add(router, context, "/api/v1/health", plain, check_health, "POST");
  add(router, context, "/api/v1/live", live, show_live);
  add(router, context, "/api/v1/openapi.json", plain, show_description);
  for (const char* path : {"/livez", "/healthz", "/health", "/-/healthy"}) {
    add(router, context, path, open, show_alive);
  }
  for (const char* path : {"/readyz", "/-/ready"}) {
    add(router, context, path, open, show_ready);
  }
  if (context->reload != nullptr) {
    add(router, context, "/-/reload", plain, reload_config, "POST");
  }
  add(router, context, "/metrics", plain, show_metrics);
  add(router, context, "/version", plain, show_version);
  for (const EndpointOptions& endpoint : context->endpoints) {
    router.add("GET", endpoint.path, plain, [context, &endpoint](http::Exchange& exchange) {
      return endpoint_rows(*context, endpoint, exchange);
    });
  }
}

}  // namespace streamobs::serve

#include "serve/openapi.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_writer.h"

namespace streamobs::serve {

namespace {

struct Parameter {
  std::string_view name;
  std::string_view type;  ///< Of JSON Schema.
  std::string_view example;
  std::string_view meaning;
};

constexpr Parameter kParameters[] = {
    {"from", "string", "2024-01-09T12:00:00Z",
     "From this time on, inclusive: RFC 3339, a date, or epoch milliseconds"},
    {"to", "string", "2024-01-09T13:00:00Z", "Before this time"},
    {"limit", "integer", "100", "At most so many rows, up to 100000"},
    {"windows.count", "integer", "10", "Only the newest so many windows"},
    {"latest", "boolean", "true", "Only the newest row of each key"},
    {"events", "string", "anomaly,incident", "Only these kinds, separated by commas"},
    {"windows.names", "string", "", "Only these windows, separated by commas"},
    {"streams.names", "string", "", "And a sample of these streams' events, separated by commas"},
    {"last_event_id", "string", "1767262496000001", "What came after this one; as Last-Event-ID"},
    {"metrics", "string", "", "Only these metrics, separated by commas"},
    {"step", "string", "1h", "Windows merged to such longer ones, a multiple of their size"},
    {"by", "string", "",
     "Keys that are kept, separated by commas; rows are merged over the others"},
    {"quantile", "string", "", "Further quantiles, FIELD:P separated by commas"},
    {"format", "string", "json", "json, or csv (of windows) or ndjson (of dead letters)"},
    {"severity", "string", "high", "low, medium, high or critical"},
    {"rule", "string", "error_surge", "Of this rule"},
    {"status", "string", "open", "open or resolved"},
    {"id", "integer", "1", "The dead letter of this id"},
    {"below_id", "integer", "100", "Ids below this one: the next page"},
    {"reason", "string", "late", "Refused for this reason"},
    {"stream", "string", "requests", "Of this stream"},
    {"source", "string", "http", "Of this source"},
    {"window", "string", "per_minute", "Too late for this window"},
    {"replayed", "boolean", "false", "Whether it was sent again"},
};

struct Operation {
  std::string_view method;
  std::string_view path;
  std::string_view summary;
  /// Names of the table above, separated by blanks.
  std::string_view parameters;
  std::string_view answer = "application/json";
  /// Takes `KEY=VALUE` for the keys of windows as well.
  bool keys = false;
};

constexpr Operation kEventsOperation = {
    "post", "/v1/events/{stream}",
    "Take events: a JSON object, an array of them, NDJSON, or lines of the stream's format", ""};

constexpr Operation kReloadOperation = {
    "post", "/-/reload", "Read the config anew and go on with it; answers when that is so", ""};

constexpr Operation kOperations[] = {
    kEventsOperation,
    {"get", "/api/v1/streams", "The streams, and how many events each has had", ""},
    {"get", "/api/v1/windows", "The windows and their columns", ""},
    {"get", "/api/v1/windows/{name}", "Rows of a window, the newest first",
     "from to windows.count latest limit metrics step by quantile format", "application/json", true},
    {"get", "/api/v1/anomalies", "Anomalies, the newest first", "from to limit severity rule",
     "application/json", true},
    {"get", "/api/v1/incidents", "Incidents that were under way, the newest first",
     "from to limit status"},
    {"get", "/api/v1/dead-letters", "Events that could not be taken, the newest first",
     "from to limit id below_id reason stream source window replayed format"},
    {"post", "/api/v1/dead-letters/replay", "Take events of dead letters again, each once",
     "from to limit id reason stream source window"},
    {"get", "/api/v1/pipeline", "The stages, sources, sinks, rules and the store as they stand",
     ""},
    {"get", "/api/v1/health", "What the engine's checks of itself and its data have found", ""},
    {"post", "/api/v1/health", "Make the quick checks now, and tell what there is then", ""},
    {"get", "/api/v1/live", "Results as they come, as server-sent events or over a WebSocket",
     "events windows.names streams.names last_event_id", "text/event-stream"},
    {"get", "/api/v1/openapi.json", "This description", ""},
    {"get", "/livez", "Whether the process runs", ""},
    {"get", "/healthz", "As /livez", ""},
    {"get", "/health", "As /livez", ""},
    {"get", "/-/healthy", "As /livez", ""},
    {"get", "/readyz", "Whether events are taken, else 503 and why", ""},
    {"get", "/-/ready", "As /readyz", ""},
    kReloadOperation,
    {"get", "/metrics", "Metrics of the engine itself, for Prometheus", "", "text/plain"},
    {"get", "/version", "The version", ""},
};

/// Parameters of two meanings stand in the table as NAME.MEANING.
std::string_view shown_name(const Parameter& parameter) {
  return parameter.name.substr(0, parameter.name.find('.'));
}

bool names(std::string_view list, std::string_view name) {
  while (!list.empty()) {
    const std::size_t blank = std::min(list.find(' '), list.size());
    if (list.substr(0, blank) == name) return true;
    list.remove_prefix(std::min(blank + 1, list.size()));
  }
  return false;
}

void write_names(JsonWriter& json, const std::vector<std::string>& names) {
  json.key("enum").begin_array();
  for (const std::string& name : names) json.value(name);
  json.end_array();
}

void write_path_parameter(JsonWriter& json, std::string_view name,
                          const std::vector<std::string>& values) {
  json.begin_object().field("name", name).field("in", "path").field("required", true);
  json.key("schema").begin_object().field("type", "string");
  if (!values.empty()) write_names(json, values);
  json.end_object().end_object();
}

void write_query_parameter(JsonWriter& json, std::string_view name, std::string_view meaning,
                           std::string_view type, std::string_view example, bool required) {
  json.begin_object().field("name", name).field("in", "query");
  if (required) json.field("required", true);
  json.field("description", meaning);
  json.key("schema").begin_object().field("type", type).end_object();
  if (!example.empty()) json.field("example", example);
  json.end_object();
}

void write_parameters(JsonWriter& json, std::string_view path, const Operation& operation,
                      const ApiContext& context) {
  std::vector<std::string> streams;
  std::vector<std::string> windows;
  for (const StreamInfo& stream : context.streams) streams.push_back(stream.stream);
  for (const WindowInfo& window : context.windows) windows.push_back(window.schema->window);
  for (const RowSource& view : context.views) windows.push_back(view.name);
  json.key("parameters").begin_array();
  if (path.ends_with("/{stream}")) write_path_parameter(json, "stream", streams);
  if (path.ends_with("/{name}")) write_path_parameter(json, "name", windows);
  for (const Parameter& parameter : kParameters) {
    if (!names(operation.parameters, parameter.name)) continue;
    write_query_parameter(json, shown_name(parameter), parameter.meaning, parameter.type,
                          parameter.example, false);
  }
  if (operation.keys) {
    json.begin_object().field("name", "keys").field("in", "query").field("style", "form");
    json.field("explode", true);
    json.field(
        "description",
        "KEY=VALUE for each key of the window, compared as text; key.KEY=VALUE where the key "
        "is called like another parameter; of a view window_size=SIZE as well");
    json.key("schema").begin_object().field("type", "object");
    json.key("additionalProperties").begin_object().field("type", "string");
    json.end_object().end_object().end_object();
  }
  json.end_array();
}

void write_answer(JsonWriter& json, std::string_view status, std::string_view description,
                  std::string_view type) {
  json.key(status).begin_object().field("description", description);
  json.key("content").begin_object().key(type).begin_object().end_object().end_object();
  json.end_object();
}

void write_answers(JsonWriter& json, std::string_view type) {
  json.key("responses").begin_object();
  write_answer(json, "200", "As docs/api.md describes it", type);
  write_answer(json, "default", "What is wrong and what to do (RFC 9457)",
               "application/problem+json");
  json.end_object();
}

/// What GET /api/v1/windows/{name} says of the parameter; null: it is a key.
const Parameter* window_parameter(std::string_view name) {
  if (std::find(std::begin(kWindowParameters), std::end(kWindowParameters), name) ==
      std::end(kWindowParameters)) {
    return nullptr;
  }
  for (const Parameter& parameter : kParameters) {
    if (parameter.name == name || (name == "windows" && parameter.name == "windows.count")) {
      return &parameter;
    }
  }
  return nullptr;
}

void write(JsonWriter& json, const EndpointOptions& endpoint) {
  json.key("get").begin_object();
  json.field("summary", "Rows of " + endpoint.window.text + ", as the config declares it");
  json.key("parameters").begin_array();
  for (const EndpointParameter& given : endpoint.parameters) {
    const Parameter* of = window_parameter(given.of.text);
    if (of != nullptr) {
      write_query_parameter(json, given.name.text, of->meaning, of->type, of->example,
                            given.required);
    } else {
      write_query_parameter(json, given.name.text, "The key " + given.of.text + ", as text",
                            "string", "", given.required);
    }
  }
  json.end_array();
  write_answers(json, "application/json");
  json.end_object();
}

/// Whether one of the streams that have events by this path takes lines.
bool takes_lines(std::string_view path, const ApiContext& context) {
  return std::any_of(context.streams.begin(), context.streams.end(), [&](const StreamInfo& stream) {
    return is_line_format(stream.format) &&
           (path == kEventsOperation.path ||
            std::find(stream.paths.begin(), stream.paths.end(), path) != stream.paths.end());
  });
}

void write_events_body(JsonWriter& json, std::string_view path, const ApiContext& context) {
  json.key("requestBody").begin_object().field("required", true).key("content").begin_object();
  json.key("application/json").begin_object().end_object();
  json.key("application/x-ndjson").begin_object().end_object();
  if (takes_lines(path, context)) json.key("text/plain").begin_object().end_object();
  json.end_object().end_object();
}

void write(JsonWriter& json, std::string_view path, const Operation& operation,
           const ApiContext& context) {
  json.key(operation.method).begin_object().field("summary", operation.summary);
  write_parameters(json, path, operation, context);
  if (operation.path == kEventsOperation.path) write_events_body(json, path, context);
  write_answers(json, operation.answer);
  json.end_object();
}

/// Paths that the config declares: of streams, of endpoints, and of both.
void write_declared(JsonWriter& json, const ApiContext& context) {
  const auto write_endpoint_at = [&](std::string_view path) {
    for (const EndpointOptions& endpoint : context.endpoints) {
      if (endpoint.path == path) write(json, endpoint);
    }
  };
  std::vector<std::string_view> of_streams;
  for (const StreamInfo& stream : context.streams) {
    for (const std::string& path : stream.paths) {
      of_streams.push_back(path);
      json.key(path).begin_object();
      write(json, path, kEventsOperation, context);
      write_endpoint_at(path);
      json.end_object();
    }
  }
  for (const EndpointOptions& endpoint : context.endpoints) {
    if (std::find(of_streams.begin(), of_streams.end(), endpoint.path) != of_streams.end()) {
      continue;
    }
    json.key(endpoint.path).begin_object();
    write(json, endpoint);
    json.end_object();
  }
}

}  // namespace

std::string openapi_description(const ApiContext& context) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().field("openapi", "3.1.0");
  json.key("info").begin_object().field("title", "streamobs").field("version", context.version);
  json.end_object();
  json.key("paths").begin_object();
  std::string_view path;
  for (const Operation& operation : kOperations) {
    if (operation.path == kReloadOperation.path && context.reload == nullptr) continue;
    // Two methods of one path stand behind each other.
    if (operation.path != path && !path.empty()) json.end_object();
    if (operation.path != path) json.key(operation.path).begin_object();
    path = operation.path;
    write(json, operation.path, operation, context);
  }
  json.end_object();
  write_declared(json, context);
  json.end_object().end_object();
  return out;
}

}  // namespace streamobs::serve

// [endpoint."GET /path"], and what it says of windows.
#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "base/wording.h"
#include "config/sections.h"
#include "config/table_reader.h"

namespace streamobs::config {

namespace {

using serve::EndpointOptions;
using serve::EndpointParameter;

constexpr Choice<EndpointOptions::Shape> kShapes[] = {{"rows", EndpointOptions::Shape::object},
                                                      {"list", EndpointOptions::Shape::list}};
constexpr Choice<EndpointOptions::Order> kOrders[] = {
    {"newest_first", EndpointOptions::Order::newest_first},
    {"oldest_first", EndpointOptions::Order::oldest_first}};

/// "GET /v1/metrics"
void read_name(const Entry& entry, EndpointOptions& out, Report& report) {
  constexpr std::string_view kMethod = "GET ";
  out.name = SourceText(entry.key, report.file().place(entry.key_span));
  if (!entry.key.starts_with(kMethod)) {
    report.error(entry.key_span, fmt::format("\"{}\" cannot name an endpoint", entry.key),
                 entry.key.starts_with('/')
                     ? fmt::format("with the method, in quotes: [endpoint.\"GET {}\"]", entry.key)
                     : std::string("it is the method, which is GET, and the path, in quotes: "
                                   "[endpoint.\"GET /v1/metrics\"]"));
    return;
  }
  SourceText path(entry.key.substr(kMethod.size()), out.name.place);
  // Behind the quote and the method.
  path.place.column += static_cast<std::uint32_t>(1 + kMethod.size());
  if (check_http_path(path, "path", report)) out.path = path.text;
}

void add_parameter(EndpointParameter parameter, std::string_view key, EndpointOptions& out,
                   Report& report) {
  for (const EndpointParameter& other : out.parameters) {
    if (other.name.text == parameter.name.text) {
      report.error(span_of(parameter.name),
                   fmt::format("{}: there is a parameter \"{}\" already", key, other.name.text),
                   "remove one of the two");
      return;
    }
    if (other.of.text == parameter.of.text) {
      report.error(
          span_of(parameter.of),
          fmt::format("{}: \"{}\" stands for {} already", key, other.name.text, other.of.text),
          "remove one of the two");
      return;
    }
  }
  out.parameters.push_back(std::move(parameter));
}

/// required = ["tenant_id"] or required = { tenant = "tenant_id" }.
void read_parameters(const TableReader& table, std::string_view key, bool required,
                     EndpointOptions& out) {
  const Value* value = table.find(key);
  if (value == nullptr) return;
  if (value->kind == Value::Kind::table) {
    for (const Entry& entry : value->entries) {
      const auto of = text_of(entry.value, fmt::format("{}.{}", key, entry.key), table.report());
      if (!of) continue;
      add_parameter(
          {SourceText(entry.key, table.report().file().place(entry.key_span)), *of, required}, key,
          out, table.report());
    }
    return;
  }
  if (value->kind != Value::Kind::array) {
    table.error(key, "expected a list of parameters, found " + describe(*value),
                fmt::format("write {0} = [\"service\"], or {0} = {{ svc = \"service\" }} where a "
                            "parameter is to be called otherwise than the key",
                            key));
    return;
  }
  std::vector<SourceText> names;
  table.texts(key, names);
  for (const SourceText& name : names) {
    add_parameter({name, name, required}, key, out, table.report());
  }
}

/// What a parameter of an endpoint can stand for; `of_view`: of a view that the window is one of.
std::vector<std::string> parameters_of(const window::WindowOptions& window, bool of_view) {
  std::vector<std::string> names;
  if (of_view) names.emplace_back(store::kViewColumn);
  const auto& own = serve::kWindowParameters;
  for (const window::NamedExpression& by : window.by) {
    const bool taken = std::find(std::begin(own), std::end(own), by.name.text) != std::end(own);
    names.push_back(taken ? "key." + by.name.text : by.name.text);
  }
  names.insert(names.end(), std::begin(own), std::end(own));
  return names;
}

void check_parameters(const EndpointOptions& endpoint, const window::WindowOptions& window,
                      Report& report) {
  const bool of_view = window.name.text != endpoint.window.text;
  const std::vector<std::string> names = parameters_of(window, of_view);
  const std::vector<std::string_view> known(names.begin(), names.end());
  for (const EndpointParameter& parameter : endpoint.parameters) {
    if (std::find(known.begin(), known.end(), parameter.of.text) != known.end()) continue;
    report.error(
        span_of(parameter.of),
        fmt::format("{}: {} {} has no key \"{}\"", parameter.required ? "required" : "optional",
                    of_view ? "view" : "window", endpoint.window.text, parameter.of.text),
        did_you_mean(parameter.of.text, known, "there are " + listed(known)));
  }
}

/// The window of that name, or one of the view's of that name, which all have the same keys.
const window::WindowOptions* columns_of(std::string_view name, const Config& config) {
  for (const store::ViewOptions& view : config.store.views) {
    if (view.name.text == name && !view.windows.empty()) name = view.windows.front().text;
  }
  for (const window::WindowOptions& window : config.windows) {
    if (window.name.text == name) return &window;
  }
  return nullptr;
}

}  // namespace

void read_endpoint(const Entry& entry, Config& config, Report& report) {
  const TableReader table(entry.value, entry.key_span, fmt::format("[endpoint.\"{}\"]", entry.key),
                          kEndpoint, report);
  EndpointOptions out;
  read_name(entry, out, report);
  table.text("window", out.window);
  if (!table.has("window")) {
    table.missing("window", "which window's rows does it answer with? window = \"…\"");
  }
  read_parameters(table, "required", true, out);
  read_parameters(table, "optional", false, out);
  table.choice("shape", kShapes, out.shape);
  table.choice("order", kOrders, out.order);
  table.integer("windows", 1, serve::kRowsMax, out.windows);
  table.integer("limit", 1, serve::kRowsMax, out.limit);
  config.endpoints.push_back(std::move(out));
}

void check_endpoints(const Config& config, Report& report) {
  std::vector<std::string_view> windows;
  for (const window::WindowOptions& window : config.windows) windows.push_back(window.name.text);
  for (const store::ViewOptions& view : config.store.views) windows.push_back(view.name.text);
  for (const EndpointOptions& endpoint : config.endpoints) {
    const Report::Within item(report, "endpoint", endpoint.name.text);
    if (endpoint.window.empty()) continue;
    if (!check_name(endpoint.window, "window", "window", windows, report)) continue;
    const window::WindowOptions* window = columns_of(endpoint.window.text, config);
    if (window != nullptr && !window->names_missing) check_parameters(endpoint, *window, report);
  }
}

}  // namespace streamobs::config

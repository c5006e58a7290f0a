#include "serve/management.h"

#include <utility>

#include "base/json_writer.h"

namespace streamobs::serve {

namespace {

http::Response one_field(std::string_view name, std::string_view value) {
  http::Response response;
  JsonWriter json(response.body);
  json.begin_object().field(name, value).end_object();
  return response;
}

}  // namespace

asio::awaitable<void> show_alive(const ApiContext&, http::Exchange& exchange) {
  exchange.respond(one_field("status", "alive"));
  co_return;
}

asio::awaitable<void> show_ready(const ApiContext& context, http::Exchange& exchange) {
  std::optional<std::string> reason;
  if (context.not_ready) reason = context.not_ready();
  if (reason) {
    exchange.respond(http::problem(503, *reason));
  } else {
    exchange.respond(one_field("status", "ready"));
  }
  co_return;
}

asio::awaitable<void> show_metrics(const ApiContext& context, http::Exchange& exchange) {
  using Exposition = telemetry::Registry::Exposition;
  const std::string_view accept = exchange.request().header("accept").value_or("");
  const bool open_metrics = accept.find("application/openmetrics-text") != std::string_view::npos;
  http::Response response;
  response.content_type = open_metrics
                              ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                              : "text/plain; version=0.0.4; charset=utf-8";
  response.body =
      context.registry->render(open_metrics ? Exposition::openmetrics : Exposition::prometheus);
  exchange.respond(std::move(response));
  co_return;
}

asio::awaitable<void> show_version(const ApiContext& context, http::Exchange& exchange) {
  exchange.respond(one_field("version", context.version));
  co_return;
}

}  // namespace streamobs::serve

#include "serve/health.h"

#include <string>
#include <utility>

#include "serve/answers.h"
#include "serve/parameters.h"

namespace streamobs::serve {

namespace {

template <class T>
void or_null(JsonWriter& json, std::string_view name, const std::optional<T>& value) {
  json.key(name);
  value ? json.value(*value) : json.null();
}

void time_or_null(JsonWriter& json, std::string_view name, const std::optional<Timestamp>& time) {
  json.key(name);
  time ? json.time(*time) : json.null();
}

void write(JsonWriter& json, const health::CheckResult& result) {
  json.begin_object().field("check", result.check).field("of", result.of);
  json.field("state", to_text(result.state));
  or_null(json, "value", result.value);
  or_null(json, "bound", result.bound);
  json.field("unit", result.unit);
  json.field("detail", result.detail).field("advice", result.advice);
  time_or_null(json, "since", result.since);
  json.key("checked_at").time(result.checked_at);
  json.end_object();
}

void write(JsonWriter& json, const health::StreamQuality& quality) {
  json.begin_object().field("stream", quality.stream);
  json.key("from").time(quality.from).key("to").time(quality.to);
  json.field("events", quality.events);
  json.key("fields").begin_array();
  for (const health::FieldQuality& field : quality.fields) {
    json.begin_object().field("field", field.field).field("null_share", field.null_share);
    or_null(json, "null_share_before", field.null_share_before);
    or_null(json, "outlier_share", field.outlier_share);
    or_null(json, "usual_from", field.usual_from);
    or_null(json, "usual_to", field.usual_to);
    json.end_object();
  }
  json.end_array().end_object();
}

http::Response answer_with(const health::Report& report) {
  std::string body;
  JsonWriter json(body);
  serve::write(json, report);
  return json_response(std::move(body));
}

}  // namespace

void write(JsonWriter& json, const health::Report& report) {
  json.begin_object().field("state", to_text(report.state));
  time_or_null(json, "quick_at", report.quick_at);
  time_or_null(json, "deep_at", report.deep_at);
  json.key("rows").begin_array();
  for (const health::CheckResult& check : report.checks) write(json, check);
  json.end_array().key("quality").begin_array();
  for (const health::StreamQuality& quality : report.quality) write(json, quality);
  json.end_array().end_object();
}

asio::awaitable<void> show_health(const ApiContext& context, http::Exchange& exchange) {
  const auto checked = check_parameters(exchange.request().target.query, {});
  exchange.respond(checked ? answer_with(context.health->report()) : failed(checked.error()));
  co_return;
}

asio::awaitable<void> check_health(const ApiContext& context, http::Exchange& exchange) {
  const auto checked = check_parameters(exchange.request().target.query, {});
  if (!checked) {
    exchange.respond(failed(checked.error()));
    co_return;
  }
  const health::Report report = co_await context.health->check_now();
  exchange.respond(answer_with(report));
}

}  // namespace streamobs::serve

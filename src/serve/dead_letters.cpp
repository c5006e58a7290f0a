#include "serve/dead_letters.h"

#include <algorithm>
#include <utility>

#include "serve/answers.h"
#include "serve/json.h"
#include "serve/parameters.h"

namespace streamobs::serve {

namespace {

/// Letters that a replay takes unless it is told otherwise.
constexpr std::size_t kReplayLimit = 10'000;

http::Response as_ndjson(const std::vector<store::StoredDeadLetter>& rows) {
  http::Response response;
  response.content_type = "application/x-ndjson";
  response.headers.emplace_back("Content-Disposition",
                                "attachment; filename=\"dead-letters.ndjson\"");
  for (const store::StoredDeadLetter& stored : rows) {
    JsonWriter json(response.body);
    write(json, stored);
    response.body += '\n';
  }
  return response;
}

std::string as_json(const std::vector<store::StoredDeadLetter>& rows,
                    const std::vector<store::DeadLetterCount>& counts) {
  std::string body;
  JsonWriter json(body);
  json.begin_object().key("rows").begin_array();
  for (const store::StoredDeadLetter& stored : rows) write(json, stored);
  json.end_array().key("counts").begin_array();
  for (const store::DeadLetterCount& count : counts) {
    json.begin_object().field("stream", count.stream).field("reason", count.reason);
    json.field("count", count.count).end_object();
  }
  json.end_array().end_object();
  return body;
}

}  // namespace

asio::awaitable<void> list_dead_letters(const ApiContext& context, http::Exchange& exchange) {
  QueryParameters parameters = exchange.request().target.query;
  const Result<AnswerFormat> format = take_format(parameters, AnswerFormat::ndjson);
  if (!format) {
    exchange.respond(failed(format.error()));
    co_return;
  }
  auto query = read_dead_letter_query(parameters, {"below_id", "replayed", "format"});
  if (!query) {
    exchange.respond(failed(query.error()));
    co_return;
  }
  const auto rows = co_await context.queries->dead_letters(std::move(*query));
  if (!rows) {
    exchange.respond(failed(rows.error()));
    co_return;
  }
  if (*format == AnswerFormat::ndjson) {
    exchange.respond(as_ndjson(*rows));
    co_return;
  }
  const auto counts = co_await context.queries->dead_letter_counts();
  if (!counts) {
    exchange.respond(failed(counts.error()));
    co_return;
  }
  exchange.respond(json_response(as_json(*rows, *counts)));
}

asio::awaitable<void> replay_dead_letters(const ApiContext& context, http::Exchange& exchange) {
  const QueryParameters& parameters = exchange.request().target.query;
  auto query = read_dead_letter_query(parameters, {});
  if (!query) {
    exchange.respond(failed(query.error()));
    co_return;
  }
  const auto names_limit = [](const auto& parameter) { return parameter.first == "limit"; };
  if (std::none_of(parameters.begin(), parameters.end(), names_limit)) {
    query->list.limit = kReplayLimit;
  }
  // A late event was taken: others of its windows may have counted it. So only if it is asked for.
  query->late = query->id.has_value() ||
                std::any_of(parameters.begin(), parameters.end(), [](const auto& parameter) {
                  return parameter.first == "window" ||
                         (parameter.first == "reason" && parameter.second == reason::late);
                });
  const std::size_t lane = exchange.request().lane;
  const auto report = co_await context.letter_replay->replay(lane, std::move(*query));
  if (!report) {
    exchange.respond(failed(report.error()));
    co_return;
  }
  std::string body;
  JsonWriter json(body);
  write(json, *report);
  exchange.respond(json_response(std::move(body)));
}

}  // namespace streamobs::serve

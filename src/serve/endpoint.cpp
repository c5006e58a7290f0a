#include "serve/endpoint.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "serve/answers.h"

namespace streamobs::serve {

namespace {

/// Each of the endpoint's own, none twice, none missing.
Result<> check_given(const QueryParameters& given, const EndpointOptions& endpoint) {
  std::vector<std::string> names;
  for (const EndpointParameter& parameter : endpoint.parameters) {
    names.push_back(parameter.name.text);
  }
  if (const Result<> checked = check_parameters(given, names); checked.has_error()) return checked;
  for (const EndpointParameter& parameter : endpoint.parameters) {
    if (!parameter.required) continue;
    const bool there = std::any_of(given.begin(), given.end(), [&](const auto& one) {
      return one.first == parameter.name.text;
    });
    if (there) continue;
    return fail(ErrorCode::invalid,
                fmt::format("parameter \"{}\" is missing: {}?{}=…", parameter.name.text,
                            endpoint.path, parameter.name.text));
  }
  return {};
}

}  // namespace

Result<RowsQuestion> read_endpoint_question(const QueryParameters& parameters,
                                            const EndpointOptions& endpoint,
                                            const RowSource& source) {
  if (const Result<> checked = check_given(parameters, endpoint); checked.has_error()) {
    return checked.error();
  }
  QueryParameters asked;
  bool says_how_much = false;
  bool says_limit = false;
  for (const auto& [name, value] : parameters) {
    const std::string_view called = name;
    const auto parameter =
        std::find_if(endpoint.parameters.begin(), endpoint.parameters.end(),
                     [&](const EndpointParameter& p) { return p.name.text == called; });
    const std::string& of = parameter->of.text;
    if (of != called) {
      // By itself, so that what is wrong with it is told under the name that the asker knows.
      const auto alone = read_rows_question({{of, value}}, source);
      if (alone.has_error()) {
        return fail(alone.error().code,
                    fmt::format("parameter \"{}\": {}", called, alone.error().message));
      }
    }
    asked.emplace_back(of, value);
    says_limit = says_limit || of == "limit";
    says_how_much = says_how_much || of == "limit" || of == "windows" || of == "from" || of == "to";
  }
  const std::string windows = std::to_string(endpoint.windows);
  const std::string limit = std::to_string(endpoint.limit);
  if (!says_how_much && endpoint.windows != 0) asked.emplace_back("windows", windows);
  if (!says_limit) asked.emplace_back("limit", limit);
  return read_rows_question(asked, source);
}

asio::awaitable<void> show_endpoint(const ApiContext& context, const EndpointOptions& endpoint,
                                    const RowSource& source, http::Exchange& exchange) {
  const auto question = read_endpoint_question(exchange.request().target.query, endpoint, source);
  if (!question) {
    exchange.respond(failed(question.error()));
    co_return;
  }
  auto answer = co_await answer_question(context, source, *question);
  if (!answer) {
    exchange.respond(failed(answer.error()));
    co_return;
  }
  if (endpoint.order == EndpointOptions::Order::oldest_first) {
    std::stable_sort(answer->rows.begin(), answer->rows.end(),
                     [](const WindowRow& a, const WindowRow& b) { return a.start < b.start; });
  }
  exchange.respond(to_response(*answer, question->format, endpoint.shape));
}

}  // namespace streamobs::serve

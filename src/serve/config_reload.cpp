#include "serve/config_reload.h"

#include <utility>

#include "serve/answers.h"
#include "serve/api.h"
#include "serve/parameters.h"

namespace streamobs::serve {

void write(JsonWriter& json, const ConfigState& state) {
  json.begin_object().field("file", state.file).key("since").time(state.since);
  json.field("reloads", state.reloads).key("changes").begin_array();
  for (const ConfigState::Change& change : state.changes) {
    json.begin_object().field("what", change.what).field("section", change.section);
    json.key("name");
    change.name.empty() ? json.null() : json.value(change.name);
    json.end_object();
  }
  json.end_array().key("refused");
  if (state.refused) {
    json.begin_object().key("at").time(state.refused->at);
    json.field("error", state.refused->error).end_object();
  } else {
    json.null();
  }
  json.end_object();
}

http::Response taken_over(const ConfigState& state) {
  std::string body;
  JsonWriter json(body);
  write(json, state);
  return json_response(std::move(body));
}

asio::awaitable<void> reload_config(const ApiContext& context, http::Exchange& exchange) {
  const auto checked = check_parameters(exchange.request().target.query, {});
  if (!checked) {
    exchange.respond(failed(checked.error()));
    co_return;
  }
  const std::optional<ConfigReload::Refusal> refusal = co_await context.reload->prepare();
  if (refusal) {
    http::Response response = http::problem(refusal->status, refusal->detail);
    if (refusal->status != 400) response.headers.emplace_back("Retry-After", "1");
    exchange.respond(std::move(response));
    co_return;
  }
  context.reload->take_over(exchange.answer_later());
}

}  // namespace streamobs::serve

#include "serve/endpoint.h"

#include "support/catch.h"

using namespace streamobs;
using namespace streamobs::serve;

namespace {

RowSource calls() {
  WindowSchema schema;
  schema.window = "calls";
  schema.size = kMinute;
  schema.keys = {{"tenant_id", {Kind::string, 0}}, {"model", {Kind::string, 0}}};
  schema.metrics = {{"n", {Kind::integer, 0}}};
  return {"calls", {{std::make_shared<const WindowSchema>(schema), ""}}, false};
}

EndpointOptions metrics() {
  EndpointOptions endpoint;
  endpoint.path = "/v1/metrics";
  endpoint.window = SourceText("calls");
  endpoint.parameters = {{SourceText("tenant"), SourceText("tenant_id"), true},
                         {SourceText("model"), SourceText("model"), false},
                         {SourceText("limit"), SourceText("limit"), false},
                         {SourceText("since"), SourceText("from"), false}};
  endpoint.windows = 60;
  endpoint.limit = 500;
  return endpoint;
}

Result<RowsQuestion> ask(const QueryParameters& parameters) {
  return read_endpoint_question(parameters, metrics(), calls());
}

const store::WindowQuery& rows(const Result<RowsQuestion>& asked) {
  REQUIRE(asked->parts.size() == 1);
  return asked->parts[0].question.rows;
}

}  // namespace

TEST_CASE("an endpoint asks its window under other names", "[serve]") {
  const auto asked = ask({{"model", "m"}, {"tenant", "acme"}});
  REQUIRE(asked.has_value());
  CHECK(rows(asked).window == "calls");
  CHECK(rows(asked).keys ==
        std::vector<std::pair<std::string, std::string>>{{"model", "m"}, {"tenant_id", "acme"}});
  CHECK(rows(asked).windows == 60);
  CHECK(rows(asked).limit == 500);
}

TEST_CASE("who says how much it wants is given that much", "[serve]") {
  const auto some = ask({{"tenant", "acme"}, {"limit", "100"}});
  REQUIRE(some.has_value());
  CHECK(rows(some).limit == 100);
  CHECK_FALSE(rows(some).windows.has_value());
  const auto since = ask({{"tenant", "acme"}, {"since", "2024-01-09T12:00:00Z"}});
  REQUIRE(since.has_value());
  CHECK(rows(since).from.has_value());
  CHECK(rows(since).limit == 500);
  CHECK_FALSE(rows(since).windows.has_value());
}

TEST_CASE("what is wrong is told under the endpoint's names", "[serve]") {
  const std::vector<std::pair<QueryParameters, const char*>> wrong = {
      {{}, "parameter \"tenant\" is missing: /v1/metrics?tenant="},
      {{{"model", "m"}}, "parameter \"tenant\" is missing"},
      {{{"tenant", "a"}, {"tenant_id", "a"}},
       "unknown parameter \"tenant_id\"; there is tenant, model, limit and since"},
      // What the window would take, this endpoint does not.
      {{{"tenant", "a"}, {"windows", "3"}}, "unknown parameter \"windows\""},
      {{{"tenant", "a"}, {"tenant", "b"}}, "parameter \"tenant\" is given twice"},
      {{{"tenant", "a"}, {"limit", "0"}}, "limit = \"0\" is not a whole number"},
      {{{"tenant", "a"}, {"since", "noon"}}, "parameter \"since\": from = \"noon\" is not a time"}};
  for (const auto& [parameters, words] : wrong) {
    const auto asked = ask(parameters);
    REQUIRE(asked.has_error());
    CHECK(asked.error().code == ErrorCode::invalid);
    CHECK_THAT(asked.error().message, Catch::Contains(words));
  }
}

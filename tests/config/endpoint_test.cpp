// [endpoint."GET /path"].
#include <string>

#include "config/support.h"

namespace streamobs::config {

namespace {

using serve::EndpointOptions;

const std::string kHead = R"toml([stream.s]
time = "t"
fields = { tenant_id = "string", limit = "int" }
paths = ["/v1/calls"]
[window.w]
from = "s"
size = "1m"
by = ["tenant_id", "limit"]
select = { n = "count(*)" }
)toml";

std::string endpoint(const std::string& more, const std::string& name = "GET /v1/calls") {
  return kHead + "[endpoint.\"" + name + "\"]\n" + more;
}

}  // namespace

TEST_CASE("an endpoint says which rows it answers with, and how", "[config]") {
  const Config config = parse_good(endpoint(R"toml(
window = "w"
required = { tenant = "tenant_id" }
optional = ["key.limit", "limit"]
shape = "list"
order = "oldest_first"
windows = 60
limit = 500
)toml"));
  REQUIRE(config.endpoints.size() == 1);
  const EndpointOptions& out = config.endpoints[0];
  CHECK(out.name.text == "GET /v1/calls");
  CHECK(out.path == "/v1/calls");
  CHECK(out.window.text == "w");
  REQUIRE(out.parameters.size() == 3);
  CHECK(out.parameters[0].name.text == "tenant");
  CHECK(out.parameters[0].of.text == "tenant_id");
  CHECK(out.parameters[0].required);
  CHECK(out.parameters[1].of.text == "key.limit");
  CHECK_FALSE(out.parameters[1].required);
  CHECK(out.shape == EndpointOptions::Shape::list);
  CHECK(out.order == EndpointOptions::Order::oldest_first);
  CHECK(out.windows == 60);
  CHECK(out.limit == 500);

  const EndpointOptions plain = parse_good(endpoint("window = \"w\"\n")).endpoints.at(0);
  CHECK(plain.shape == EndpointOptions::Shape::object);
  CHECK(plain.order == EndpointOptions::Order::newest_first);
  CHECK(plain.windows == 0);
  CHECK(plain.limit == 1'000);
}

TEST_CASE("an endpoint's name is a method and a path of its own", "[config]") {
  const std::string body = "window = \"w\"\n";
  CHECK(mentions(messages(endpoint(body, "/v1/x")), "[endpoint.\"GET /v1/x\"]"));
  CHECK(mentions(messages(endpoint(body, "POST /v1/x")), "the method, which is GET"));
  CHECK(mentions(messages(endpoint(body, "get /v1/x")), "the method, which is GET"));
  CHECK(mentions(messages(endpoint(body, "GET  /v1/x")), "is not a path"));
  CHECK(mentions(messages(endpoint(body, "GET /")), "is not a path"));
  CHECK(mentions(messages(endpoint(body, "GET /v1/{x}")), "letter for letter"));
  // The place is that of the path within the name.
  CHECK(mentions(messages(endpoint(body, "GET /api/v1/mine")),
                 "test.toml:10:16: error: path: /api belongs to the engine"));
  CHECK(mentions(messages(endpoint(body, "GET /index.html")), "/index.html belongs to the engine"));
  CHECK(mentions(messages(endpoint(body) + "[endpoint.\"GET /v1/calls\"]\n" + body),
                 "the table endpoint.\"GET /v1/calls\" is there already, on line"));
}

TEST_CASE("an endpoint's window and parameters are there", "[config]") {
  CHECK(mentions(messages(endpoint("")), "which window's rows"));
  CHECK(mentions(messages(endpoint("window = \"v\"\n")), "window: there is no window \"v\""));
  const std::string unknown = messages(endpoint("window = \"w\"\noptional = [\"tenant\"]\n"));
  CHECK(mentions(unknown, "test.toml:12:14: error: optional: window w has no key \"tenant\""));
  CHECK(mentions(unknown, "did you mean \"tenant_id\"?"));
  CHECK(mentions(messages(endpoint("window = \"w\"\nrequired = { a = \"n\" }\n")),
                 "required: window w has no key \"n\""));
  CHECK(mentions(messages(endpoint("window = \"w\"\nrequired = [\"limit\"]\noptional = "
                                   "[\"limit\"]\n")),
                 "there is a parameter \"limit\" already"));
  CHECK(
      mentions(messages(endpoint("window = \"w\"\noptional = { a = \"limit\", b = \"limit\" }\n")),
               "\"a\" stands for limit already"));
  CHECK(mentions(messages(endpoint("window = \"w\"\nrequired = \"tenant_id\"\n")),
                 "expected a list of parameters"));
  CHECK(mentions(messages(endpoint("window = \"w\"\nwindows = 0\n")), "from 1 to 100000"));
  CHECK(mentions(messages(endpoint("from = \"w\"\n")), "it is called \"window\" here"));
  CHECK(mentions(messages(endpoint("window = \"w\"\nshape = \"array\"\n")), "rows and list"));
}

TEST_CASE("a config of the past has no endpoints", "[config]") {
  Diagnostics diagnostics;
  const auto past = parse_past(endpoint("window = \"w\"\n", "GET /api/v1/later"), "f", diagnostics);
  REQUIRE(past.has_value());
  CHECK(past->endpoints.empty());
}

}  // namespace streamobs::config

#include "decode/stream_plan.h"

#include <string>
#include <vector>

#include "decode/decode_support.h"
#include "support/catch.h"

using namespace streamobs;
using namespace streamobs::decode;
using namespace streamobs::decode::test;

namespace {

/// Every error's message, or "ok".
std::vector<std::string> errors(const StreamOptions& options) {
  Diagnostics diagnostics;
  const auto plan = compile_stream(options, 3, diagnostics);
  std::vector<std::string> out;
  for (const Diagnostic& d : diagnostics) out.push_back(d.message);
  CHECK((plan == nullptr) == !out.empty());
  return out;
}

bool says(const std::vector<std::string>& messages, std::string_view part) {
  for (const std::string& m : messages) {
    if (m.find(part) != std::string::npos) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("a plan has the declared fields in order and the time") {
  StreamOptions o = services();
  o.fields[1].path = "http.endpoint";
  o.fields[2].aliases = {"latency"};
  o.derive = {{"slow", "latency_ms > 100"}, {"bad", "slow and status_code >= 500"}};
  o.checks = {{"positive", "latency_ms >= 0"}};
  o.filter = "not bad";
  Diagnostics diagnostics;
  const auto plan = compile_stream(o, 3, diagnostics);
  REQUIRE(plan != nullptr);
  CHECK(diagnostics.empty());
  CHECK(plan->schema.stream == "requests");
  CHECK(plan->schema.stream_id == 3);
  REQUIRE(plan->schema.fields.size() == 5);
  CHECK(plan->schema.fields[1].path == "http.endpoint");
  CHECK(plan->schema.fields[2].aliases == std::vector<std::string>{"latency"});
  CHECK(plan->schema.fields[4].name == "event_time");
  CHECK(plan->schema.fields[4].required);
  CHECK(plan->schema.time_field == "event_time");
  CHECK(plan->scope.columns().size() == 5);
  CHECK(plan->scope.definition("bad") != nullptr);
  CHECK(plan->check_names == std::vector<std::string>{"positive"});
  CHECK(plan->checks != nullptr);
  CHECK(plan->filter != nullptr);
  CHECK(plan->zone->is_utc());
}

TEST_CASE("a declared time field keeps its place and type and becomes required") {
  StreamOptions o = services();
  o.fields.insert(o.fields.begin(), field("event_time", "int"));
  Diagnostics diagnostics;
  const auto plan = compile_stream(o, 0, diagnostics);
  REQUIRE(plan != nullptr);
  CHECK(plan->schema.fields.size() == 5);
  CHECK(plan->schema.fields[0].type.kind == Kind::integer);
  CHECK(plan->schema.fields[0].required);
}

TEST_CASE("everything that is wrong is said at once") {
  StreamOptions o = services();
  o.time = {};
  o.timezone = "Mars/Olympus";
  o.max_event_bytes = 0;
  o.fields.push_back(field("service", "int"));
  o.fields[1].aliases = {"a", "a"};
  o.derive = {{"x", "latency_ms +"}, {"service", "1"}, {"y", "nonsense * 2"}};
  o.checks = {{"late", "true"}, {"", "true"}, {"c", "latency_ms"}, {"c", "true"}};
  o.filter = "service";
  const auto messages = errors(o);
  CHECK(says(messages, "which field bears the time"));
  CHECK(says(messages, "Mars/Olympus"));
  CHECK(says(messages, "max_event_bytes"));
  CHECK(says(messages, "service is declared twice"));
  CHECK(says(messages, "names a twice"));
  CHECK(says(messages, "the name service is taken"));
  CHECK(says(messages, "cannot be called late"));
  CHECK(says(messages, "a check has no name"));
  CHECK(says(messages, "the check c is there twice"));
  CHECK(messages.size() >= 12);
}

TEST_CASE("what follows from a derived field that failed is not said again") {
  StreamOptions o = services();
  o.derive = {{"a", "nonsense"}, {"b", "a + 1"}};
  o.checks = {{"c", "b > 1"}};
  CHECK(errors(o).size() == 1);
}

TEST_CASE("a stream with mistakes that were told is looked through for further ones") {
  StreamOptions o = services();
  o.mistaken = true;
  o.time = {};
  o.id = "nobody";
  o.fields[2].type = {};  // latency_ms
  o.derive = {{"slow", "latency_ms > 100"}, {"gone", SourceText()}, {"wrong", "endpoint > 1"}};
  o.checks = {{"late", "slow and nonsense"}};
  o.filter = "gone or endpoint > 1";
  Diagnostics diagnostics;
  const CheckedStream checked = check_stream(o, 0, diagnostics);
  CHECK_FALSE(checked.complete);
  std::vector<std::string> messages;
  for (const Diagnostic& d : diagnostics) messages.push_back(d.message);
  REQUIRE(messages.size() == 3);
  CHECK(messages[0] == "cannot compare string with int");
  CHECK(messages[1] == "there is no column nonsense");
  CHECK(messages[2] == "cannot compare string with int");
  REQUIRE(checked.plan != nullptr);
  const auto type_of = [&](std::string_view name) {
    return checked.plan->scope.columns()[checked.plan->scope.column(name).value()].type.kind;
  };
  CHECK(type_of("latency_ms") == Kind::null);
  CHECK(type_of("gone") == Kind::null);
  CHECK(type_of("wrong") == Kind::null);
  CHECK(type_of("status_code") == Kind::integer);
  diagnostics.clear();
  CHECK(compile_stream(o, 0, diagnostics) == nullptr);
  // Where fields may be missing, nobody can tell a wrong name.
  o.names_missing = true;
  diagnostics.clear();
  check_stream(o, 0, diagnostics);
  CHECK(diagnostics.size() == 2);
  // Without a mistake it is what runs.
  diagnostics.clear();
  CHECK(check_stream(services(), 0, diagnostics).complete);
  CHECK(diagnostics.empty());
}

TEST_CASE("a bool or a map cannot be the time") {
  for (const char* type : {"bool", "map"}) {
    StreamOptions o = services();
    o.fields.push_back(field("event_time", type));
    CHECK(says(errors(o), "cannot be a time"));
  }
}

TEST_CASE("the id is a declared string or int") {
  StreamOptions o = services();
  Diagnostics diagnostics;
  CHECK_FALSE(compile_stream(o, 0, diagnostics)->id_column.has_value());
  o.id = "endpoint";
  CHECK(compile_stream(o, 0, diagnostics)->id_column == 1);
  o.id = "status_code";
  CHECK(compile_stream(o, 0, diagnostics)->id_column == 3);
  CHECK(diagnostics.empty());
  o.id = "latency_ms";
  CHECK(says(errors(o), "the id field latency_ms is declared as float"));
  o.id = "other";
  o.id_horizon = 0;
  CHECK(says(errors(o), "the id field other is not declared"));
  CHECK(says(errors(o), "id_horizon is too small"));
}

TEST_CASE("errors in expressions point at their place") {
  StreamOptions o = services();
  o.checks = {{"c", SourceText("latency_ms > 'x'", {"obs.toml", 12, 7})}};
  Diagnostics diagnostics;
  CHECK(compile_stream(o, 0, diagnostics) == nullptr);
  REQUIRE(diagnostics.size() == 1);
  CHECK(diagnostics[0].place.file == "obs.toml");
  CHECK(diagnostics[0].place.line == 12);
  CHECK_FALSE(diagnostics[0].excerpt.empty());
}

// What is said about a wrong expression, and where the caret stands.
#include <string>

#include "expr/fixture.h"
#include "support/catch.h"

using namespace streamobs;
using namespace streamobs::expr;
using namespace streamobs::expr::test;

namespace {

Scope sample_scope() {
  Scope scope;
  scope.add_column("service", {Kind::string, 0});
  scope.add_column("status_code", {Kind::integer, 0});
  scope.add_column("latency_ms", {Kind::floating, 0});
  scope.add_column("amount", {Kind::decimal, 12});
  scope.add_column("event_time", {Kind::timestamp, 0});
  scope.add_column("tags", {Kind::map, 0});
  scope.add_column("ok", {Kind::boolean, 0});
  return scope;
}

struct Wrong {
  const char* expression;
  const char* marked;   ///< The piece of the expression that the caret line underlines.
  const char* message;  ///< Contained in the message or hint.
};

/// The text above the carets.
std::string marked_text(const std::string& excerpt) {
  const std::size_t newline = excerpt.find('\n');
  const std::string carets = excerpt.substr(newline + 1);
  const std::size_t begin = carets.find('^');
  return excerpt.substr(0, newline).substr(begin, carets.size() - begin);
}

}  // namespace

TEST_CASE("each mistake is told with its place") {
  const std::vector<Wrong> cases = {
      {"", "", "empty"},
      {"   ", "", "empty"},
      {"1 +", "", "a value is missing"},
      {"1 + * 2", "*", "a value was expected"},
      {"(1 + 2", "", "')' is missing"},
      {"1 + 2)", ")", "the end"},
      {"service == 'a'", "=", "single ="},
      {"ok && ok", "&", "`and`"},
      {"status_code = 1; ", ";", "semicolon"},
      {"service = 'abc", "'", "not closed"},
      {"\"service", "\"", "not closed"},
      {"1 /* x", "/*", "not closed"},
      {"12abc", "12abc", "not a number"},
      {"1.2.3", "1.2.3", "not a number"},
      {"99999999999999999999", "99999999999999999999", "64 bits"},
      {"1e999", "1e999", "range"},
      {"1 < 2 < 3", "<", "chained"},
      {"status_code = not ok", "not", "parentheses"},
      {"case status_code end", "end", "`when`"},
      {"case when ok then 1", "", "`end`"},
      {"cast(status_code int)", "int", "`as`"},
      {"status_code::uuid", "uuid", "no type uuid"},
      {"status_code::numeric", "numeric", "decimal(2)"},
      {"interval '1 month'", "'1 month'", "no fixed length"},
      {"timestamp 'today'", "'today'", "not a time"},
      {"status_code in ()", ")", "a value"},
      {"status_code is 5", "5", "`null`"},
      {"status_code between 1 or 2", "or", "`and`"},
      {"end = 1", "end", "\"end\""},
      {"2 ^ 3", "^", "power"},
      {"statuscode >= 500", "statuscode", "did you mean status_code?"},
      {"Service = 'a'", "Service", "did you mean service?"},
      {"nonsense", "nonsense", "known here: service, status_code"},
      {"service = \"checkout\"", "\"checkout\"", "single quotes"},
      {"tags.region = 'eu'", "tags.region", "tags['region']"},
      {"service['a']", "service", "only a map"},
      {"tags[1]", "1", "string is needed"},
      {"tags = tags", "tags = tags", "maps cannot be compared"},
      {"status_code = '500'", "status_code = '500'", "without quotes"},
      {"service > 5", "service > 5", "cast(5 as string)"},
      {"status_code = ok", "status_code = ok", "cannot compare int with bool"},
      {"event_time > 'yesterday'", "'yesterday'", "not a time"},
      {"event_time = 5", "event_time = 5", "cannot compare"},
      {"service + 1", "service + 1", "|| joins texts"},
      {"event_time + 5", "event_time + 5", "interval"},
      {"event_time + event_time", "event_time + event_time", "timestamp + timestamp"},
      {"-service", "service", "number is needed"},
      {"not status_code", "status_code", "condition"},
      {"ok and latency_ms", "latency_ms", "condition"},
      {"case when 1 then 2 end", "1", "condition"},
      {"case when ok then 1 else 'a' end", "'a'", "mixes int and string"},
      {"coalesce(status_code, service)", "service", "mixes int and string"},
      {"amount * amount", "amount * amount", "24 digits"},
      {"status_code || 5", "status_code || 5", "cast"},
      {"status_code like '5%'", "status_code", "cast(status_code as string)"},
      {"event_time::int", "event_time::int", "extract(epoch"},
      {"status_code::timestamp", "status_code::timestamp", "to_timestamp"},
      {"tags::int", "tags::int", "cannot be cast"},
      {"lenght(service)", "lenght(service)", "did you mean length?"},
      {"ifnull(service, 'a')", "ifnull(service, 'a')", "coalesce"},
      {"frobnicate(1)", "frobnicate(1)", "no function"},
      {"lower()", "lower()", "takes 1 argument, not 0"},
      {"substr(service)", "substr(service)", "takes 2 or 3 arguments, not 1"},
      {"lower(status_code)", "status_code", "string is needed"},
      {"sqrt(service)", "service", "cast(service as float)"},
      {"left(service, 1.5)", "1.5", "int is needed"},
      {"round(latency_ms, status_code)", "status_code", "fixed number of digits"},
      {"date_trunc('fortnight', event_time)", "'fortnight'", "no unit"},
      {"date_trunc(service, event_time)", "service", "fixed unit"},
      {"extract(hour from status_code)", "status_code", "timestamp or interval"},
      {"extract(century from event_time)", "century", "no field"},
      {"count(*)", "count(*)", "aggregate function count is not allowed here"},
      {"1 + sum(latency_ms)", "sum(latency_ms)", "aggregate function"},
      {"max(1, 2)", "max(1, 2)", "greatest"},
      {"baseline(latency_ms, '1h') > 3", "baseline(latency_ms, '1h')", "rule"},
      {"lower(distinct service)", "lower(distinct service)", "distinct"},
      {"abs(1) filter (where ok)", "abs(1) filter (where ok)", "filter"},
      {"abs(*)", "abs(*)", "(*)"},
      {"service = 'é' and lateny_ms > 1", "lateny_ms", "latency_ms"},
  };
  const Scope scope = sample_scope();
  for (const Wrong& wrong : cases) {
    INFO(wrong.expression);
    Diagnostics diagnostics;
    CHECK(compile(scope, wrong.expression, diagnostics) == nullptr);
    REQUIRE(diagnostics.size() == 1);
    INFO(text_of(diagnostics));
    const Diagnostic& d = diagnostics[0];
    CHECK((d.message + " | " + d.hint).find(wrong.message) != std::string::npos);
    const std::string expression = wrong.expression;
    if (expression.find("é") == std::string::npos && *wrong.marked != '\0') {
      CHECK(marked_text(d.excerpt) == wrong.marked);
    }
    // The column counts characters, not bytes.
    if (expression.find("é") != std::string::npos) {
      CHECK(d.place.column == 19);
      CHECK(d.excerpt == expression + "\n" + std::string(18, ' ') + "^~~~~~~~~");
    }
  }
}

TEST_CASE("a place in the file: first line from the string's own column, later lines from 1") {
  const Scope scope = sample_scope();
  SourceText source("status_code >= 500\n  and servic = 'a'\n  and latency_ms > oops",
                    {"obs.toml", 12, 9});
  Diagnostics diagnostics;
  const NodePtr node = parse(source, diagnostics);
  REQUIRE(node != nullptr);
  ProgramBuilder builder(scope);
  CHECK_FALSE(builder.add(node, source, diagnostics));
  // Both mistakes at once.
  REQUIRE(diagnostics.size() == 2);
  CHECK(diagnostics[0].place.file == "obs.toml");
  CHECK(diagnostics[0].place.line == 13);
  CHECK(diagnostics[0].place.column == 7);
  CHECK(diagnostics[0].excerpt == "  and servic = 'a'\n      ^~~~~~");
  CHECK(diagnostics[1].place.line == 14);
  CHECK(diagnostics[1].place.column == 20);

  diagnostics.clear();
  source = SourceText("status_code >= nope", {"obs.toml", 12, 9});
  const NodePtr other = parse(source, diagnostics);
  CHECK_FALSE(builder.add(other, source, diagnostics));
  REQUIRE(diagnostics.size() == 1);
  CHECK(diagnostics[0].place.line == 12);
  CHECK(diagnostics[0].place.column == 24);
}

TEST_CASE("limits: nesting, length, long chains") {
  Diagnostics diagnostics;
  const auto nested = [](int depth) {
    return std::string(static_cast<std::size_t>(depth), '(') + "1" +
           std::string(static_cast<std::size_t>(depth), ')');
  };
  CHECK(parse(nested(60), diagnostics) != nullptr);
  CHECK(diagnostics.empty());
  CHECK(parse(nested(65), diagnostics) == nullptr);
  CHECK(parse(nested(30000), diagnostics) == nullptr);
  std::string minus(5000, '-');
  for (std::size_t i = 1; i < minus.size(); i += 2) minus[i] = ' ';
  CHECK(parse(minus + "x", diagnostics) == nullptr);
  std::string sum = "1";
  for (int i = 0; i < 100; ++i) sum += " + 1";
  CHECK(parse(sum, diagnostics) == nullptr);
  CHECK(parse(std::string(70000, ' ') + "1", diagnostics) == nullptr);
  REQUIRE(diagnostics.size() == 5);
  for (const Diagnostic& d : diagnostics) {
    CHECK(d.message.find(d.message.find("64 KiB") != std::string::npos ? "64 KiB" : "deeper") !=
          std::string::npos);
    CHECK(d.excerpt.size() < 1000);
  }
  // Alternatives are not nesting, however many there are.
  diagnostics.clear();
  std::string any = "status_code = 0";
  for (int i = 1; i < 1000; ++i) any += " or status_code = " + std::to_string(i);
  CHECK(compile(sample_scope(), any, diagnostics) != nullptr);
  CHECK(diagnostics.empty());
  // Each mistake is looked for in the text: of thousands, only the first are told.
  std::string mistakes = "a0 = 0";
  for (int i = 1; i < 1000; ++i) mistakes += " or a" + std::to_string(i) + " = 0";
  CHECK(compile(sample_scope(), mistakes, diagnostics) == nullptr);
  REQUIRE(diagnostics.size() == 20);
  CHECK(diagnostics.back().message.find("a19") != std::string::npos);
}

TEST_CASE("derived fields: order, shadowing, one report of a mistake") {
  Diagnostics diagnostics;
  Scope scope = sample_scope();
  const auto define = [&](const std::string& name, const std::string& text) {
    scope.add_definition(name, parse(text, diagnostics), SourceText(text, {"obs.toml", 5, 3}));
  };
  define("service", "upper(service)");  // Itself: the column of that name.
  define("bad", "later_one + 1");       // Defined only below.
  define("later_one", "status_code + 1");
  define("nice", "service || '!'");
  CHECK(diagnostics.empty());
  CHECK(compile(scope, "nice = service || '!'", diagnostics) != nullptr);
  CHECK(diagnostics.empty());
  const SourceText source("bad + bad > 1 or bad = 2");
  ProgramBuilder builder(scope);
  CHECK_FALSE(builder.add(parse(source, diagnostics), source, diagnostics));
  REQUIRE(diagnostics.size() == 1);
  CHECK(diagnostics[0].place.file == "obs.toml");
  CHECK(diagnostics[0].place.column == 3);
}

TEST_CASE("a column whose type is not known is no mistake, the rest of the expression may be") {
  Scope scope = sample_scope();
  scope.add_column("broken", DataType());
  const auto told = [&](const std::string& text) {
    Diagnostics diagnostics;
    CHECK(compile(scope, text, diagnostics) == nullptr);
    std::string all;
    for (const Diagnostic& d : diagnostics) all += d.message + ";";
    return all;
  };
  for (const char* text : {"broken", "broken + 1", "broken > 1 and ok", "lower(broken)",
                           "case when broken then 1 else 'x' end", "broken::int", "not broken"}) {
    INFO(text);
    CHECK(told(text).empty());
  }
  CHECK(told("broken > 1 and service > 2") == "cannot compare string with int;");
  CHECK(told("lower(broken) || nope") == "there is no column nope;");
  CHECK(told("nofunction(broken)") == "there is no function nofunction;");
  // One that may be missing is as one that is broken.
  scope.set_incomplete();
  CHECK(told("lower(broken) || nope").empty());
  CHECK(told("nope and service > 2") == "cannot compare string with int;");
}

TEST_CASE("hidden columns are there, but not suggested") {
  Scope scope;
  scope.add_column("rate", {Kind::floating, 0});
  scope.add_hidden_column("ratt", {Kind::floating, 0});
  CHECK(scope.suggestion("ratee") == "did you mean rate?");
  CHECK(scope.suggestion("zzz") == "known here: rate");
  Diagnostics diagnostics;
  CHECK(compile(scope, "ratt > rate", diagnostics) != nullptr);
}

TEST_CASE("the kind that is expected") {
  const Scope scope = sample_scope();
  const auto type = [&](const std::string& text, Kind expected) -> std::string {
    Diagnostics diagnostics;
    const auto program = compile(scope, text, diagnostics, expected);
    return program == nullptr ? diagnostics.at(0).message : to_text(program->type(0));
  };
  CHECK(type("status_code", Kind::floating) == "float");
  CHECK(type("1.5", Kind::floating) == "float");
  CHECK(type("status_code", Kind::decimal) == "decimal(0)");
  CHECK(type("amount", Kind::decimal) == "decimal(12)");
  CHECK(type("null", Kind::boolean) == "bool");
  CHECK(type("status_code", Kind::boolean) == "this is int, but bool is needed here");
  CHECK(type("latency_ms", Kind::integer) == "this is float, but int is needed here");
  CHECK(type("latency_ms", Kind::decimal) == "this is float, but decimal is needed here");
  CHECK(type("service", Kind::string) == "string");
}

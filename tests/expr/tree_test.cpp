// The tree: precedence as text, normal form, walking, rewriting.
#include <set>

#include "expr/fixture.h"
#include "support/catch.h"

using namespace streamobs;
using namespace streamobs::expr;
using namespace streamobs::expr::test;

namespace {

NodePtr parsed(const std::string& text) {
  Diagnostics diagnostics;
  NodePtr node = parse(text, diagnostics);
  INFO(text << "\n" << text_of(diagnostics));
  REQUIRE(node != nullptr);
  return node;
}

}  // namespace

TEST_CASE("normal form: white space, case, needless parentheses") {
  const std::pair<const char*, const char*> cases[] = {
      {"A+b *  C", "A + b * C"},
      {"(a+b)*c", "(a + b) * c"},
      {"a-(b-c)", "a - (b - c)"},
      {"(a-b)-c", "a - b - c"},
      {"a and (b and c) and d", "a and b and c and d"},
      {"a OR b AND NOT c", "a or b and not c"},
      {"(a or b) and c", "(a or b) and c"},
      {"not (a = b)", "not a = b"},
      {"(not a) = b", "(not a) = b"},
      {"a = b IS NULL", "a = b is null"},
      {"a = (b is null)", "a = (b is null)"},
      {"x not in ( 1,2 )", "x not in (1, 2)"},
      {"x between 1 and 2+3", "x between 1 and 2 + 3"},
      {"a||b+c", "a || b + c"},
      {"-a*b", "-a * b"},
      {"-(a*b)", "-(a * b)"},
      {"- 5", "-5"},
      {"2 - -5", "2 - -5"},
      {"-(-5)", "-(-5)"},
      {"-(5)", "-(5)"},
      {"a::INT + 1", "cast(a as int) + 1"},
      {"cast(a as numeric(12,2))", "cast(a as decimal(2))"},
      {"(-a)::int", "cast(-a as int)"},
      {"COUNT ( * ) filter ( where x>1 )", "count(*) filter (where x > 1)"},
      {"count(distinct user_id)", "count(distinct user_id)"},
      {"quantile(latency_ms, .95)", "quantile(latency_ms, 0.95)"},
      {"1.50", "1.50"},
      {"1e3", "1000e0"},
      {"'it''s'", "'it''s'"},
      {"\"select\".\"Odd name\"", "\"select.Odd name\""},
      {"\"end\"", "\"end\""},
      {"case x when 1 then 'a' end", "case when x = 1 then 'a' else null end"},
      {"interval '90 minutes'", "interval '1h30m'"},
      {"timestamp '2024-01-09'", "timestamp '2024-01-09T00:00:00Z'"},
      {"extract(HOUR from t)", "date_part('hour', t)"},
      {"tags['a']['b']", "tags['a']['b']"},
      {"a is not distinct from b", "a is not distinct from b"},
      {"x ilike 'a%'", "x ilike 'a%'"},
      {"baseline(error_rate, '1h') * 3 < error_rate",
       "baseline(error_rate, '1h') * 3 < error_rate"},
  };
  for (const auto& [text, expected] : cases) {
    INFO(text);
    const std::string sql = to_sql(*parsed(text));
    CHECK(sql == expected);
    // The normal form is its own normal form.
    CHECK(to_sql(*parsed(sql)) == sql);
  }
}

TEST_CASE("walk visits parents first, the filter included") {
  std::vector<std::string> seen;
  walk(parsed("sum(a) filter (where b > 1) / count(*)"), [&](const Node& node) {
    if (node.op == Op::column || node.op == Op::call) seen.push_back(node.name);
  });
  CHECK(seen == std::vector<std::string>{"sum", "a", "b", "count"});
}

TEST_CASE("rewrite replaces from the top and leaves the rest shared") {
  const NodePtr root = parsed("sum(a + sum(b)) > 3 * baseline(x, '1h') and c = 1");
  int calls = 0;
  const NodePtr rewritten = rewrite(root, [&](const NodePtr& node) -> NodePtr {
    if (node->op != Op::call) return nullptr;
    Node column;
    column.op = Op::column;
    column.span = node->span;
    column.name = "$" + std::to_string(calls++);
    return std::make_shared<const Node>(column);
  });
  CHECK(to_sql(*rewritten) == "\"$0\" > 3 * \"$1\" and c = 1");
  CHECK(to_sql(*root) == "sum(a + sum(b)) > 3 * baseline(x, '1h') and c = 1");
  CHECK(rewritten->args[1] == root->args[1]);
  CHECK(rewrite(root, [](const NodePtr&) { return NodePtr(); }) == root);
}

TEST_CASE("spans point into the text") {
  const std::string text = "a + coalesce( b , 1 ) * (c)";
  const NodePtr root = parsed(text);
  const auto part = [&](const Node& node) {
    return text.substr(node.span.begin, node.span.end - node.span.begin);
  };
  CHECK(part(*root->args[0]) == "a");
  CHECK(part(*root->args[1]->args[0]) == "coalesce( b , 1 )");
  CHECK(part(*root->args[1]->args[0]->args[0]) == "b");
}

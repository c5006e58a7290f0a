// Expressions and what they come to over one row of every kind.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

#include "expr/fixture.h"
#include "support/catch.h"

namespace streamobs::expr::test {

struct Case {
  const char* expression;
  const char* expected;
};

/// One row of every kind. Each case is run over columns, so that nothing is folded away, and the
/// same literals are covered by cases without columns.
inline Table one_row(bool dictionary) {
  Table t;
  const auto null = [](Kind kind) { return Value::of_null({kind, 0}); };
  t.add("i", {Kind::integer, 0}, {Value::of_int(7)});
  t.add("neg", {Kind::integer, 0}, {Value::of_int(-7)});
  t.add("zero", {Kind::integer, 0}, {Value::of_int(0)});
  t.add("big", {Kind::integer, 0}, {Value::of_int(9223372036854775807)});
  t.add("f", {Kind::floating, 0}, {Value::of_float(2.5)});
  t.add("d", {Kind::decimal, 2}, {Value::of_decimal(1999, 2)});
  t.add("d4", {Kind::decimal, 4}, {Value::of_decimal(-12345, 4)});
  t.add("s", {Kind::string, 0}, {Value::of_string("Hello, World")}, dictionary);
  t.add("num", {Kind::string, 0}, {Value::of_string(" 42 ")}, dictionary);
  t.add("utf", {Kind::string, 0}, {Value::of_string("héllo wörld €")}, dictionary);
  t.add("t", {Kind::timestamp, 0}, {Value::of_timestamp(1'704'803'696'123'456)});
  t.add("yes", {Kind::boolean, 0}, {Value::of_bool(true)});
  t.add("no", {Kind::boolean, 0}, {Value::of_bool(false)});
  t.add("ni", {Kind::integer, 0}, {null(Kind::integer)});
  t.add("nf", {Kind::floating, 0}, {null(Kind::floating)});
  t.add("ns", {Kind::string, 0}, {null(Kind::string)}, dictionary);
  t.add("nb", {Kind::boolean, 0}, {null(Kind::boolean)});
  t.add("nt", {Kind::timestamp, 0}, {null(Kind::timestamp)});
  Value map =
      Value::of_string(R"({"region":"eu-west", "n" : 12.50,"ok":true,"none":null,"list":[1,"a}"],)"
                       R"("esc\"aped":"a\tb\u20ac\ud83d\ude00","empty":""})");
  map.type = {Kind::map, 0};
  t.add("tags", {Kind::map, 0}, {map}, dictionary);
  t.add("meta.traceId", {Kind::string, 0}, {Value::of_string("abc")}, dictionary);
  t.add("Odd name", {Kind::integer, 0}, {Value::of_int(1)});
  return t;
}

inline void check_all(const std::vector<Case>& cases) {
  for (const bool dictionary : {false, true}) {
    const Table table = one_row(dictionary);
    for (const Case& c : cases) {
      INFO(c.expression << (dictionary ? " (dictionary)" : " (plain)"));
      std::string got;
      try {
        got = shown(evaluate(table, c.expression)[0]);
      } catch (const std::runtime_error& error) {
        got = error.what();
      }
      CHECK(got == c.expected);
    }
  }
}

}  // namespace streamobs::expr::test

#include "event/value.h"

#include <cstdint>
#include <string>
#include <utility>

#include "event/data_type.h"
#include "event/window_result.h"
#include "support/catch.h"

namespace streamobs {
namespace {

TEST_CASE("data types are read and written by name", "[event][data_type]") {
  const std::pair<const char*, DataType> names[] = {{"string", {Kind::string, 0}},
                                                    {"text", {Kind::string, 0}},
                                                    {"int", {Kind::integer, 0}},
                                                    {"BIGINT", {Kind::integer, 0}},
                                                    {"float", {Kind::floating, 0}},
                                                    {"double precision", {Kind::floating, 0}},
                                                    {"bool", {Kind::boolean, 0}},
                                                    {"decimal(2)", {Kind::decimal, 2}},
                                                    {"numeric(10, 4)", {Kind::decimal, 4}},
                                                    {"timestamp", {Kind::timestamp, 0}},
                                                    {"map", {Kind::map, 0}}};
  for (const auto& [name, type] : names) {
    INFO(name);
    REQUIRE(parse_data_type(name).has_value());
    CHECK(*parse_data_type(name) == type);
    CHECK(parse_data_type(to_text(type)) == type);
  }
  for (const char* bad : {"", "number", "decimal", "decimal()", "decimal(19)", "decimal(-1)",
                          "decimal(x)", "decimal(2", "decimal(1,2,3)"}) {
    INFO(bad);
    CHECK_FALSE(parse_data_type(bad).has_value());
  }
}

TEST_CASE("values are compared within their type, null first", "[event][value]") {
  const Value null = Value::of_null({Kind::integer, 0});
  CHECK(compare(null, null) == 0);
  CHECK(compare(null, Value::of_int(-5)) < 0);
  CHECK(compare(Value::of_int(-5), null) > 0);
  CHECK(compare(Value::of_int(2), Value::of_int(10)) < 0);
  CHECK(compare(Value::of_float(2.5), Value::of_float(-10)) > 0);
  CHECK(compare(Value::of_decimal(199, 2), Value::of_decimal(200, 2)) < 0);
  CHECK(compare(Value::of_bool(false), Value::of_bool(true)) < 0);
  CHECK(compare(Value::of_string("a"), Value::of_string("b")) < 0);
  CHECK(compare(Value::of_string("b"), Value::of_string("abc")) > 0);
  CHECK(compare(Value::of_string("\xff"), Value::of_string("a")) > 0);
}

TEST_CASE("values as numbers, as text and as JSON", "[event][value]") {
  const auto json = [](const Value& v) {
    std::string out;
    JsonWriter writer(out);
    v.write_json(writer);
    return out;
  };
  struct Case {
    Value value;
    double number;
    const char* text;
    const char* json;
  };
  Value map = Value::of_string(R"({"a":1})");
  map.type = {Kind::map, 0};
  const Case cases[] = {
      {Value::of_null({Kind::floating, 0}), 0, "", "null"},
      {Value::of_int(-7), -7, "-7", "-7"},
      {Value::of_float(0.25), 0.25, "0.25", "0.25"},
      {Value::of_decimal(-1999, 2), -19.99, "-19.99", "-19.99"},
      {Value::of_bool(true), 1, "true", "true"},
      {Value::of_string("a\"b"), 0, "a\"b", R"("a\"b")"},
      {Value::of_timestamp(0), 0, "1970-01-01T00:00:00Z", R"("1970-01-01T00:00:00Z")"},
      {map, 0, R"({"a":1})", R"({"a":1})"},
  };
  for (const Case& c : cases) {
    INFO(c.json);
    CHECK(c.value.as_double() == Approx(c.number));
    CHECK(c.value.to_string() == c.text);
    CHECK(json(c.value) == c.json);
  }
  CHECK(key_text({Value::of_string("checkout"), Value::of_int(3)}) == "checkout|3");
  CHECK(key_text({}).empty());
}

TEST_CASE("a column's view gives back its values, slices and nulls", "[event][column]") {
  Column column;
  column.type = {Kind::integer, 0};
  column.has_nulls = true;
  for (int i = 0; i < 10; ++i) {
    column.ints.push_back(i * i);
    column.nulls.push_back(i % 3 == 0 ? 1 : 0);
  }
  const ColumnView tail = column.view().slice(4);
  for (std::size_t i = 0; i < 6; ++i) {
    const std::size_t row = i + 4;
    CHECK(tail.is_null(i) == (row % 3 == 0));
    CHECK(tail.int_at(i) == static_cast<std::int64_t>(row * row));
    const Value value = Value::from(tail, i);
    CHECK(value.null == (row % 3 == 0));
    if (!value.null) CHECK(value == Value::of_int(static_cast<std::int64_t>(row * row)));
  }
  ColumnView constant = column.view().slice(2);
  constant.constant = true;
  CHECK(constant.int_at(constant.index(7)) == 4);
  CHECK(constant.slice(3).int_at(constant.index(0)) == 4);
  column.clear();
  CHECK(column.view().nulls == nullptr);
}

}  // namespace
}  // namespace streamobs

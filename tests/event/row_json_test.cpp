// A row rebuilt as JSON: what late events show.
#include "event/row_json.h"

#include "support/catch.h"

using namespace streamobs;  // NOLINT

TEST_CASE("a row comes back as the object its paths describe", "[event][row_json]") {
  StreamSchema schema;
  const auto field = [&](std::string name, std::string path, DataType type) {
    Field f;
    f.name = std::move(name);
    f.path = std::move(path);
    f.type = type;
    schema.fields.push_back(std::move(f));
  };
  field("trace", "metadata.trace.id", {Kind::string, 0});
  field("amount", "amount", {Kind::decimal, 2});
  field("span", "metadata.span", {Kind::integer, 0});
  field("tags", "tags", {Kind::map, 0});
  field("time", "time", {Kind::timestamp, 0});
  EventBatch batch;
  batch.schema = &schema;
  batch.rows = 2;
  batch.columns.resize(schema.fields.size());
  for (std::size_t i = 0; i < schema.fields.size(); ++i) {
    Column& column = batch.columns[i];
    column.type = schema.fields[i].type;
    column.has_nulls = true;
    column.nulls.push_back(0);
    column.nulls.push_back(i == 4 ? 0 : 1);
    if (is_text(column.type.kind)) {
      column.strings.push_back(i == 0 ? "a\"b" : R"({"region":"eu"})");
      column.strings.push_back("");
    } else {
      column.ints.push_back(i == 1 ? -5 : 1'500'000);
      column.ints.push_back(0);
    }
  }
  REQUIRE(row_to_json(batch, 0) ==
          R"({"metadata":{"trace":{"id":"a\"b"},"span":1500000},"amount":-0.05,)"
          R"("tags":{"region":"eu"},"time":"1970-01-01T00:00:01.5Z"})");
  REQUIRE(row_to_json(batch, 1) == R"({"time":"1970-01-01T00:00:00Z"})");
}

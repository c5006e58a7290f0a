#include "narrate/words.h"

#include <memory>
#include <string>
#include <vector>

#include "narrate/evidence.h"
#include "support/catch.h"

namespace streamobs::narrate {
namespace {

TEST_CASE("column names become words with a unit", "[narrate][words]") {
  CHECK(metric_words("error_rate").name == "error rate");
  CHECK(metric_words("error_rate").unit.empty());
  CHECK(metric_words("p95_latency_ms").name == "p95 latency");
  CHECK(metric_words("p95_latency_ms").unit == " ms");
  CHECK(metric_words("avg_latency_ms").name == "average latency");
  CHECK(metric_words("estimated_cost_usd").unit == " USD");
  CHECK(quantity(12.5, metric_words("cpu_percent")) == "12.5%");
  CHECK(quantity(2340, metric_words("p95_latency_ms")) == "2,340 ms");
  CHECK(metric_words("_ms").name == " ms");
}

TEST_CASE("nouns get their plural", "[narrate][words]") {
  CHECK(plural("endpoint") == "endpoints");
  CHECK(plural("product_category") == "product categories");
  CHECK(plural("day") == "days");
  CHECK(plural("status") == "statuses");
  CHECK(plural("batch") == "batches");
}

TEST_CASE("lists read like a sentence", "[narrate][words]") {
  CHECK(listed({}, 3).empty());
  CHECK(listed({"a"}, 3) == "a");
  CHECK(listed({"a", "b"}, 3) == "a and b");
  CHECK(listed({"a", "b", "c"}, 3) == "a, b and c");
  CHECK(listed({"a", "b", "c", "d", "e"}, 2) == "a, b and 3 more");
  CHECK(label({{"service", Value::of_string("checkout")}, {"region", Value::of_string("eu")}}) ==
        "checkout / eu");
  CHECK(label({{"service", Value::of_string("")}}) == "no service");
  CHECK(label({}).empty());
}

TEST_CASE("evidence forgets what is old and what is too much", "[narrate][evidence]") {
  auto schema = std::make_shared<WindowSchema>();
  schema->window = "w";
  schema->size = kMinute;
  schema->keys = {{"k", {Kind::string, 0}}};
  schema->metrics = {{"n", {Kind::integer, 0}}, {"x", {Kind::floating, 0}}};
  WindowMemory memory(schema);
  const auto add = [&](int minute, int keys) {
    WindowBatch batch;
    batch.schema = schema;
    for (int k = 0; k < keys; ++k) {
      WindowRow row;
      row.start = minute * kMinute;
      row.end = row.start + kMinute;
      row.closed = true;
      row.keys = {Value::of_string("k" + std::to_string(k))};
      row.metrics = {Value::of_int(minute), Value::of_null({Kind::floating, 0})};
      batch.rows.push_back(std::move(row));
    }
    memory.add(batch);
  };
  for (int minute = 0; minute < 1'000; ++minute) add(minute, 1);
  CHECK(memory.rows() == 121);  // Two hours back from the newest, both ends included.
  const auto series = memory.matching({{"k", Value::of_string("k0")}});
  REQUIRE(series.size() == 1);
  CHECK(series[0]->usual(0, 990 * kMinute, 1'000 * kMinute).mean == Approx(994.5));
  CHECK(series[0]->usual(1, 990 * kMinute, 1'000 * kMinute).windows == 0);
  CHECK(series[0]->at(999 * kMinute + 5) != nullptr);
  CHECK(series[0]->at(1'000 * kMinute) == nullptr);
  add(999, 1);  // The same window again replaces it.
  CHECK(memory.rows() == 121);
  CHECK(memory.matching({{"other", Value::of_string("k0")}}).empty());

  for (int minute = 1'000; minute < 1'030; ++minute) add(minute, 10'000);
  CHECK(memory.rows() <= WindowMemory::kMaxValues / 10);
  CHECK(memory.rows() > WindowMemory::kMaxValues / 20);
}

}  // namespace
}  // namespace streamobs::narrate

#include "narrate/words.h"

#include <memory>
#include <string>
#include <vector>

#include "narrate/evidence.h"
#include "support/catch.h"

namespace streamobs::narrate {
namespace {

TEST_CASE("a move is told by its size", "[narrate][words]") {
  const MetricWords count = metric_words("request_count", 1000);
  CHECK(how_it_moved(135, 100, count) == "was up by 35% (135, normally 100)");
  CHECK(how_it_moved(200, 100, count) == "had doubled (200, normally 100)");
  CHECK(how_it_moved(420, 100, count) == "was 4.2 times the normal level (420, normally 100)");
  CHECK(how_it_moved(80, 100, count) == "was down by 20% (80, normally 100)");
  CHECK(how_it_moved(50, 100, count) == "had halved (50, normally 100)");
  CHECK(how_it_moved(10, 100, count) == "was down to 10% of the normal level (10, normally 100)");
  CHECK(how_it_moved(0, 100, count) == "had dropped to 0 (normally 100)");
  CHECK(how_it_moved(5, 0, count) == "was up (5, normally 0)");
  CHECK(how_it_moved(5, 3, metric_words("errors", 5)) == "were up by 67% (5, normally 3)");
}

TEST_CASE("columns about the same thing have one stem", "[narrate][words]") {
  CHECK(stem("p95_latency_ms") == "latency");
  CHECK(stem("avg_latency_ms") == "latency");
  CHECK(stem("error_count") == "error");
  CHECK(stem("error_rate") == "error");
  CHECK(stem("errors") == "error");
  CHECK(stem("request_count") == "request");
  CHECK(stem("count") == "count");
  CHECK(stem("payment_volume") == "payment volume");
  CHECK(stem("status") == "status");
}

TEST_CASE("nouns get their plural", "[narrate][words]") {
  CHECK(plural("endpoint") == "endpoints");
  CHECK(plural("product_category") == "product categories");
  CHECK(plural("day") == "days");
  CHECK(plural("status") == "statuses");
  CHECK(plural("batch") == "batches");
  CHECK(counted(1, "window") == "1 window");
  CHECK(counted(3, "product_category") == "3 product categories");
}

TEST_CASE("lists read like a sentence", "[narrate][words]") {
  CHECK(listed({}, 3).empty());
  CHECK(listed({"a"}, 3) == "a");
  CHECK(listed({"a", "b"}, 3) == "a and b");
  CHECK(listed({"a", "b", "c"}, 3) == "a, b and c");
  CHECK(listed({"a", "b", "c", "d", "e"}, 2) == "a, b and 3 more");
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
  const auto usual = [&](std::size_t metric, std::vector<TroubledSpan> troubled) {
    return series[0]->usual(990 * kMinute, 1'000 * kMinute, troubled,
                            [&](const Series::Entry& e) { return e.metrics[metric]; });
  };
  CHECK(usual(0, {}).mean() == Approx(994.5));
  CHECK(usual(1, {}).count == 0);
  // Of ten minutes seven are in trouble: three are enough, two are not.
  CHECK(usual(0, {{0, 991 * kMinute}, {993 * kMinute, 998 * kMinute + 1}}).mean() ==
        Approx((991 + 992 + 999) / 3.0));
  CHECK(usual(0, {{0, 992 * kMinute}, {993 * kMinute, 998 * kMinute + 1}}).mean() == Approx(994.5));
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

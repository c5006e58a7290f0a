#include "app/view_columns.h"

#include "support/catch.h"

using namespace streamobs;
using namespace streamobs::app;

namespace {

WindowSchema window(const std::string& name) {
  WindowSchema schema;
  schema.window = name;
  schema.stream = "s";
  schema.keys = {{"a", {Kind::string, 0}}, {"b", {Kind::integer, 0}}};
  schema.metrics = {{"n", {Kind::integer, 0}}, {"cost", {Kind::decimal, 2}}};
  return schema;
}

std::string difference(const WindowSchema& other) {
  const auto found = difference_in_view(window("m1"), other);
  return found ? found->message : "";
}

}  // namespace

TEST_CASE("windows of one stream with the same columns can be shown together", "[app]") {
  WindowSchema other = window("m5");
  CHECK(difference(other).empty());
  std::swap(other.metrics[0], other.metrics[1]);
  CHECK(difference(other).empty());
  // Not known because of a mistake that has been told.
  other.metrics[0].type = {Kind::null, 0};
  CHECK(difference(other).empty());
}

TEST_CASE("what differs between two windows is said", "[app]") {
  WindowSchema other = window("m5");
  other.stream = "t";
  CHECK(difference(other) == "m1 is over stream s and m5 over t");
  other = window("m5");
  other.keys.pop_back();
  CHECK(difference(other) == "m1 has a key b and m5 has none");
  other = window("m5");
  other.metrics.push_back({"p99", {Kind::floating, 0}});
  CHECK(difference(other) == "m5 has a metric p99 and m1 has none");
  other = window("m5");
  other.metrics[1].type = {Kind::decimal, 3};
  CHECK(difference(other) == "the metric cost is decimal(2) in m1 and decimal(3) in m5");
  other = window("m5");
  std::swap(other.keys[0], other.keys[1]);
  CHECK(difference(other) == "m1 and m5 have the same keys in another order");
  other = window("m5");
  other.metrics[0].name = "window_size";
  CHECK(difference(other) == "m5 has a column window_size, which is what a view adds");
}

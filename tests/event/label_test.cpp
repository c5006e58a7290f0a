#include "event/label.h"

#include "support/catch.h"

namespace streamobs {
namespace {

TEST_CASE("a key is called by its values, numbers by their column, too", "[event][words]") {
  CHECK(label({{"service", Value::of_string("checkout")}, {"region", Value::of_string("eu")}}) ==
        "checkout / eu");
  CHECK(label({{"path", Value::of_string("/a. It is over.")}}) == "\"/a. It is over.\"");
  CHECK(label({{"service", Value::of_string("")}}) == "no service");
  CHECK(label({{"service", Value::of_string("checkout")}, {"status_code", Value::of_int(500)}}) ==
        "checkout / status code 500");
  CHECK(label({}).empty());
}

}  // namespace
}  // namespace streamobs

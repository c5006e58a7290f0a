#include "base/normal.h"

#include "support/catch.h"

namespace streamobs {
namespace {

TEST_CASE("trouble does not count as normal, as long as enough else does", "[base][normal]") {
  Normal normal;
  normal.add(2, false);
  normal.add(4, false);
  normal.add(90, true);
  normal.add(6, false);
  const Normal::Level& three = normal.level(3);
  CHECK(three.count == 3);
  CHECK(three.mean() == 4);
  CHECK(three.deviation() == Approx(2));  // sqrt(((2-4)² + (4-4)² + (6-4)²) / 2)
  CHECK(three.min == 2);
  CHECK(three.max == 6);
  const Normal::Level& four = normal.level(4);
  CHECK(four.count == 4);
  CHECK(four.mean() == 25.5);
  CHECK(four.max == 90);
  // More are wanted than there are: the caller sees it by the count.
  CHECK(normal.level(9).count == 4);
}

TEST_CASE("one value has no spread, and none has nothing", "[base][normal]") {
  Normal normal;
  CHECK(normal.level(1).count == 0);
  CHECK(normal.level(1).deviation() == 0);
  normal.add(7, true);
  CHECK(normal.level(1).mean() == 7);
  CHECK(normal.level(1).deviation() == 0);
}

TEST_CASE("the spread of large values close together is exact", "[base][normal]") {
  Normal normal;
  for (int i = 0; i < 1'000; ++i) normal.add(1e9 + (i % 2), false);
  CHECK(normal.level(1).deviation() == Approx(0.5002501876563868).epsilon(1e-9));
}

}  // namespace
}  // namespace streamobs

#include "health/schedule.h"

#include "support/catch.h"

namespace {

using namespace streamobs;          // NOLINT
using namespace streamobs::health;  // NOLINT

constexpr Timestamp kNoon = 1'704'801'600 * kSecond;

TEST_CASE("a schedule is due at its first time and then every so often", "[health]") {
  ManualClock clock(kNoon);
  Schedule schedule(5 * kMinute, kNoon + 15 * kSecond);
  CHECK_FALSE(schedule.take(clock.now()));
  clock.advance(15 * kSecond - 1);
  CHECK_FALSE(schedule.take(clock.now()));
  clock.advance(1);
  CHECK(schedule.take(clock.now()));
  CHECK_FALSE(schedule.take(clock.now()));
  CHECK(schedule.next() == clock.now() + 5 * kMinute);
  clock.advance(5 * kMinute);
  CHECK(schedule.take(clock.now()));
}

TEST_CASE("what a sleeping machine missed is done once", "[health]") {
  ManualClock clock(kNoon);
  Schedule schedule(5 * kMinute, kNoon);
  CHECK(schedule.take(clock.now()));
  clock.advance(8 * kHour);
  CHECK(schedule.take(clock.now()));
  CHECK_FALSE(schedule.take(clock.now()));
  CHECK(schedule.next() == clock.now() + 5 * kMinute);
}

TEST_CASE("a clock that is set back delays nothing by more than a period", "[health]") {
  ManualClock clock(kNoon);
  Schedule schedule(5 * kMinute, kNoon);
  CHECK(schedule.take(clock.now()));
  clock.set(kNoon - kDay);
  CHECK_FALSE(schedule.take(clock.now()));
  clock.advance(5 * kMinute);
  CHECK(schedule.take(clock.now()));
}

}  // namespace

#include "narrate/chance.h"

#include <random>

#include "support/catch.h"

namespace streamobs::narrate {
namespace {

TEST_CASE("a stray error is no news, whatever the past was", "[narrate][chance]") {
  CHECK_FALSE(share_is_unusual(1, 24, 0, 1'440));
  CHECK_FALSE(share_is_unusual(2, 2, 0, 1'440));
  CHECK_FALSE(share_is_unusual(0, 0, 0, 0));
  CHECK(share_is_unusual(3, 24, 0, 1'440));
  CHECK(share_is_unusual(3, 24, 14, 1'440));
  CHECK_FALSE(share_is_unusual(3, 24, 72, 1'440));  // Normally 1.2 of 24.
  CHECK(share_is_unusual(6, 24, 72, 1'440));
  // A past of three small windows does not say much.
  CHECK_FALSE(share_is_unusual(3, 100, 0, 30));
  // Downwards what fails counts: 20 of 24 where all but one in a thousand succeeded.
  CHECK(share_is_unusual(20, 24, 1'438, 1'440));
  CHECK_FALSE(share_is_unusual(23, 24, 1'438, 1'440));
}

TEST_CASE("by chance alone a part is hardly ever unusual", "[narrate][chance]") {
  std::mt19937_64 random(3);
  const auto hits_of = [&](int events) {
    int hits = 0;
    for (int i = 0; i < events; ++i) hits += random() % 100 == 0 ? 1 : 0;
    return hits;
  };
  int unusual = 0;
  int found = 0;
  for (int round = 0; round < 3'000; ++round) {
    const int past = hits_of(60 * 30);
    if (share_is_unusual(hits_of(30), 30, past, 60 * 30)) ++unusual;
    if (share_is_unusual(12, 30, past, 60 * 30)) ++found;
  }
  CHECK(unusual < 30);  // P(X ≥ 3) with 30 draws of 1% is 0.33%.
  CHECK(found == 3'000);
}

TEST_CASE("levels are held against their own spread", "[narrate][chance]") {
  CHECK_FALSE(level_is_unusual(140, 100, 20, false));
  CHECK(level_is_unusual(165, 100, 20, false));
  CHECK(level_is_unusual(35, 100, 20, false));
  CHECK_FALSE(level_is_unusual(100, 100, 0, false));
  CHECK(level_is_unusual(101, 100, 0, false));
  // Counts vary by the root of their mean, whatever was seen so far.
  CHECK_FALSE(level_is_unusual(35, 25, 0, true));
  CHECK(level_is_unusual(41, 25, 0, true));
  CHECK_FALSE(level_is_unusual(2, 0, 0, true));
  CHECK(level_is_unusual(3, 0, 0, true));
}

}  // namespace
}  // namespace streamobs::narrate

#include "event/event_batch.h"

#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "support/catch.h"

namespace streamobs {
namespace {

TEST_CASE("an arena that is filled anew with a little more each time takes few chunks") {
  TextArena arena;
  std::set<const char*> places;
  for (std::size_t size = 100'000; size < 1'000'000; size += 10'000) {
    arena.clear();
    const std::string text(size, 'x');
    const std::string_view kept = arena.keep(text);
    CHECK(kept == text);
    places.insert(kept.data());
  }
  CHECK(places.size() == 4);  // Of 2^17, 2^18, 2^19 and 2^20 bytes.
}

TEST_CASE("text in an arena stays where it is until it is cleared") {
  TextArena arena;
  std::vector<std::string_view> kept;
  for (int i = 0; i < 3000; ++i) {
    kept.push_back(
        arena.keep(std::string(static_cast<std::size_t>(i % 300) * (i % 100 == 0 ? 500 : 1),
                               static_cast<char>('a' + i % 26))));
  }
  for (int i = 0; i < 3000; ++i) {
    const std::string_view text = kept[static_cast<std::size_t>(i)];
    REQUIRE(text.size() == static_cast<std::size_t>(i % 300) * (i % 100 == 0 ? 500 : 1));
    REQUIRE(text.find_first_not_of(static_cast<char>('a' + i % 26)) == std::string_view::npos);
  }
}

}  // namespace
}  // namespace streamobs

#include "event/resume_state.h"

#include "support/catch.h"

using namespace streamobs;

namespace {

ResumePoint point(std::uint64_t inode, std::uint64_t offset) {
  ResumePoint out;
  out.file = "f" + std::to_string(inode);
  out.device = 1;
  out.inode = inode;
  out.offset = offset;
  return out;
}

}  // namespace

TEST_CASE("a source's places: the last of each file, by device and inode") {
  ResumeState state;
  state.remember(point(1, 10));
  state.remember(point(2, 5));
  state.remember(ResumePoint{});  // A pipe.
  state.remember(point(1, 20));
  REQUIRE(state.places.size() == 2);
  CHECK(state.places[0] == point(2, 5));
  CHECK(state.places[1] == point(1, 20));
  ResumePoint renamed = point(2, 6);
  renamed.file = "other";
  state.remember(renamed);
  REQUIRE(state.places.size() == 2);
  CHECK(state.places[1].file == "other");
  CHECK(state.next_block == 1);
}

TEST_CASE("a source's places are bounded: the one heard of least recently goes, counted") {
  ResumeState state;
  const std::uint64_t count = ResumeState::kPlacesMax + 3;
  for (std::uint64_t i = 0; i < count; ++i) {
    state.remember(point(i, 1));
    state.remember(point(0, i));  // Always fresh.
  }
  CHECK(state.places.size() == ResumeState::kPlacesMax);
  CHECK(state.forgotten == 3);
  CHECK(state.places.back() == point(0, count - 1));
  CHECK(state.places.front() == point(4, 1));
}

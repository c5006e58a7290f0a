#include "app/replay_watch.h"

#include <fstream>

#include "app/engine_run.h"
#include "base/posix_file_system.h"
#include "support/catch.h"

namespace {

using namespace streamobs;  // NOLINT
using app::ReplayWatch;
using testing::TemporaryDirectory;

/// A process that replays carefully (or not) and dies at a record.
bool die_at(const TemporaryDirectory& directory, std::uint64_t position) {
  ReplayWatch watch(posix_file_system(), directory.file("."));
  const bool careful = watch.begin();
  if (!careful) return false;
  for (std::uint64_t at = 1; at <= position; ++at) watch.touch(at);
  return true;
}

std::uint32_t tries_at(const TemporaryDirectory& directory, std::uint64_t position) {
  const ReplayWatch watch(posix_file_system(), directory.file("."));
  return watch.suspect() && watch.suspect()->position == position ? watch.suspect()->tries : 0;
}

}  // namespace

TEST_CASE("a record at which careful replays end in a row is suspected", "[replay_watch]") {
  const TemporaryDirectory directory;
  CHECK_FALSE(die_at(directory, 7));  // Nobody knew that anything was wrong.
  CHECK(tries_at(directory, 7) == 0);
  for (std::uint32_t tries = 1; tries <= ReplayWatch::kTries; ++tries) {
    CHECK(die_at(directory, 7));
    CHECK(tries_at(directory, 7) == tries);
  }
}

TEST_CASE("an end at another record begins the count anew", "[replay_watch]") {
  const TemporaryDirectory directory;
  die_at(directory, 7);
  die_at(directory, 7);
  die_at(directory, 7);
  REQUIRE(tries_at(directory, 7) == 2);
  die_at(directory, 9);
  CHECK(tries_at(directory, 9) == 1);
  die_at(directory, 7);
  CHECK(tries_at(directory, 7) == 1);
}

TEST_CASE("a careful replay that dies before it touches anything keeps the suspicion",
          "[replay_watch]") {
  const TemporaryDirectory directory;
  die_at(directory, 7);
  die_at(directory, 7);
  die_at(directory, 7);
  ReplayWatch(posix_file_system(), directory.file(".")).begin();
  CHECK(tries_at(directory, 7) == 2);
}

TEST_CASE("a replay that ends leaves nothing behind", "[replay_watch]") {
  const TemporaryDirectory directory;
  die_at(directory, 7);
  die_at(directory, 7);
  ReplayWatch watch(posix_file_system(), directory.file("."));
  CHECK(watch.begin());
  watch.end();
  CHECK_FALSE(std::filesystem::exists(directory.file("replaying")));
  CHECK_FALSE(die_at(directory, 7));
}

TEST_CASE("a damaged note says that a replay ended, and not where", "[replay_watch]") {
  const TemporaryDirectory directory;
  for (int i = 0; i < 4; ++i) die_at(directory, 7);
  REQUIRE(tries_at(directory, 7) == 3);
  std::fstream(directory.file("replaying"), std::ios::in | std::ios::out | std::ios::binary)
      .seekp(5)
      .put('\x77');
  CHECK(tries_at(directory, 7) == 0);
  CHECK(die_at(directory, 7));
  CHECK(tries_at(directory, 7) == 1);
}

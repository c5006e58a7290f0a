#include "app/replay_watch.h"

#include <fstream>

#include "app/engine_run.h"
#include "base/posix_file_system.h"
#include "support/catch.h"

namespace {

using namespace streamobs;  // NOLINT
using app::ReplayWatch;
using testing::TemporaryDirectory;

constexpr std::uint64_t kLast = 20;
constexpr std::uint64_t kAtOnce = 5;

/// A process that replays records 1 to kLast, kAtOnce at a time where nothing is in doubt, and dies
/// while it has `position` under way.
void die_at(const TemporaryDirectory& directory, std::uint64_t position) {
  ReplayWatch watch(posix_file_system(), directory.file("."));
  watch.begin();
  for (std::uint64_t next = 1; next <= kLast;) {
    if (watch.must_be_careful_at(next)) {
      watch.come_to(next);
      if (next == position) return;
      ++next;
    } else {
      watch.come_to(next, next + kAtOnce - 1);
      if (position >= next && position < next + kAtOnce) return;
      next += kAtOnce;
    }
  }
}

ReplayWatch::Doubt doubt_of(const TemporaryDirectory& directory) {
  const ReplayWatch watch(posix_file_system(), directory.file("."));
  REQUIRE(watch.doubt().has_value());
  return *watch.doubt();
}

}  // namespace

TEST_CASE("a record at which careful replays end in a row is found", "[replay_watch]") {
  const TemporaryDirectory directory;
  die_at(directory, 6);
  CHECK(doubt_of(directory).from == 6);  // … to 10: nobody knew which.
  CHECK(doubt_of(directory).to == 10);
  CHECK(doubt_of(directory).tries == 0);
  for (std::uint32_t tries = 1; tries <= ReplayWatch::kTries; ++tries) {
    die_at(directory, 6);
    CHECK(doubt_of(directory).from == 6);
    CHECK(doubt_of(directory).to == 6);
    CHECK(doubt_of(directory).tries == tries);
  }
}

TEST_CASE("an end at another record begins the count anew", "[replay_watch]") {
  const TemporaryDirectory directory;
  for (int i = 0; i < 3; ++i) die_at(directory, 6);
  REQUIRE(doubt_of(directory).tries == 2);
  die_at(directory, 17);
  CHECK(doubt_of(directory).tries == 0);
  CHECK(doubt_of(directory).from > 6);
  die_at(directory, 6);
  CHECK(doubt_of(directory).tries == 0);
}

TEST_CASE("a replay that dies before it comes to anything leaves the doubt as it was",
          "[replay_watch]") {
  const TemporaryDirectory directory;
  for (int i = 0; i < 3; ++i) die_at(directory, 6);
  ReplayWatch(posix_file_system(), directory.file(".")).begin();
  CHECK(doubt_of(directory).from == 6);
  CHECK(doubt_of(directory).tries == 2);
}

TEST_CASE("a replay that ends, or is pardoned, leaves nothing behind", "[replay_watch]") {
  const TemporaryDirectory directory;
  const bool pardoned = GENERATE(false, true);
  for (int i = 0; i < 3; ++i) die_at(directory, 6);
  ReplayWatch watch(posix_file_system(), directory.file("."));
  watch.begin();
  watch.come_to(6);
  if (pardoned) {
    watch.pardon();
    watch.come_to(7);
  } else {
    watch.end();
  }
  CHECK_FALSE(std::filesystem::exists(directory.file("replaying")));
  CHECK_FALSE(ReplayWatch(posix_file_system(), directory.file(".")).doubt().has_value());
}

TEST_CASE("of a damaged note only that there is one is known", "[replay_watch]") {
  const TemporaryDirectory directory;
  for (int i = 0; i < 4; ++i) die_at(directory, 6);
  REQUIRE(doubt_of(directory).tries == 3);
  std::fstream(directory.file("replaying"), std::ios::in | std::ios::out | std::ios::binary)
      .seekp(5)
      .put('\x77');
  CHECK(doubt_of(directory).tries == 0);
  const ReplayWatch watch(posix_file_system(), directory.file("."));
  CHECK(watch.must_be_careful_at(1));
  CHECK(watch.must_be_careful_at(1'000'000));
}

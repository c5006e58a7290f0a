// Bit rot: every bit of a small log is flipped in turn, raw and sealed. A flip is detected
// (refused, or reported as a torn tail) or harmless; never does a reader hand out anything else
// than what was written.
#include <string>

#include "wal/log_support.h"
#include "wal/log_tool.h"

using namespace streamobs;             // NOLINT: a test.
using namespace streamobs::wal;        // NOLINT
using namespace streamobs::wal::test;  // NOLINT

namespace {

struct SmallLog {
  RecordingFileSystem files;
  Items items;
};

/// Three segments, the last with groups that witness one another.
void fill(SmallLog& small, std::uint64_t seed) {
  Random random(seed);
  auto log = open_log(small.files, 520).value();
  while (list_segments(small.files, kDirectory).value().size() < 3 ||
         log->next_sequence() % 4 != 0) {
    const Items items = {
        {log->next_sequence(),
         {static_cast<std::uint8_t>(1 + random() % 5), random_payload(random, random() % 70)}}};
    REQUIRE(append(*log, items).has_value());
    REQUIRE(log->sync().has_value());
    small.items.insert(items.begin(), items.end());
  }
}

struct Outcomes {
  std::uint64_t refused = 0;
  std::uint64_t torn = 0;
  std::uint64_t harmless = 0;
};

/// Flips every bit of every file in turn.
template <class Check>
void for_every_flip(RecordingFileSystem& files, Check&& check) {
  for (const std::string& path : files.paths()) {
    std::string& bytes = files.bytes_of(path);
    for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
      const auto mask = static_cast<char>(1U << (bit % 8));
      bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ mask);
      check(path, bit);
      bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ mask);
    }
  }
}

/// `last`: how many records at the end have no witness behind them.
void check_read(const ReadBack& back, const Items& all, std::uint64_t last, Outcomes& outcomes) {
  auto expected = all.begin();
  for (const auto& [sequence, item] : back.items) {
    REQUIRE(expected->first == sequence);
    REQUIRE(expected->second == item);
    ++expected;
  }
  if (back.error) {
    ++outcomes.refused;
    REQUIRE((back.error->code == ErrorCode::corrupt || back.error->code == ErrorCode::invalid));
    REQUIRE(back.error->message.find("segment-") != std::string::npos);
    return;
  }
  if (back.torn) {
    ++outcomes.torn;
    REQUIRE(all.size() - back.items.size() <= last);
    return;
  }
  ++outcomes.harmless;
  REQUIRE(back.items.size() == all.size());
}

}  // namespace

TEST_CASE("bit rot: a flip anywhere in a raw log is detected or harmless") {
  SmallLog small;
  fill(small, 1);
  Outcomes outcomes;
  for_every_flip(small.files, [&](const std::string& path, std::size_t bit) {
    INFO(path << " bit " << bit);
    check_read(read_all(small.files), small.items, 1, outcomes);
  });
  CHECK(outcomes.refused > 5000);
  CHECK(outcomes.torn > 100);
  // Where checkpoint or database bear witness, not even the last record is taken for torn.
  Outcomes witnessed;
  LogReaderOptions options;
  options.known_durable = small.items.rbegin()->first;
  for_every_flip(small.files, [&](const std::string& path, std::size_t bit) {
    INFO(path << " bit " << bit);
    check_read(read_all(small.files, options), small.items, 0, witnessed);
  });
  CHECK(witnessed.refused > outcomes.refused);
  // And beside a writer, where unfinished bytes at the end are nothing unusual.
  options.live = true;
  Outcomes live;
  for_every_flip(small.files, [&](const std::string& path, std::size_t bit) {
    INFO(path << " bit " << bit);
    check_read(read_all(small.files, options), small.items, 0, live);
  });
  CHECK(live.refused == witnessed.refused);
  CHECK(live.torn == 0);
}

TEST_CASE("bit rot: a flip anywhere in a sealed log is detected or harmless") {
  SmallLog small;
  fill(small, 2);
  {
    auto log = open_log(small.files, 520).value();
    while (log->seal_next().value()) {
    }
  }
  Outcomes outcomes;
  for_every_flip(small.files, [&](const std::string& path, std::size_t bit) {
    INFO(path << " bit " << bit);
    const std::uint64_t refused = outcomes.refused;
    check_read(read_all(small.files), small.items, 1, outcomes);
    if (path.ends_with(".sealed")) REQUIRE(outcomes.refused == refused + 1);
  });
}

TEST_CASE("bit rot: a start after a flip refuses, or cuts what it reports") {
  SmallLog small;
  fill(small, 3);
  std::uint64_t refused = 0;
  std::uint64_t started = 0;
  for_every_flip(small.files, [&](const std::string& path, std::size_t bit) {
    if (bit % 3 != 0) return;
    INFO(path << " bit " << bit);
    const auto copy = small.files.after_kill();
    auto log = open_log(*copy, 520);
    if (!log) {
      ++refused;
      REQUIRE(log.error().code == ErrorCode::corrupt);
      return;
    }
    ++started;
    const std::uint64_t lost = small.items.size() + 1 - (*log)->next_sequence();
    REQUIRE(lost <= ((*log)->state().torn ? 1U : 0U));
    // Damage in older segments is found by reading them, also after more was written.
    const Items more = {{(*log)->next_sequence(), {1, "more"}}};
    REQUIRE(append(**log, more).has_value());
    REQUIRE((*log)->sync().has_value());
    const ReadBack back = read_all(*copy);
    for (const auto& [sequence, item] : back.items) {
      const auto known = small.items.find(sequence);
      const bool as_written = known != small.items.end() && known->second == item;
      REQUIRE((as_written || (sequence == more.begin()->first && item.payload == "more")));
    }
    if (!back.error) REQUIRE(back.items.size() == small.items.size() - lost + 1);
  });
  CHECK(refused > 500);
  CHECK(started > 500);
}

TEST_CASE("bit rot: verify finds what readers find, and repair leaves a log that opens") {
  SmallLog small;
  fill(small, 4);
  std::uint64_t repaired = 0;
  for_every_flip(small.files, [&](const std::string& path, std::size_t bit) {
    if (bit % 11 != 0) return;
    INFO(path << " bit " << bit);
    const bool readable = !read_all(small.files).error;
    const auto nobody = [](std::string_view) {};
    const auto verified = verify(small.files, kDirectory, {1, 0, 0}, nobody);
    REQUIRE(verified.has_value() == readable);
    if (readable) return;
    const auto copy = small.files.after_kill();
    REQUIRE(repair(*copy, kDirectory, {}, nobody).value().damaged);
    REQUIRE(copy->paths() == small.files.paths());
    REQUIRE(repair(*copy, kDirectory, {true, {}}, nobody).has_value());
    REQUIRE((verify(*copy, kDirectory, {1, 0, 0}, nobody).has_value() ||
             list_segments(*copy, kDirectory).value().empty()));
    ++repaired;
    for (const auto& [sequence, item] : read_all(*copy).items) {
      REQUIRE(small.items.at(sequence) == item);
    }
    REQUIRE(open_log(*copy, 520).has_value());
  });
  CHECK(repaired > 500);
}

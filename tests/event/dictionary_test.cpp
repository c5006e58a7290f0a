#include "event/dictionary.h"

#include <map>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "event/anomaly.h"
#include "event/event_batch.h"
#include "support/catch.h"

namespace streamobs {
namespace {

TEST_CASE("a dictionary gives each text one id and keeps it", "[event][dictionary]") {
  Dictionary dictionary(5'000);
  std::mt19937_64 random(2);
  std::map<std::string, Dictionary::Id> ids;
  std::vector<std::string_view> first_views;
  for (int i = 0; i < 50'000; ++i) {
    const std::string text = "key-" + std::to_string(random() % 4'000);
    const Dictionary::Id id = dictionary.intern(text);
    const auto [known, added] = ids.emplace(text, id);
    REQUIRE(known->second == id);
    if (added) {
      REQUIRE(id == ids.size() - 1);
      first_views.push_back(dictionary[id]);
    }
    REQUIRE(dictionary[id] == text);
    REQUIRE(dictionary.find(text) == id);
  }
  CHECK(dictionary.size() == ids.size());
  CHECK(dictionary.find("unknown") == Dictionary::kNone);
  // Entries never move, however much the dictionary has grown.
  for (Dictionary::Id id = 0; id < first_views.size(); ++id) {
    REQUIRE(dictionary[id].data() == first_views[id].data());
  }
}

TEST_CASE("a full dictionary takes nothing new and still knows the old", "[event][dictionary]") {
  Dictionary dictionary(3);
  CHECK(dictionary.intern("a") == 0);
  CHECK(dictionary.intern("") == 1);
  CHECK(dictionary.intern("c") == 2);
  CHECK(dictionary.intern("d") == Dictionary::kNone);
  CHECK(dictionary.intern("a") == 0);
  CHECK(dictionary.find("") == 1);
  CHECK(dictionary.find("d") == Dictionary::kNone);
}

TEST_CASE("a dictionary is bounded in bytes too", "[event][dictionary]") {
  Dictionary dictionary(Dictionary::kMaxEntries);
  const std::string big(1 << 20, 'x');
  int taken = 0;
  for (int i = 0; i < 10; ++i) {
    if (dictionary.intern(big + std::to_string(i)) != Dictionary::kNone) ++taken;
  }
  CHECK(taken == 3);
  CHECK(dictionary.bytes() <= Dictionary::kMaxBytes);
}

TEST_CASE("an arena's texts stay while it fills, and its memory is used again", "[event][arena]") {
  TextArena arena;
  std::mt19937_64 random(4);
  for (int round = 0; round < 3; ++round) {
    std::vector<std::pair<std::string, std::string_view>> kept;
    for (int i = 0; i < 2'000; ++i) {
      std::string text(random() % 100, static_cast<char>('a' + i % 26));
      if (i % 500 == 0) text.resize(40'000, 'z');
      const std::string_view view = arena.keep(text);
      kept.emplace_back(std::move(text), view);
    }
    for (const auto& [text, view] : kept) REQUIRE(view == text);
    arena.clear();
  }
}

TEST_CASE("a cleared batch is empty", "[event][batch]") {
  EventBatch batch;
  batch.rows = 3;
  batch.columns.resize(1);
  batch.columns[0].ints.push_back(1);
  batch.time.push_back(5);
  batch.dead_letters.emplace_back();
  batch.stamp.sequence = 9;
  batch.time_max = 5;
  batch.clear();
  CHECK(batch.rows == 0);
  CHECK(batch.columns.size() == 1);
  CHECK(batch.columns[0].ints.empty());
  CHECK(batch.time.empty());
  CHECK(batch.dead_letters.empty());
  CHECK(batch.stamp.sequence == 0);
  CHECK(batch.time_max == kMinTimestamp);
}

TEST_CASE("severities are read and written by name", "[event][anomaly]") {
  for (const Severity s : {Severity::low, Severity::medium, Severity::high, Severity::critical}) {
    CHECK(parse_severity(to_text(s)) == s);
  }
  CHECK(to_text(Severity::critical) == "critical");
  CHECK_FALSE(parse_severity("CRITICAL").has_value());
  CHECK_FALSE(parse_severity("").has_value());
}

}  // namespace
}  // namespace streamobs

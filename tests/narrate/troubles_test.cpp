#include "narrate/troubles.h"

#include <random>
#include <set>

#include <fmt/format.h>

#include "narrate/scene.h"

namespace streamobs::narrate {
namespace {

std::vector<NamedValue> named(std::vector<std::string> values) {
  std::vector<NamedValue> out;
  const char* const names[] = {"service", "endpoint"};
  for (std::size_t i = 0; i < values.size(); ++i) {
    out.push_back({names[i], Value::of_string(values[i])});
  }
  return out;
}

std::vector<Value> values(const std::vector<std::string>& texts) {
  std::vector<Value> out;
  for (const std::string& text : texts) out.push_back(Value::of_string(text));
  return out;
}

std::string said(const std::vector<TroubledSpan>& spans) {
  std::string out;
  for (const TroubledSpan& s : spans) {
    out += fmt::format("{}-{} ", s.from / kMinute, s.to / kMinute);
  }
  return out;
}

std::string bytes_of(const Troubles& troubles) {
  std::string out;
  troubles.put(out);
  return out;
}

TEST_CASE("what touches is one trouble; parts share that of the whole", "[narrate][troubles]") {
  Troubles troubles;
  const auto add = [&](std::vector<std::string> keys, int from, int to) {
    troubles.add("requests", named(std::move(keys)), {from * kMinute, to * kMinute}, kDay);
  };
  add({"a"}, 10, 11);
  add({"a"}, 11, 12);
  add({"a"}, 20, 21);
  add({"a"}, 15, 16);
  add({"a", "/x"}, 12, 13);
  add({"a", "/x"}, 18, 30);
  add({"b"}, 1, 2);
  CHECK(said(troubles.of(*kServices, values({"a"}))) == "10-12 15-16 20-21 ");
  CHECK(said(troubles.of(*kEndpoints, values({"a", "/x"}))) == "10-13 15-16 18-30 ");
  CHECK(said(troubles.of(*kEndpoints, values({"a", "/y"}))) == "10-12 15-16 20-21 ");
  CHECK(said(troubles.of(*kEndpoints, values({"c", "/x"}))).empty());
  WindowSchema elsewhere = *kServices;
  elsewhere.stream = "elsewhere";
  CHECK(troubles.of(elsewhere, values({"a"})).empty());
  // Everything is part of what has no keys.
  add({}, 40, 41);
  CHECK(said(troubles.of(*kServices, values({"c"}))) == "40-41 ");
  CHECK(troubles.keys() == 4);
}

TEST_CASE("a window is in trouble where it overlaps any", "[narrate][troubles]") {
  const std::vector<TroubledSpan> spans = {{10, 20}, {30, 40}};
  CHECK_FALSE(any_overlaps(spans, 0, 10));
  CHECK(any_overlaps(spans, 0, 11));
  CHECK(any_overlaps(spans, 19, 25));
  CHECK_FALSE(any_overlaps(spans, 20, 30));
  CHECK(any_overlaps(spans, 20, 50));
  CHECK_FALSE(any_overlaps(spans, 40, 50));
  CHECK_FALSE(any_overlaps({}, 0, 50));
}

TEST_CASE("troubles are forgotten with the rows they speak of, and bounded",
          "[narrate][troubles]") {
  Troubles troubles;
  troubles.add("s", named({"old"}), {0, kMinute}, 2 * kHour);
  troubles.add("s", named({"new"}), {0, kHour + kMinute}, 2 * kHour);
  CHECK(troubles.keys() == 2);
  troubles.add("s", named({"new"}), {3 * kHour, 3 * kHour + kMinute}, 2 * kHour);
  CHECK(troubles.keys() == 1);

  for (std::size_t i = 0; i < 3 * Troubles::kMaxKeys; ++i) {
    const auto at = static_cast<Timestamp>(i) * kSecond;
    troubles.add("s", named({fmt::format("k{}", i)}), {at, at + kSecond}, 30 * kDay);
    REQUIRE(troubles.keys() <= Troubles::kMaxKeys);
  }
  CHECK(troubles.keys() > Troubles::kMaxKeys / 2);
  const std::string newest = fmt::format("k{}", 3 * Troubles::kMaxKeys - 1);
  WindowSchema schema = *kServices;
  schema.stream = "s";
  CHECK(troubles.of(schema, values({newest})).size() == 1);
  // All at once: there is room for so many.
  Troubles storm;
  for (std::size_t i = 0; i < Troubles::kMaxKeys + 10; ++i) {
    storm.add("s", named({fmt::format("k{}", i)}), {0, kMinute}, kDay);
  }
  CHECK(storm.keys() == Troubles::kMaxKeys);
  for (int i = 0; i < 3'000; ++i) {
    storm.add("s", named({"k1"}), {2 * i * kMinute, (2 * i + 1) * kMinute}, 30 * kDay);
  }
  CHECK(storm.of(schema, values({"k1"})).size() == Troubles::kMaxSpans);
}

TEST_CASE("troubles agree with a naive reference, and survive a checkpoint",
          "[narrate][troubles][state]") {
  std::mt19937_64 random(8);
  for (int round = 0; round < 20; ++round) {
    Troubles troubles;
    std::set<std::pair<std::string, int>> minutes;  // By key, "" for endpoint-less.
    for (int i = 0; i < 120; ++i) {
      const std::string key = random() % 2 == 0 ? "a" : "b";
      const int from = static_cast<int>(random() % 300);
      const int length = 1 + static_cast<int>(random() % 5);
      troubles.add("requests", named({key}), {from * kMinute, (from + length) * kMinute}, kDay);
      for (int m = from; m < from + length; ++m) minutes.insert({key, m});
      if (random() % 10 != 0) continue;
      const std::string bytes = bytes_of(troubles);
      Troubles again;
      ByteReader in(bytes);
      REQUIRE(again.read(in));
      CHECK(in.at_end());
      CHECK(bytes_of(again) == bytes);
      CHECK(again.keys() == troubles.keys());
      troubles = std::move(again);
    }
    for (const char* key : {"a", "b"}) {
      const auto spans = troubles.of(*kServices, values({key}));
      for (int m = 0; m < 310; ++m) {
        REQUIRE(any_overlaps(spans, m * kMinute, (m + 1) * kMinute) ==
                (minutes.count({key, m}) != 0));
      }
    }
  }
}

}  // namespace
}  // namespace streamobs::narrate

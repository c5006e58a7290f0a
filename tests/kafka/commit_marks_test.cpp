#include "kafka/commit_marks.h"

#include <algorithm>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.h"

namespace {

using namespace streamobs;  // NOLINT
using kafka::CommitMarks;

TEST_CASE("marks of a commit come back as they were", "[kafka]") {
  CommitMarks marks;
  marks.set(0xabc, 12);
  marks.set(0xffffffffffffffff, 0xffffffffffffffff);
  CHECK(marks.text() == "streamobs1 ffffffffffffffff:ffffffffffffffff 0000000000000abc:c");
  const CommitMarks back = CommitMarks::parse(marks.text());
  CHECK(back.size() == 2);
  CHECK(back.of(0xabc) == 12);
  CHECK(back.of(0xffffffffffffffff) == 0xffffffffffffffff);
  CHECK(back.of(1) == 0);
  CHECK(back.text() == marks.text());
}

TEST_CASE("a log's mark is that of its last commit, also where it is less", "[kafka]") {
  CommitMarks marks;
  marks.set(1, 70);
  marks.set(2, 5);
  marks.set(1, 7);  // Its directory was put back from a backup.
  CHECK(marks.size() == 2);
  CHECK(marks.of(1) == 7);
  CHECK(marks.of(2) == 5);
}

TEST_CASE("what others wrote beside an offset is no marks", "[kafka]") {
  for (const std::string text :
       {"", "streamobs", "streamobs2 1:2", "streamobs1 1", "streamobs1 1:", "streamobs1 :2",
        "streamobs1 x:2", "streamobs11:2", "streamobs1 1:2  3:4", "streamobs1 1:2 3:4x",
        "streamobs1 11111111111111111:2", "{\"any\": \"thing\"}"}) {
    INFO(text);
    CHECK(CommitMarks::parse(text).size() == 0);
  }
}

TEST_CASE("more logs than fit: the one that committed longest ago is forgotten", "[kafka]") {
  std::mt19937_64 random(1);
  std::vector<std::pair<std::uint64_t, std::uint64_t>> newest;  // The oracle.
  CommitMarks marks;
  for (std::uint64_t position = 1; position <= 3000; ++position) {
    const std::uint64_t log = 1 + random() % 100 * 0x123456789abcdef;
    std::erase_if(newest, [&](const auto& known) { return known.first == log; });
    newest.insert(newest.begin(), {log, position << 40});
    if (newest.size() > CommitMarks::kMarksMax) newest.pop_back();
    marks.set(log, position << 40);
    if (random() % 3 == 0) marks = CommitMarks::parse(marks.text());  // The next owner.
    REQUIRE(marks.size() == newest.size());
    for (const auto& [known, at] : newest) REQUIRE(marks.of(known) == at);
    REQUIRE(marks.text().size() <= 4096);
  }
  CHECK(marks.size() == CommitMarks::kMarksMax);
}

TEST_CASE("any text is marks or none", "[kafka]") {
  std::mt19937_64 random(2);
  constexpr char kLetters[] = "01f: x";
  for (int i = 0; i < 20'000; ++i) {
    std::string text = "streamobs1";
    for (std::uint64_t n = random() % 30; n != 0; --n) text += kLetters[random() % 6];
    const CommitMarks marks = CommitMarks::parse(text);
    CHECK(CommitMarks::parse(marks.text()).text() == marks.text());
  }
}

}  // namespace

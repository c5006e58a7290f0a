#include "event/dead_letter.h"

#include "event/record.h"
#include "support/catch.h"

using namespace streamobs;

TEST_CASE("the key of a replay names its letter, and no other key does", "[event]") {
  const LetterId letters[] = {{1, 0}, {18'446'744'073'709'551'615U, 4'294'967'295U}};
  for (const LetterId& letter : letters) {
    const auto back = replayed_letter(replay_key(letter));
    REQUIRE(back.has_value());
    CHECK(*back == letter);
  }
  CHECK(replay_key({42, 7}) == "streamobs/dead-letter/42/7");  // Frozen: logs hold it.
  for (const char* other :
       {"", "42/7", "streamobs/dead-letter/", "streamobs/dead-letter/42",
        "streamobs/dead-letter/42/", "streamobs/dead-letter//7", "streamobs/dead-letter/42/7x",
        "streamobs/dead-letter/-1/7", "streamobs/dead-letter/42/4294967296",
        "streamobs/dead-letter/18446744073709551616/0"}) {
    CHECK_FALSE(replayed_letter(other).has_value());
  }
}

TEST_CASE("a letter says why it cannot be replayed", "[event]") {
  DeadLetter letter;
  letter.sequence = 1;
  letter.format = Format::json;
  letter.payload = "{}";
  CHECK(letter.not_replayable().empty());
  letter.payload.assign(DeadLetter::kMaxPayload - 4, 'x');
  CHECK(letter.not_replayable().empty());
  letter.payload.assign(DeadLetter::kMaxPayload - 3, 'x');  // Cut within a character.
  CHECK(letter.not_replayable().find("64 KiB") != std::string_view::npos);
  letter.payload = " \n";
  CHECK(letter.not_replayable().find("not kept") != std::string_view::npos);
  letter.payload = "{}";
  letter.format.reset();
  CHECK(letter.not_replayable().find("earlier version") != std::string_view::npos);
}

TEST_CASE("a replayed letter is a record of the position that took it", "[event]") {
  const Record record = std::make_shared<const ReplayedLetter>(ReplayedLetter{9, {2, 1}, 5});
  CHECK(position_of(record) == 9);
}

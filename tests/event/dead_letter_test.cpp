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

TEST_CASE("a letter says in words where its event came from", "[event]") {
  const auto place = [](const char* source, const char* origin, std::uint64_t position) {
    DeadLetter letter;
    letter.source = source;
    letter.origin = origin;
    letter.position = position;
    return letter.place();
  };
  CHECK(place("orders", "shop.orders/12", 4711) == "topic shop.orders, partition 12, offset 4711");
  CHECK(place("web", "/var/log/access.log", 3) == "file /var/log/access.log, line 3");
  CHECK(place("web", "logs/a.1", 3) == "file logs/a.1, line 3");
  CHECK(place("web", "/1", 3) == "file /1, line 3");
  CHECK(place("web", "logs/", 3) == "file logs/, line 3");
  CHECK(place("in", "stdin", 9) == "standard input, line 9");
  CHECK(place("http", "127.0.0.1", 2) == "request from 127.0.0.1, index 2");
  CHECK(place("http", "::1", 0) == "request from ::1, index 0");
  CHECK(place("http", "", 2) == "request, index 2");
  CHECK(place("http", "replay of file a.csv, line 7", 0) == "replay of file a.csv, line 7");
  CHECK(place("tour", "demo services", 5) == "demo services");
  CHECK(place("other", "", 5) == "other");

  DeadLetter of_join;
  of_join.stream = "llm_requests";
  of_join.window = "llm_calls";
  of_join.reason = reason::unmatched;
  of_join.sequence = 17;
  of_join.event_index = LetterId::kOfJoin + 1;
  CHECK(of_join.place() == "join llm_calls, log position 17");
  of_join.origin = "join llm_calls";  // Letters of earlier versions have none.
  of_join.position = 18;
  CHECK(of_join.place() == "join llm_calls, log position 18");
  of_join.position = 17;
  of_join.stream = "llm_calls";
  of_join.window = "llm_metrics";
  of_join.reason = reason::late;
  CHECK(of_join.place() == "join llm_calls, log position 17");
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

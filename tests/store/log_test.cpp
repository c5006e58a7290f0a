// The database and its log: whose results these are, up to which position, and that this survives.
#include <csignal>
#include <unistd.h>

#include "store/sqlite.h"
#include "store/support.h"

namespace {

using namespace streamobs;               // NOLINT
using namespace streamobs::store;        // NOLINT
using namespace streamobs::store::test;  // NOLINT

/// What a log position gives rise to in these tests: three rows and two refused events.
Records records_of(std::uint64_t position) {
  const auto n = static_cast<std::int64_t>(position);
  std::vector<WindowRow> rows;
  for (int i = 0; i < 3; ++i) {
    rows.push_back(service_row(kNoon + n * kMinute, Value::of_string(std::to_string(i)), n));
  }
  DeadLetters refused;
  for (std::uint32_t i = 0; i < 2; ++i) {
    refused.push_back(letter("requests", "late", kNoon + n));
    refused.back().sequence = position;
    refused.back().event_index = i;
  }
  return {batch(services(), std::move(rows)), letters(std::move(refused))};
}

std::string position_in(const std::string& database) {
  return shell(database, "SELECT log_id, applied_position FROM streamobs_log;");
}

std::uint64_t counted(const Database& database) {
  const auto counts = database.dead_letter_counts().value();
  return counts.empty() ? 0 : counts.front().count;
}

}  // namespace

TEST_CASE("a database takes the first log it is given and refuses another", "[store]") {
  const TempDir temp;
  constexpr std::uint64_t kLog = 0xfedc'ba98'7654'3210;  // Beyond SQLite's signed integers.
  {
    const auto database = open(temp.database(), {services()});
    CHECK(database->log_id() == 0);
    CHECK(database->applied_position() == 0);
    REQUIRE(database->bind_log(kLog).has_value());
    REQUIRE(database->bind_log(kLog).has_value());
    CHECK(database->log_id() == kLog);
    write(*database, records_of(1), 17);
  }
  const auto database = open(temp.database(), {services()});
  CHECK(database->log_id() == kLog);
  CHECK(database->applied_position() == 17);
  CHECK_FALSE(database->begun_anew());
  CHECK(database->bind_log(kLog).has_value());
  const Result<> refused = database->bind_log(0x1234);
  REQUIRE(refused.has_error());
  CHECK(refused.error().code == ErrorCode::invalid);
  const std::string parts[] = {"fedcba9876543210", "0000000000001234", "move the database away",
                               temp.database()};
  for (const std::string& part : parts) {
    INFO(refused.error().message);
    CHECK(refused.error().message.find(part) != std::string::npos);
  }
  CHECK(database->applied_position() == 17);
}

TEST_CASE("records and their position are committed together or not at all", "[store]") {
  const TempDir temp;
  const auto database = open(temp.database(), {services()});
  REQUIRE(database->bind_log(5).has_value());
  // In several steps, seen by nobody until the end.
  REQUIRE(database->write(records_of(1)).has_value());
  REQUIRE(database->write(records_of(2)).has_value());
  CHECK(database->maintain(kNoon).value() == 0);
  CHECK(database->window_rows(rows_of("service_metrics"))->empty());
  CHECK(position_in(temp.database()) == "5|0");
  REQUIRE(database->commit(2, false).has_value());
  CHECK(database->window_rows(rows_of("service_metrics"))->size() == 6);
  CHECK(position_in(temp.database()) == "5|2");
  CHECK(database->applied_position() == 2);
  CHECK(database->stats().rows_written == 10);
  // Undone: as if it had never been.
  const std::string before = dump(temp.database());
  REQUIRE(database->write(records_of(3)).has_value());
  database->roll_back();
  database->roll_back();
  CHECK(dump(temp.database()) == before);
  CHECK(database->stats().rows_written == 10);
  write(*database, records_of(3), 3);
  CHECK(database->stats().rows_written == 15);
  CHECK(counted(*database) == 6);
}

TEST_CASE("the position never goes back and without results only moves when it is to last",
          "[store]") {
  const TempDir temp;
  const auto database = open(temp.database(), {services()});
  REQUIRE(database->bind_log(5).has_value());
  write(*database, records_of(9), 9);
  write(*database, records_of(4), 4);
  CHECK(database->applied_position() == 9);
  write(*database, records_of(4), 0);
  CHECK(database->applied_position() == 9);
  REQUIRE(database->commit(10, false).has_value());
  CHECK(position_in(temp.database()) == "5|9");
  REQUIRE(database->commit(11, true).has_value());
  CHECK(position_in(temp.database()) == "5|11");
  REQUIRE(database->commit(8, true).has_value());
  CHECK(position_in(temp.database()) == "5|11");
  CHECK(database->applied_position() == 11);
}

TEST_CASE("the same refused event again is neither stored nor counted again", "[store]") {
  const TempDir temp;
  const auto database = open(temp.database(), {});
  const auto refused = [](std::uint64_t sequence, std::uint32_t event, std::string window) {
    DeadLetter made = letter("requests", "late", kNoon);
    made.sequence = sequence;
    made.event_index = event;
    made.window = std::move(window);
    return made;
  };
  // Refused once as an event, and once by each window that it is too late for.
  const Record all = letters({refused(1, 0, ""), refused(1, 0, "a"), refused(1, 0, "b"),
                              refused(1, 1, "a"), refused(2, 0, "a")});
  write(*database, {all});
  const std::string rows = "SELECT * FROM dead_letter; SELECT * FROM dead_letter_count;";
  const std::string before = shell(temp.database(), rows);
  write(*database, {all, letters({refused(1, 0, "a")})});
  CHECK(shell(temp.database(), rows) == before);
  CHECK(counted(*database) == 5);
  const auto back = database->dead_letters({}).value();
  REQUIRE(back.size() == 5);
  CHECK(back[0].letter.sequence == 2);
  CHECK(back[1].letter.event_index == 1);
  // Without a log nothing says that two are the same.
  write(*database, {letters({refused(0, 0, ""), refused(0, 0, "")})});
  CHECK(counted(*database) == 7);
}

TEST_CASE("a killed process leaves results and position that agree", "[store]") {
  const TempDir temp;
  std::uint64_t before = 0;
  for (int round = 0; round < 6; ++round) {
    int told[2];
    REQUIRE(::pipe(told) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
      const auto database = open(temp.database(), {services()});
      if (database->bind_log(1).has_error()) ::_exit(1);
      // Each position in two steps; what is there is passed over, as the sink does it.
      for (std::uint64_t p = database->applied_position() + 1;; ++p) {
        const Records records = records_of(p);
        const std::span<const Record> both(records);
        if (database->write(both.first(1)).has_error()) ::_exit(1);
        if (database->write(both.last(1)).has_error()) ::_exit(1);
        if (database->commit(p, p % 7 == 0).has_error()) ::_exit(1);
        if (::write(told[1], &p, sizeof p) != sizeof p) ::_exit(1);
      }
    }
    ::close(told[1]);
    std::uint64_t last = 0;
    for (int i = 0; i < 10 + round * 20; ++i) {
      REQUIRE(::read(told[0], &last, sizeof last) == sizeof last);
    }
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    while (::read(told[0], &last, sizeof last) == sizeof last) {
    }
    ::close(told[0]);
    const auto database = open(temp.database(), {services()});
    const std::uint64_t applied = database->applied_position();
    CHECK(applied >= last);
    CHECK(applied <= last + 1);
    CHECK(applied > before);
    CHECK(database->window_rows(rows_of("service_metrics"))->size() == applied * 3);
    CHECK(database->dead_letters(list_of())->size() == applied * 2);
    CHECK(counted(*database) == applied * 2);
    before = applied;
  }
}

TEST_CASE("a position that is not as it was written is damage", "[store]") {
  for (const std::string harm :
       {"UPDATE streamobs_log SET applied_position = 8;", "UPDATE streamobs_log SET log_id = 8;",
        "UPDATE streamobs_log SET check_sum = 8;", "DELETE FROM streamobs_log;"}) {
    INFO(harm);
    const TempDir temp;
    {
      const auto database = open(temp.database(), {services()});
      REQUIRE(database->bind_log(5).has_value());
      write(*database, records_of(9), 9);
    }
    CHECK(shell(temp.database(), harm).empty());
    const auto database = open(temp.database(), {services()});
    CHECK(database->begun_anew());
    CHECK(database->log_id() == 0);
    CHECK(database->applied_position() == 0);
    CHECK(database->bind_log(6).has_value());
  }
}

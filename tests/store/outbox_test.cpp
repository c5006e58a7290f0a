// Results on their way to sinks: what is in the outbox, in which order, and what is there once.
#include "store/outbox.h"

#include <map>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "store/support.h"
#include "support/catch.h"

using namespace streamobs;
using namespace streamobs::store;
using namespace streamobs::store::test;

namespace {

OutboxOptions of_window(std::string sink, std::size_t bytes_max = 1 << 20) {
  OutboxOptions made;
  made.sink = std::move(sink);
  made.window = "service_metrics";
  made.key = {0};
  made.bytes_max = bytes_max;
  return made;
}

OutboxOptions of(std::string sink, OutboxOptions::From from) {
  OutboxOptions made;
  made.sink = std::move(sink);
  made.from = from;
  return made;
}

std::unique_ptr<Database> open_with(const std::string& path, std::vector<OutboxOptions> outboxes) {
  StoreOptions made = options(path);
  made.outboxes = std::move(outboxes);
  Result<std::unique_ptr<Database>> database = Database::open(made, {services()});
  if (database.has_error()) FAIL(database.error().message);
  return std::move(*database);
}

Record row_at(std::uint64_t position, const std::string& service, std::int64_t count = 1) {
  auto made = std::make_shared<WindowBatch>(*std::get<WindowBatchPtr>(
      batch(services(), {service_row(kNoon, Value::of_string(service), count)})));
  made->position = position;
  return WindowBatchPtr(std::move(made));
}

std::vector<OutboxRow> rows_in(const Database& database, const std::string& sink,
                               std::size_t rows_max = 1'000'000) {
  const auto rows = database.read_outbox(sink, rows_max, 1 << 30);
  if (rows.has_error()) FAIL(rows.error().message);
  return *rows;
}

std::vector<std::string> keys_in(const Database& database, const std::string& sink) {
  std::vector<std::string> keys;
  for (const OutboxRow& row : rows_in(database, sink)) keys.push_back(row.key.value_or("(none)"));
  return keys;
}

using Keys = std::vector<std::string>;

}  // namespace

TEST_CASE("outbox: each kind of result goes to those that want it, as the API shows it") {
  using From = OutboxOptions::From;
  const TempDir temp;
  const auto database = open_with(
      temp.database(), {of_window("rows"), of("alarms", From::anomalies),
                        of("stories", From::incidents), of("refused", From::dead_letters)});
  Anomaly alarm = anomaly("a1", kNoon, {{"service", Value::of_string("pay")}});
  alarm.position = 5;
  Incident story = incident("i1", kNoon, {});
  story.position = 5;
  DeadLetter refused = letter("requests", "late", kNoon);
  refused.sequence = 6;
  WindowRow overflow = service_row(kNoon, Value::of_string(""), 9);
  overflow.overflow = true;
  write(*database,
        {batch(services(), {service_row(kNoon, Value::of_string("shown"))}, true),
         row_at(4, "pay\"ments"), batch(services(), {overflow}),
         std::make_shared<const Anomaly>(alarm), std::make_shared<const Incident>(story),
         letters({refused, refused})},
        7);
  const auto rows = rows_in(*database, "rows");
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].key == "__overflow__");  // Of position 0.
  CHECK(rows[1].key == "pay\"ments");
  CHECK(rows[1].value ==
        R"({"window_start":"2024-01-09T12:00:00Z","window_end":"2024-01-09T12:01:00Z",)"
        R"("closed":true,"revision":0,"service":"pay\"ments","request_count":1,"error_rate":0.5,)"
        R"("revenue":19.99})");
  const auto alarms = rows_in(*database, "alarms");
  REQUIRE(alarms.size() == 1);
  CHECK(alarms[0].key == "a1");
  CHECK(alarms[0].value.starts_with(R"({"id":"a1","rule":"error_surge")"));
  const auto stories = rows_in(*database, "stories");
  REQUIRE(stories.size() == 1);
  CHECK(stories[0].key == "i1");
  const auto letters_there = rows_in(*database, "refused");
  REQUIRE(letters_there.size() == 2);
  CHECK_FALSE(letters_there[0].key);
  CHECK(letters_there[0].value.starts_with(R"({"reason":"late")"));
  CHECK(letters_there[1].place == OutboxPlace{6, 2});
}

TEST_CASE("outbox: a stream's events go to the sink they were made for, as they are") {
  const TempDir temp;
  const auto database =
      open_with(temp.database(), {of("out", OutboxOptions::From::stream),
                                  of("other", OutboxOptions::From::stream), of_window("rows")});
  const auto events_at = [](std::uint64_t position, std::vector<OutboundEvents::Event> events) {
    auto made = std::make_shared<OutboundEvents>();
    made->position = position;
    made->sink = "out";
    made->events = std::move(events);
    return Record(OutboundEventsPtr(std::move(made)));
  };
  // From two lanes; and what is replayed has its old places.
  write(*database, {events_at(4, {{"d", "4.1"}}), events_at(3, {{"a", "3.1"}, {{}, "3.2"}})}, 4);
  write(*database, {events_at(4, {{"d", "4.1"}}), events_at(5, {{"e", "5.1"}})}, 5);
  CHECK(keys_in(*database, "out") == std::vector<std::string>{"a", "(none)", "d", "e"});
  CHECK(rows_in(*database, "out").at(1).value == "3.2");
  CHECK(rows_in(*database, "other").empty());
  CHECK(rows_in(*database, "rows").empty());
}

TEST_CASE("outbox: what is committed is read by position, whatever order it came in") {
  const TempDir temp;
  const auto database = open_with(temp.database(), {of_window("rows")});
  REQUIRE_FALSE(
      database->write(Records{row_at(9, "c"), row_at(7, "a"), row_at(9, "d")}).has_error());
  CHECK(rows_in(*database, "rows").empty());  // Nobody sees what may still be undone.
  REQUIRE_FALSE(database->write(Records{row_at(8, "b")}).has_error());
  REQUIRE_FALSE(database->commit(9, false).has_error());
  CHECK(keys_in(*database, "rows") == Keys{"a", "b", "c", "d"});
  CHECK(rows_in(*database, "rows", 3).size() == 3);
  CHECK(rows_in(*database, "rows")[3].place == OutboxPlace{9, 2});
}

TEST_CASE("outbox: an undone transaction leaves nothing, and its places are given again") {
  const TempDir temp;
  const auto database = open_with(temp.database(), {of_window("rows")});
  REQUIRE_FALSE(database->write(Records{row_at(3, "a"), row_at(3, "b")}).has_error());
  database->roll_back();
  CHECK(database->outbox_stats("rows").rows == 0);
  write(*database, {row_at(3, "a"), row_at(3, "b")}, 3);
  CHECK(database->outbox_stats("rows").rows == 2);
  CHECK(rows_in(*database, "rows")[0].place == OutboxPlace{3, 1});
  CHECK(rows_in(*database, "rows")[1].place == OutboxPlace{3, 2});
}

TEST_CASE("outbox: what was delivered is gone, and does not come again with a replay") {
  const TempDir temp;
  {
    const auto database = open_with(temp.database(), {of_window("rows"), of_window("others")});
    write(*database, {row_at(1, "a"), row_at(2, "b"), row_at(2, "c"), row_at(3, "d")}, 3);
    REQUIRE_FALSE(database->delivered("rows", {2, 1}).has_error());
    CHECK(keys_in(*database, "rows") == Keys{"c", "d"});
    CHECK(keys_in(*database, "others").size() == 4);
    // Within a transaction it waits for its end.
    REQUIRE_FALSE(database->write(Records{row_at(4, "e")}).has_error());
    REQUIRE_FALSE(database->delivered("rows", {3, 1}).has_error());
    CHECK(keys_in(*database, "rows").empty());  // It is still there, and not read again.
    REQUIRE_FALSE(database->commit(4, false).has_error());
    CHECK(keys_in(*database, "rows") == Keys{"e"});
    CHECK(database->outbox_stats("rows").rows == 1);
    // Older than what it is known to have: a database that is made anew from the log.
    write(*database, {row_at(3, "d"), row_at(3, "beyond")}, 4);
    CHECK(keys_in(*database, "rows") == Keys{"beyond", "e"});
  }
  // What was not delivered is there in the next life.
  const auto database = open_with(temp.database(), {of_window("rows")});
  CHECK(keys_in(*database, "rows") == Keys{"beyond", "e"});
  const OutboxStats stats = database->outbox_stats("rows");
  CHECK(stats.rows == 2);
  CHECK(stats.oldest_at > 0);
  CHECK(std::to_string(stats.bytes) ==
        shell(temp.database(),
              "SELECT sum(length(key) + length(value)) FROM streamobs_outbox WHERE sink = 'rows'"));
  // That a database is opened without a sink does not make it lose what is for it.
  const std::string others = "SELECT count(*) FROM streamobs_outbox WHERE sink = 'others'";
  CHECK(shell(temp.database(), others) == "6");
  REQUIRE_FALSE(database->settle_outboxes().has_error());
  CHECK(shell(temp.database(), others) == "0");
  CHECK(keys_in(*database, "rows") == Keys{"beyond", "e"});
}

TEST_CASE("outbox: beyond its bound the oldest go, but not what is being delivered") {
  const TempDir temp;
  const auto database = open_with(temp.database(), {of_window("rows", 1'000)});
  write(*database, {row_at(1, "a"), row_at(2, "b")}, 2);
  CHECK(rows_in(*database, "rows", 1).size() == 1);  // Taken.
  for (std::uint64_t position = 3; position < 20; ++position) {
    write(*database, {row_at(position, "x" + std::to_string(position))}, position);
  }
  const Keys keys = keys_in(*database, "rows");
  REQUIRE(keys.size() > 2);
  CHECK(keys.front() == "a");
  CHECK(keys.back() == "x19");
  const OutboxStats stats = database->outbox_stats("rows");
  CHECK(stats.bytes <= 1'000);
  CHECK(stats.rows == keys.size());
  CHECK(stats.dropped == 19 - keys.size());
  CHECK_FALSE(database->outbox_full());
}

TEST_CASE("outbox: a required sink's is full, and keeps everything") {
  const TempDir temp;
  OutboxOptions required = of_window("rows", 1'000);
  required.required = true;
  const auto database = open_with(temp.database(), {required});
  std::uint64_t position = 0;
  while (!database->outbox_full()) {
    ++position;
    REQUIRE(position < 100);
    write(*database, {row_at(position, "x")}, position);
  }
  CHECK(database->outbox_stats("rows").rows == position);
  CHECK(database->outbox_stats("rows").dropped == 0);
  REQUIRE_FALSE(database->delivered("rows", {position, 1}).has_error());
  CHECK_FALSE(database->outbox_full());
}

TEST_CASE("outbox: what a reader takes and says delivered is everything, once and in order") {
  std::mt19937 random(7);
  for (int round = 0; round < 20; ++round) {
    const TempDir temp(TempDir::Where::memory);
    std::optional<std::unique_ptr<Database>> database;
    std::vector<std::string> expected;
    std::vector<std::string> got;
    std::uint64_t position = 0;
    for (int step = 0; step < 60; ++step) {
      const bool restart = !database || random() % 10 == 0;
      if (restart) {
        database.reset();
        database = open_with(temp.database(), {of_window("rows")});
      }
      const std::size_t count = random() % 4;
      Records records;
      for (std::size_t i = 0; i < count; ++i) {
        if (random() % 2 == 0 || i == 0) ++position;
        const std::string name = std::to_string(expected.size());
        records.push_back(row_at(position, name));
        expected.push_back(name);
      }
      if (random() % 5 == 0 && !records.empty()) {
        REQUIRE_FALSE((*database)->write(records).has_error());
        (*database)->roll_back();
      }
      write(**database, records, position);
      const std::size_t take = random() % 6;
      const auto rows = rows_in(**database, "rows", take);
      if (rows.empty()) continue;
      const bool lost = random() % 4 == 0;  // The transaction of that sink failed.
      if (lost) continue;
      for (const OutboxRow& row : rows) got.push_back(*row.key);
      REQUIRE_FALSE((*database)->delivered("rows", rows.back().place).has_error());
    }
    for (const OutboxRow& row : rows_in(**database, "rows")) got.push_back(*row.key);
    CHECK(got == expected);
  }
}

TEST_CASE("outbox: a sink that is about something else now begins with nothing in it") {
  const TempDir temp;
  OutboxOptions sink = of_window("out");
  sink.feed = "service_metrics to results";
  sink.target = "here";
  const auto reopened = [&] {
    auto database = open_with(temp.database(), {sink});
    REQUIRE(database->settle_outboxes().has_value());
    return database;
  };
  {
    const auto database = reopened();
    write(*database, {row_at(3, "a"), row_at(4, "b")}, 4);
    REQUIRE(database->set_sink_writers("out", {11, 12}).value());
  }
  CHECK(keys_in(*reopened(), "out") == Keys{"a", "b"});
  CHECK(reopened()->sink_writers("out").value()->now == 11);
  sink.target = "elsewhere";
  {
    const auto database = reopened();
    CHECK(keys_in(*database, "out") == Keys{"a", "b"});
    CHECK_FALSE(database->sink_writers("out").value());
  }
  sink.feed = "service_metrics to another topic";
  {
    const auto database = reopened();
    CHECK(keys_in(*database, "out").empty());
    CHECK(database->outbox_stats("out").rows == 0);
    write(*database, {row_at(5, "c")}, 5);
    CHECK(database->outbox_stats("out").rows == 1);
  }
  CHECK(keys_in(*reopened(), "out") == Keys{"c"});
}

TEST_CASE("outbox: letters of batches that were set aside stay in the database") {
  const TempDir temp;
  const auto database =
      open_with(temp.database(), {of("refused", OutboxOptions::From::dead_letters)});
  DeadLetter told = letter("requests", "late", kNoon);
  told.sequence = 6;
  DeadLetter aside = letter("requests", std::string(reason::set_aside), kNoon);
  aside.sequence = 6;
  aside.event_index = 1;
  write(*database, {letters({aside, told})}, 7);
  const auto rows = rows_in(*database, "refused");
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].place == OutboxPlace{6, 1});
  CHECK(database->dead_letters({})->size() == 2);
}

TEST_CASE("outbox: letters have members of their payload for a key, where they are there") {
  const TempDir temp;
  OutboxOptions options = of("refused", OutboxOptions::From::dead_letters);
  options.members = {"serviceId", "a b.c"};
  const auto database = open_with(temp.database(), {options});
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"({"serviceId":"web","a b.c":"x"})", "web|x"},
      {R"({"a b.c":12.30,"serviceId":true})", "true|12.30"},
      {R"({"serviceId":"web"})", "none"},
      {R"({"serviceId":null,"a b.c":"x"})", "none"},
      {R"({"serviceId":{},"a b.c":[]})", "none"},
      {R"({"serviceId":"we)", "none"},
      {"<13>plain text", "none"},
      {"[1,2]", "none"},
      {"", "none"}};
  DeadLetters all;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    DeadLetter one = letter("requests", "late", kNoon);
    one.sequence = 6;
    one.event_index = static_cast<std::uint32_t>(i);
    one.payload = cases[i].first;
    all.push_back(std::move(one));
  }
  write(*database, {letters(std::move(all))}, 7);
  const auto rows = rows_in(*database, "refused");
  REQUIRE(rows.size() == cases.size());
  for (std::size_t i = 0; i < cases.size(); ++i) {
    INFO(cases[i].first);
    CHECK(rows[i].key.value_or("none") == cases[i].second);
  }
}

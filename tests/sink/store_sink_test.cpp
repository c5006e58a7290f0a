#include "sink/store_sink.h"

#include "sink/support.h"
#include "store/sqlite.h"

namespace {

using namespace streamobs;              // NOLINT
using namespace streamobs::sink::test;  // NOLINT
using store::Connection;

/// The last record only when the sink has taken all others; `seen`: rows that could be read by
/// then.
asio::awaitable<void> push_and_look(Fixture& f, std::vector<Record> records, std::size_t& seen) {
  for (std::size_t i = 0; i + 1 < records.size(); ++i) co_await f.input.push(std::move(records[i]));
  const std::function<bool()> all_taken = [&f] { return f.sink->pending() == 6'000; };
  const bool taken = co_await until(all_taken);
  CHECK(taken);
  seen = f.stored();
  co_await f.input.push(std::move(records.back()));
  f.input.close();
}

}  // namespace

TEST_CASE("the sink stores everything up to the last cut before it ends", "[sink]") {
  Fixture f(8);
  std::vector<Record> records;
  for (int i = 0; i < 200; ++i) records.push_back(some(i * 20, 20));
  records.push_back(some(0, 500, true));  // Early: not stored, not counted.
  records.push_back(std::make_shared<const Anomaly>(anomaly("a", kNoon, {})));
  records.push_back(std::make_shared<const Incident>(incident("i", kNoon, {})));
  records.push_back(letters({letter("s", "late", kNoon), letter("s", "late", kNoon)}));
  records.push_back(cut());
  f.run([&] { return push_all(f.input, std::move(records)); });
  CHECK(f.stored() == 4'000);
  CHECK(f.database->anomalies({})->size() == 1);
  CHECK(f.database->incidents({})->size() == 1);
  CHECK(f.database->dead_letters({})->size() == 2);
  CHECK(f.sink->pending() == 0);
  CHECK(f.fatal_calls == 0);
  CHECK(f.metrics.value("streamobs_store_rows_total") == 4'004);
  CHECK(f.database->stats().rows_written == 4'004);
  CHECK(f.metrics.render(telemetry::Registry::Exposition::prometheus)
            .find("streamobs_store_commit_seconds_count") != std::string::npos);
}

TEST_CASE("what is queued becomes few transactions, each of about the size asked for", "[sink]") {
  Fixture f(512, 100);
  for (int i = 0; i < 200; ++i) {
    Record record = some(i * 10, 10);
    REQUIRE(f.input.try_push(record));
    Record line = cut();
    REQUIRE(f.input.try_push(line));
  }
  f.input.close();
  f.run([]() -> asio::awaitable<void> { co_return; });
  CHECK(f.stored() == 2'000);
  // A take that ends on records leaves their cut to the next, which has then less room.
  CHECK(f.database->stats().transactions >= 20);
  CHECK(f.database->stats().transactions <= 24);
}

namespace {

asio::awaitable<void> push_one_by_one(Fixture& f) {
  for (int i = 0; i < 5; ++i) {
    Record record = some(i, 1);
    const bool taken = co_await f.input.push(std::move(record));
    CHECK(taken);
    Record line = cut(static_cast<std::uint64_t>(i) + 1);
    co_await f.input.push(std::move(line));
    const std::function<bool()> committed = [&f, i] {
      return f.database->stats().transactions == static_cast<std::uint64_t>(i + 1);
    };
    const bool seen = co_await until(committed);
    CHECK(seen);
  }
  f.input.close();
}

}  // namespace

TEST_CASE("under low load a result does not wait for others", "[sink]") {
  Fixture f;
  f.run([&f] { return push_one_by_one(f); });
  CHECK(f.stored() == 5);
  CHECK(f.database->applied_position() == 5);
}

namespace {

asio::awaitable<void> hold_and_let_go(Fixture& f, Connection& other) {
  const Result<> held = other.execute("BEGIN IMMEDIATE");
  CHECK(held.has_value());
  // Ingest waits: the channel fills behind the sink, and nothing is thrown away.
  for (int i = 0; i < 4; ++i) {
    Record record = some(i * 10, 10);
    const bool taken = co_await f.input.push(std::move(record));
    CHECK(taken);
    Record line = cut(static_cast<std::uint64_t>(i) + 1);
    co_await f.input.push(std::move(line));
  }
  const std::function<bool()> retried = [&f] {
    return f.metrics.value("streamobs_store_retries_total") >= 2;
  };
  const bool seen = co_await until(retried);
  CHECK(seen);
  CHECK(f.sink->pending() > 0);
  CHECK(f.database->stats().rows_written == 0);
  const Result<> free = other.execute("ROLLBACK");
  CHECK(free.has_value());
  f.input.close();
}

}  // namespace

TEST_CASE("while the database is held the sink tries again, and then stores everything", "[sink]") {
  Fixture f;
  Result<Connection> other =
      Connection::open(f.temp.database(), Connection::Mode::read_write, kSecond);
  REQUIRE(other.has_value());
  f.run([&] { return hold_and_let_go(f, *other); });
  CHECK(f.stored() == 40);
  CHECK(f.sink->pending() == 0);
  CHECK(f.fatal_calls == 0);
  CHECK(f.database->stats().busy_retries >= 2);
  CHECK(f.database->applied_position() == 4);
}

namespace {

asio::awaitable<void> push_until_refused(Channel& input, int& taken) {
  for (int i = 0; i < 10'000; ++i) {
    Record record = some(i, 1);
    const bool ok = co_await input.push(std::move(record));
    if (!ok) co_return;
    Record line = cut();
    co_await input.push(std::move(line));
    ++taken;
  }
}

}  // namespace

TEST_CASE("a store that cannot go on is told once, and producers do not wait for ever", "[sink]") {
  Fixture f(4);
  // Somebody has taken the window's table away: nothing that trying again could mend.
  CHECK(shell(f.temp.database(), "DROP VIEW service_metrics; DROP TABLE window_service_metrics;")
            .empty());
  int taken = 0;
  f.run([&] { return push_until_refused(f.input, taken); });
  CHECK(f.fatal_calls == 1);
  CHECK(f.fatal.message.find("no such table") != std::string::npos);
  CHECK(taken < 100);
  CHECK(f.input.closed());
}

namespace {

asio::awaitable<void> let_time_pass(Fixture& f) {
  Record old = letters({letter("s", "late", kNoon)});
  co_await f.input.push(std::move(old));
  Record line = cut();
  co_await f.input.push(std::move(line));
  const std::function<bool()> there = [&f] { return f.database->stats().transactions == 1; };
  const bool stored = co_await until(there);
  CHECK(stored);
  f.clock.advance(store::StoreOptions().keep_dead_letters + kMinute);
  Record next = some(0, 1);
  co_await f.input.push(std::move(next));
  Record last = cut();
  co_await f.input.push(std::move(last));
  const std::function<bool()> gone = [&f] { return f.database->dead_letters({})->empty(); };
  const bool removed = co_await until(gone);
  CHECK(removed);
  f.input.close();
}

}  // namespace

TEST_CASE("the sink tidies the store up as time goes on", "[sink]") {
  Fixture f;
  f.run([&f] { return let_time_pass(f); });
  CHECK(f.database->dead_letters({})->empty());
  CHECK(f.stored() == 1);
}

TEST_CASE("what lies between two cuts is one transaction, however much it is", "[sink]") {
  // Far more than is kept in memory, and than goes into one step.
  Fixture f(16, 100, 50'000);
  std::vector<Record> records;
  for (int i = 0; i < 300; ++i) records.push_back(some(i * 20, 20));
  records.push_back(cut(1));
  std::size_t seen = 0;
  const auto produce = [&]() -> asio::awaitable<void> {
    return push_and_look(f, std::move(records), seen);
  };
  f.run(produce);
  CHECK(seen == 0);  // Nobody sees a part of it.
  CHECK(f.stored() == 6'000);
  CHECK(f.database->stats().transactions == 1);
  CHECK(f.database->applied_position() == 1);
  CHECK(f.metrics.value("streamobs_store_rows_total") == 6'000);
  CHECK(f.sink->pending() == 0);
}

TEST_CASE("what follows the last cut is not stored", "[sink]") {
  Fixture f(64, 100);
  std::vector<Record> records = {some(0, 10), cut(7), some(10, 10)};
  for (int i = 0; i < 20; ++i) records.push_back(some(100 + i * 20, 20));
  f.run([&] { return push_all(f.input, std::move(records)); });
  CHECK(f.stored() == 10);
  CHECK(f.database->applied_position() == 7);
  CHECK(f.sink->pending() == 410);
  CHECK(f.fatal_calls == 0);
  CHECK(f.metrics.value("streamobs_store_rows_total") == 10);
}

TEST_CASE("of a replayed tail only what is new is stored", "[sink]") {
  Fixture f;
  REQUIRE(f.database->bind_log(42).has_value());
  write(*f.database, {at(10, 0, 5), letter_at(10, 0)}, 10);
  std::vector<Record> records;
  // Positions of the tail; 0 stands for what no log has given rise to.
  for (const std::uint64_t position : {8, 9, 10, 11, 0}) {
    const int first = static_cast<int>(position) * 100;
    records.push_back(at(position, first, 3));
    records.push_back(letter_at(position, 0));
    if (position != 0) records.push_back(cut(position));
  }
  records.push_back(cut(0));
  f.run([&] { return push_all(f.input, std::move(records)); });
  CHECK(f.stored() == 5 + 3 + 3 - 3);  // Position 0 has three of the first five rows.
  CHECK(f.database->dead_letter_counts()->at(0).count == 3);
  CHECK(f.database->applied_position() == 11);
  CHECK(f.metrics.value("streamobs_store_skipped_rows_total") == 3 * 4);
}

TEST_CASE("a batch that is set aside is told, also where its results were stored before",
          "[sink]") {
  Fixture f;
  REQUIRE(f.database->bind_log(42).has_value());
  write(*f.database, {at(10, 0, 5)}, 10);
  std::vector<Record> records;
  for (int time = 0; time < 2; ++time) {  // Also with the replay after the next one.
    DeadLetter gone = letter("s", std::string(reason::set_aside), kNoon);
    gone.sequence = 6;
    records.push_back(letters({gone}));
    records.push_back(cut(10));
  }
  f.run([&] { return push_all(f.input, std::move(records)); });
  CHECK(f.database->dead_letters({})->size() == 1);
  CHECK(f.database->dead_letter_counts()->at(0).count == 1);
  CHECK(f.database->applied_position() == 10);
}

TEST_CASE("a checkpoint is made when everything before it is in the database", "[sink]") {
  Fixture f;
  const auto parts = barrier(2);
  std::vector<Record> records = {some(0, 10),   cut(1),       some(10, 10),
                                 cut(2, parts), some(20, 10), cut(3)};
  f.run([&] { return push_all(f.input, std::move(records)); });
  CHECK(f.saves == 1);
  CHECK(f.saved_position == 2);
  CHECK(f.saved_rows == 20);
  CHECK(f.applied_when_saved == 2);
  CHECK(f.stored() == 30);
  CHECK(f.database->applied_position() == 3);
  CHECK(f.metrics.value("streamobs_checkpoints_total") == 1);
}

TEST_CASE("a checkpoint without any result before it moves the position too", "[sink]") {
  Fixture f;
  std::vector<Record> records = {cut(1), cut(2), cut(3, barrier(3)), cut(4)};
  f.run([&] { return push_all(f.input, std::move(records)); });
  CHECK(f.saves == 1);
  CHECK(f.applied_when_saved == 3);
  CHECK(f.database->stats().transactions == 1);
}

TEST_CASE("a checkpoint that fails ends the engine, on a full disk it is left out", "[sink]") {
  const auto run = [](Fixture& f, ErrorCode code) {
    f.save_result = fail(code, "the checkpoint cannot be written");
    std::vector<Record> records = {some(0, 10), cut(1, barrier(1)), some(10, 10), cut(2)};
    f.run([&] { return push_all(f.input, std::move(records)); });
  };
  Fixture broken;
  run(broken, ErrorCode::io);
  CHECK(broken.fatal_calls == 1);
  CHECK(broken.fatal.message == "the checkpoint cannot be written");
  CHECK(broken.stored() == 10);
  CHECK(broken.input.closed());
  for (const ErrorCode code : {ErrorCode::unavailable, ErrorCode::no_space}) {
    Fixture full;
    run(full, code);
    CHECK(full.fatal_calls == 0);
    CHECK(full.stored() == 20);
    CHECK(full.metrics.value("streamobs_checkpoints_failed_total") == 1);
    CHECK(full.metrics.value("streamobs_checkpoints_total") == 0);
  }
}

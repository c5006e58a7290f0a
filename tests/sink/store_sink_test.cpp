#include "sink/store_sink.h"

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include "flow/task_group.h"
#include "store/sqlite.h"
#include "store/support.h"

namespace {

using namespace streamobs;               // NOLINT
using namespace streamobs::store::test;  // NOLINT
using namespace std::chrono_literals;    // NOLINT
using Channel = flow::Channel<Record>;
using store::Connection;

Record some(int first, int count, bool early = false) {
  std::vector<WindowRow> rows;
  for (int i = first; i < first + count; ++i) {
    rows.push_back(service_row(kNoon, Value::of_string(std::to_string(i)), i));
  }
  return batch(services(), std::move(rows), early);
}

/// A sink over a database in a directory of its own, with everything it refers to.
struct Fixture {
  explicit Fixture(std::size_t capacity = 64, std::size_t rows_per_transaction = 1'000)
      : input(capacity), database(open(temp.database(), {services()})) {
    store::StoreOptions made = options(temp.database());
    made.rows_per_transaction = rows_per_transaction;
    sink.emplace(*database, input, pool, clock, metrics, made, [this](const Error& error) {
      ++fatal_calls;
      fatal = error;
    });
  }

  /// Runs the sink and `produce` on two threads until both have ended.
  void run(std::function<asio::awaitable<void>()> produce) {
    flow::TaskGroup tasks([](const std::string& name, const std::exception_ptr&) {
      FAIL_CHECK(name << " ended with an exception");
    });
    tasks.spawn(asio::make_strand(io), "sink", sink->run());
    tasks.spawn(asio::make_strand(io), "produce", produce());
    std::thread second([this] { io.run(); });
    io.run();
    second.join();
  }

  std::size_t stored() const {
    return database->window_rows(rows_of("service_metrics")).value().size();
  }

  TempDir temp;
  asio::io_context io;
  Channel input;
  flow::BlockingPool pool{2};
  ManualClock clock{kNoon};
  telemetry::Registry metrics;
  std::unique_ptr<store::Database> database;
  std::optional<sink::StoreSink> sink;
  int fatal_calls = 0;
  Error fatal;
};

asio::awaitable<void> push_all(Channel& input, std::vector<Record> records) {
  for (Record& record : records) {
    const bool taken = co_await input.push(std::move(record));
    if (!taken) co_return;
  }
  input.close();
}

/// Waits on a condition, at most ten seconds.
asio::awaitable<bool> until(std::function<bool()> condition) {
  const auto executor = co_await asio::this_coro::executor;
  asio::steady_timer timer(executor);
  for (int i = 0; i < 2'000; ++i) {
    if (condition()) co_return true;
    timer.expires_after(5ms);
    co_await timer.async_wait(asio::use_awaitable);
  }
  co_return false;
}

}  // namespace

TEST_CASE("the sink stores everything before it ends", "[sink]") {
  Fixture f(8);
  std::vector<Record> records;
  for (int i = 0; i < 200; ++i) records.push_back(some(i * 20, 20));
  records.push_back(some(0, 500, true));  // Early: not stored, not counted.
  records.push_back(std::make_shared<const Anomaly>(anomaly("a", kNoon, {})));
  records.push_back(std::make_shared<const Incident>(incident("i", kNoon, {})));
  records.push_back(letters({letter("s", "late", kNoon), letter("s", "late", kNoon)}));
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
  Fixture f(256, 100);
  for (int i = 0; i < 200; ++i) {
    Record record = some(i * 10, 10);
    REQUIRE(f.input.try_push(record));
  }
  f.input.close();
  f.run([]() -> asio::awaitable<void> { co_return; });
  CHECK(f.stored() == 2'000);
  CHECK(f.database->stats().transactions == 20);
}

namespace {

asio::awaitable<void> push_one_by_one(Fixture& f) {
  for (int i = 0; i < 5; ++i) {
    Record record = some(i, 1);
    const bool taken = co_await f.input.push(std::move(record));
    CHECK(taken);
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
}

namespace {

asio::awaitable<void> push_until_refused(Channel& input, int& taken) {
  for (int i = 0; i < 10'000; ++i) {
    Record record = some(i, 1);
    const bool ok = co_await input.push(std::move(record));
    if (!ok) co_return;
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
  const std::function<bool()> there = [&f] { return f.database->stats().transactions == 1; };
  const bool stored = co_await until(there);
  CHECK(stored);
  f.clock.advance(store::StoreOptions().keep_dead_letters + kMinute);
  Record next = some(0, 1);
  co_await f.input.push(std::move(next));
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

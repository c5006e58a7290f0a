// The Kafka sink against librdkafka's mock cluster, which shows what it sends and how it mends;
// that each result is there once only the real broker can show (tests/e2e/test_kafka_sink.py).
#include "sink/kafka_sink.h"

#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "../kafka/cluster.h"
#include "flow/task_group.h"
#include "sink/support.h"

namespace {

using namespace streamobs;              // NOLINT
using namespace streamobs::sink::test;  // NOLINT
using sink::KafkaSink;

// Of the protocol.
constexpr std::int16_t kProduce = 0;
constexpr std::int16_t kAddPartitions = 24;
constexpr std::int16_t kEndTransaction = 26;

constexpr std::uint64_t kLog = 0xabcdef;

/// A sink on a thread of its own, and a database whose results it sends.
struct Sending {
  Sending() {
    store::StoreOptions made = options(temp.database());
    store::OutboxOptions box;
    box.sink = "out";
    box.window = "service_metrics";
    box.key = {0};
    made.outboxes.push_back(box);
    auto opened = store::Database::open(made, {services()});
    REQUIRE(opened.has_value());
    database = std::move(*opened);
  }
  ~Sending() { stop(); }

  void start(std::uint64_t log_end = 1'000'000) {
    sink::SinkOptions made;
    made.name = SourceText("out");
    made.from = SourceText("service_metrics");
    made.topic = SourceText("results");
    made.kafka.client.brokers = SourceText(cluster.brokers());
    threads.emplace(1);
    sink = std::make_unique<KafkaSink>(made, KafkaSink::Origin{kLog, log_end}, *database,
                                       asio::make_strand(threads->executor()), clock, metrics);
    database->on_commit([this] { sink->notify(); });
    tasks.emplace([](const std::string& name, const std::exception_ptr&) {
      FAIL_CHECK(name << " ended with an exception");
    });
    tasks->spawn(sink->executor(), "sink", sink->run());
  }

  void stop(Duration patience = 20 * kSecond) {
    if (!sink) return;
    sink->finish(patience);
    threads->join();
    CHECK(sink->state() == KafkaSink::State::ended);
    database->on_commit({});
    sink.reset();
    threads.reset();
  }

  void store(std::uint64_t position, int first, int count) {
    write(*database, {at(position, first, count)}, position);
    for (int i = first; i < first + count; ++i) expected.push_back(std::to_string(i));
  }

  bool wait_for(const std::function<bool()>& condition) const {
    for (int i = 0; i < 6'000; ++i) {
      if (condition()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return false;
  }
  bool wait_until_empty() const {
    return wait_for([this] { return database->outbox_stats("out").rows == 0; });
  }

  std::vector<std::string> keys() {
    std::vector<std::string> found;
    for (const auto& [key, value] : cluster.messages("results", 1)) found.push_back(key);
    return found;
  }
  std::string newest_marker() {
    const auto all = cluster.messages("streamobs-markers", 1);
    return all.empty() ? std::string() : all.back().first + " " + all.back().second;
  }

  TempDir temp;
  kafka::Cluster cluster{{{"results", 1}, {"streamobs-markers", 1}}};
  ManualClock clock{kNoon};
  telemetry::Registry metrics;
  std::unique_ptr<store::Database> database;
  std::unique_ptr<KafkaSink> sink;
  std::optional<flow::TaskGroup> tasks;
  std::optional<flow::BlockingPool> threads;
  std::vector<std::string> expected;
};

}  // namespace

TEST_CASE("what is stored is sent, in order, with a marker", "[sink]") {
  Sending s;
  s.store(3, 0, 10);
  s.start();
  REQUIRE(s.wait_until_empty());
  s.store(4, 10, 5);
  s.store(7, 15, 3'000);  // More than a transaction takes.
  REQUIRE(s.wait_until_empty());
  CHECK(s.sink->sent() == 3'015);
  CHECK(s.sink->transaction_seconds() > 0);
  CHECK_FALSE(s.sink->troubles().last());
  s.stop();
  CHECK(s.keys() == s.expected);
  const std::string marker = s.newest_marker();
  CHECK(marker.substr(0, marker.find(R"(,"writer")")) ==
        R"(0000000000abcdef/out {"version":1,"log":"0000000000abcdef","sink":"out",)"
        R"("topic":"results","position":7,"ordinal":3000)");
}

TEST_CASE("what the marker says was delivered is not sent again", "[sink]") {
  Sending s;
  s.store(3, 0, 10);
  s.start();
  REQUIRE(s.wait_until_empty());
  s.stop();
  // As where the process died between the transaction and removing it from the outbox.
  {
    const store::Connection direct =
        *store::Connection::open(s.temp.database(), store::Connection::Mode::read_write, kSecond);
    REQUIRE_FALSE(
        direct
            .execute("INSERT INTO streamobs_outbox SELECT 'out', 3, value, 1, 'again', '{}' FROM "
                     "json_each('[1,2,3,4,5,6,7,8,9,10]')")
            .has_error());
  }
  s.store(5, 10, 1);
  s.start();
  REQUIRE(s.wait_until_empty());
  s.stop();
  CHECK(s.keys() == s.expected);
}

TEST_CASE("a failed step of a transaction is got over", "[sink]") {
  const auto [request, error] =
      GENERATE(std::pair(kProduce, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION),
               std::pair(kAddPartitions, RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS),
               std::pair(kAddPartitions, RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED),
               std::pair(kEndTransaction, RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE),
               std::pair(kEndTransaction, RD_KAFKA_RESP_ERR_PRODUCER_FENCED));
  Sending s;
  s.start();
  REQUIRE(s.wait_for([&] { return s.sink->state() == KafkaSink::State::waiting; }));
  rd_kafka_mock_push_request_errors(s.cluster.mock(), request, 1, error);
  s.store(3, 0, 10);
  REQUIRE(s.wait_until_empty());
  s.store(4, 10, 10);
  REQUIRE(s.wait_until_empty());
  s.stop();
  // The mock cluster shows what was aborted as well: all is there, the newest last.
  std::vector<std::string> keys = s.keys();
  REQUIRE(keys.size() >= 20);
  keys.erase(keys.begin(), keys.end() - 20);
  CHECK(keys == s.expected);
}

TEST_CASE("a marker ahead of the log stops the sink, and a longer log does not help", "[sink]") {
  Sending s;
  s.store(30, 0, 10);
  s.start();
  REQUIRE(s.wait_until_empty());
  s.stop();
  s.store(31, 10, 1);
  s.start(29);
  REQUIRE(s.wait_for([&] { return s.sink->state() == KafkaSink::State::stopped; }));
  CHECK(s.database->outbox_stats("out").rows == 1);
  s.stop();
  s.start(1'000);
  REQUIRE(s.wait_for([&] { return s.sink->state() == KafkaSink::State::stopped; }));
  s.stop();
  CHECK(s.keys().size() == 10);
}

TEST_CASE("a marker of a copy of the data directory stops the sink", "[sink]") {
  Sending s;
  s.store(30, 0, 10);
  s.start();
  REQUIRE(s.wait_until_empty());
  s.stop();
  const auto writers = *s.database->sink_writers("out");
  REQUIRE(writers.has_value());
  SECTION("which came after ours") {
    // As where the copy was made before the last run.
    REQUIRE(*s.database->set_sink_writers("out", {writers->now + 2, writers->before}));
  }
  SECTION("and of nobody's run it is none") {
    REQUIRE(*s.database->set_sink_writers("out", {}));
  }
  s.store(31, 10, 1);
  s.start();
  REQUIRE(s.wait_for([&] { return s.sink->state() == KafkaSink::State::stopped; }));
  CHECK(s.database->outbox_stats("out").rows == 1);
  s.stop();
  CHECK(s.keys().size() == 10);
}

TEST_CASE("a run that sent nothing hides the one before it from nobody", "[sink]") {
  Sending s;
  s.store(30, 0, 10);
  s.start();
  REQUIRE(s.wait_until_empty());
  s.stop();
  for (int i = 0; i < 3; ++i) {
    s.start();
    REQUIRE(s.wait_for([&] { return s.sink->state() == KafkaSink::State::waiting; }));
    s.stop();
  }
  s.store(31, 10, 1);
  s.start();
  REQUIRE(s.wait_until_empty());
  s.stop();
  CHECK(s.keys() == s.expected);
}

TEST_CASE("a sink whose brokers are away ends when it is told to", "[sink]") {
  Sending s;
  rd_kafka_mock_broker_set_down(s.cluster.mock(), 1);
  s.start();
  s.store(3, 0, 10);
  REQUIRE(s.wait_for([&] { return s.sink->state() == KafkaSink::State::retrying; }));
  const auto told = s.sink->troubles().last();
  REQUIRE(told);
  CHECK_FALSE(told->error.empty());
  CHECK(told->advice.find("are the brokers up") != std::string::npos);
  CHECK(told->at == kNoon);
  CHECK(s.metrics.total("streamobs_sink_errors_total", {{"sink", "out"}}) >= 1);
  CHECK(s.sink->transaction_seconds() == 0);
  s.stop(kSecond);
  CHECK(s.database->outbox_stats("out").rows == 10);
  rd_kafka_mock_broker_set_up(s.cluster.mock(), 1);
  s.start();
  REQUIRE(s.wait_until_empty());
  s.stop();
  CHECK(s.keys() == s.expected);
}

TEST_CASE("a full outbox of a required sink holds the store back until there is room", "[sink]") {
  TempDir temp;
  store::StoreOptions made = options(temp.database());
  store::OutboxOptions box;
  box.sink = "out";
  box.window = "service_metrics";
  box.bytes_max = 1'000;
  box.required = true;
  made.outboxes.push_back(box);
  auto opened = store::Database::open(made, {services()});
  REQUIRE(opened.has_value());
  store::Database& database = **opened;
  asio::io_context io;
  Channel input(64);
  flow::BlockingPool pool{2};
  ManualClock clock{kNoon};
  telemetry::Registry metrics;
  sink::StoreSink sink(database, input, pool, clock, metrics, made,
                       [](const Error& error) { FAIL_CHECK(error.message); });
  const auto produce = [&]() -> asio::awaitable<void> {
    co_await input.push(at(1, 0, 20));
    co_await input.push(cut(1));
    const std::function<bool()> first = [&] { return database.outbox_full(); };
    const bool full = co_await until(first);
    CHECK(full);
    co_await input.push(at(2, 20, 20));
    co_await input.push(cut(2));
    const std::function<bool()> taken = [&] { return sink.pending() == 20; };
    const bool waits = co_await until(taken);
    CHECK(waits);
    CHECK(database.applied_position() == 1);
    // Who is turned away for it is told so.
    const std::function<bool()> told = [&] { return !sink.held_up().empty(); };
    const bool says_why = co_await until(told);
    CHECK(says_why);
    CHECK(sink.held_up().find("outbox_max") != std::string_view::npos);
    const bool room = database.delivered("out", {1, 20}).has_value();
    CHECK(room);
    const std::function<bool()> second = [&] { return database.applied_position() == 2; };
    const bool stored = co_await until(second);
    CHECK(stored);
    CHECK(sink.held_up().empty());
    // Full again, and told not to care.
    co_await input.push(at(3, 40, 20));
    co_await input.push(cut(3));
    sink.ignore_full_outboxes();
    input.close();
  };
  flow::TaskGroup tasks([](const std::string& name, const std::exception_ptr&) {
    FAIL_CHECK(name << " ended with an exception");
  });
  tasks.spawn(asio::make_strand(io), "sink", sink.run());
  tasks.spawn(asio::make_strand(io), "produce", produce());
  io.run();
  CHECK(database.applied_position() == 3);
  CHECK(database.outbox_stats("out").rows == 40);
}

// A whole engine in a consumer group of librdkafka's mock cluster, which can be made to refuse
// commits or to leave them unanswered. With a real broker, and others in the group:
// tests/e2e/test_kafka_group.py.
#include <chrono>
#include <functional>
#include <librdkafka/rdkafka.h>
// Needs the one before it.
#include <librdkafka/rdkafka_mock.h>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "app/engine_run.h"
#include "kafka/cluster.h"
#include "kafka/commit_marks.h"
#include "kafka/consumer.h"
#include "kafka/group_member.h"
#include "support/catch.h"

namespace {

using namespace streamobs;  // NOLINT
using testing::EngineRun;
using testing::plan_of;
using testing::TemporaryDirectory;

constexpr std::int16_t kOffsetCommit = 8;  // Of the protocol.
constexpr std::int16_t kHeartbeat = 12;
constexpr int kEvents = 500;

/// With a topic of two partitions.
class Cluster : public kafka::Cluster {
 public:
  Cluster() : kafka::Cluster({{"orders", 2}}) {}
  void produce() {
    for (int i = 0; i < kEvents; ++i) {
      kafka::Cluster::produce("orders", i % 2, R"({"t":"2026-01-09T12:00:00Z","n":1})");
    }
    flush();
  }
  void fail_commits(rd_kafka_resp_err_t error, std::size_t times) {
    fail_next(kOffsetCommit, error, times);
  }
  /// Its member is told that it is none.
  void throw_out() { fail_next(kHeartbeat, RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID, 1); }
  void mend() { rd_kafka_mock_clear_request_errors(mock(), kOffsetCommit); }

  std::vector<kafka::GroupOffset> committed() const {
    kafka::ClientOptions options;
    options.brokers = brokers();
    const auto member =
        kafka::GroupMember::make(options, "readers", [](rd_kafka_resp_err_t, std::string_view) {});
    REQUIRE(member.has_value());
    std::vector<kafka::GroupOffset> offsets{{"orders", 0, -1, {}}, {"orders", 1, -1, {}}};
    for (int tries = 0; tries < 20 && (*member)->ask(offsets, kSecond).has_error(); ++tries) {
    }
    return offsets;
  }
};

std::shared_ptr<const app::Plan> plan_for(const Cluster& cluster, const std::string& data_dir) {
  return plan_of(fmt::format(R"toml(
instance = "a"
lanes = 2
threads = 2
[http]
listen = "127.0.0.1:0"
[source.orders]
type = "kafka"
brokers = "{}"
topics = ["orders"]
group = "readers"
options = {{ "heartbeat.interval.ms" = 100, "session.timeout.ms" = 3000 }}
[stream.orders]
time = "t"
idle_timeout = "10m"
fields = {{ n = "int" }}
[window.per_minute]
size = "1m"
allowed_lateness = "1d"
emit_every = "10ms"
select = {{ events = "count(*)" }}
)toml",
                             cluster.brokers()),
                 data_dir);
}

std::int64_t counted(EngineRun& engine) {
  store::WindowQuery query;
  query.window = "per_minute";
  const auto rows = engine->window_rows(query);
  REQUIRE(rows.has_value());
  std::int64_t sum = 0;
  for (const WindowRow& row : *rows) {
    CHECK(row.keys.at(0).to_string() == "a");
    sum += std::stoll(row.metrics[0].to_string());
  }
  return sum;
}

bool until(const std::function<bool()>& holds) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

/// As a member of the group that has both partitions, and leaves.
void commit(const Cluster& cluster, const std::vector<kafka::GroupOffset>& offsets) {
  kafka::ClientOptions options;
  options.brokers = cluster.brokers();
  options.properties.push_back({SourceText("session.timeout.ms"), "3000"});
  auto made =
      kafka::GroupMember::make(options, "readers", [](rd_kafka_resp_err_t, std::string_view) {});
  REQUIRE(made.has_value());
  kafka::GroupMember& member = **made;
  REQUIRE(member.subscribe({SourceText("orders")}).has_value());
  REQUIRE(until([&] {
    member.serve();
    return member.has_event();
  }));
  member.next_event();
  member.accept();
  member.commit(offsets);
  std::optional<kafka::GroupMember::CommitOutcome> outcome;
  REQUIRE(until([&] { return (outcome = member.commit_ended()).has_value(); }));
  CHECK(outcome->error == RD_KAFKA_RESP_ERR_NO_ERROR);
}

double metric(EngineRun& engine, const char* name) {
  return engine->metrics().value(name, {{"source", "orders"}});
}

double in_group(EngineRun& engine, const char* name) {
  return engine->metrics().value(name, {{"source", "orders"}, {"group", "readers"}});
}

/// Until commits have failed of which nobody knows whether they were taken.
void produce_uncertain(EngineRun& engine, Cluster& cluster) {
  REQUIRE(until([&] { return in_group(engine, "streamobs_kafka_group_partitions") == 2; }));
  cluster.fail_commits(RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, 1000);
  cluster.produce();
  REQUIRE(until([&] {
    return engine->metrics().value(
               "streamobs_kafka_errors_total",
               {{"source", "orders"}, {"error", "GROUP_AUTHORIZATION_FAILED"}}) > 1;
  }));
}

TEST_CASE("group: what the group refuses is discarded and counts once when it is read again",
          "[app]") {
  TemporaryDirectory directory;
  Cluster cluster;
  {
    EngineRun engine(plan_for(cluster, directory.file("data")));
    REQUIRE(until([&] { return in_group(engine, "streamobs_kafka_group_partitions") == 2; }));
    cluster.fail_commits(RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION, 1);
    cluster.produce();
    REQUIRE(until([&] { return counted(engine) >= kEvents; }));
    CHECK(metric(engine, "streamobs_kafka_group_discarded_ranges_total") > 0);
    CHECK(metric(engine, "streamobs_kafka_group_discarded_events_total") > 0);
    CHECK(engine.stop() == 0);
  }
  // The log says the same.
  EngineRun again(plan_for(cluster, directory.file("data")));
  REQUIRE(until([&] { return counted(again) == kEvents; }));
}

TEST_CASE("group: nothing is counted before the group has agreed", "[app]") {
  TemporaryDirectory directory;
  Cluster cluster;
  {
    EngineRun engine(plan_for(cluster, directory.file("data")));
    produce_uncertain(engine, cluster);
    CHECK(counted(engine) == 0);
    CHECK(engine.stop() == 0);
  }
  // None of them was: what the last life left is asked for, given up and read again.
  cluster.mend();
  EngineRun engine(plan_for(cluster, directory.file("data")));
  REQUIRE(until([&] { return counted(engine) >= kEvents; }));
  CHECK(metric(engine, "streamobs_kafka_group_discarded_ranges_total") > 0);
  CHECK(counted(engine) == kEvents);
}

TEST_CASE("group: a commit bears our mark and those that others have left", "[app]") {
  TemporaryDirectory directory;
  Cluster cluster;
  kafka::CommitMarks others;
  others.set(0xabcdef, 4711);
  commit(cluster, {{"orders", 0, 0, others.text()}, {"orders", 1, 0, others.text()}});
  EngineRun engine(plan_for(cluster, directory.file("data")));
  cluster.produce();
  until([&] { return counted(engine) == kEvents; });
  REQUIRE(counted(engine) == kEvents);
  CHECK(engine.stop() == 0);
  for (const kafka::GroupOffset& offset : cluster.committed()) {
    INFO(offset.metadata);
    CHECK(offset.offset == kEvents / 2);
    const kafka::CommitMarks marks = kafka::CommitMarks::parse(offset.metadata);
    CHECK(marks.size() == 2);
    CHECK(marks.of(0xabcdef) == 4711);
  }
}

TEST_CASE("group: thrown out while a commit is uncertain", "[app]") {
  TemporaryDirectory directory;
  Cluster cluster;
  {
    EngineRun engine(plan_for(cluster, directory.file("data")));
    produce_uncertain(engine, cluster);
    cluster.throw_out();
    REQUIRE(until([&] { return in_group(engine, "streamobs_kafka_group_rebalances_total") > 0; }));
    cluster.mend();
    // The next generation asks: no try was taken.
    REQUIRE(until([&] { return counted(engine) >= kEvents; }));
    CHECK(metric(engine, "streamobs_kafka_group_discarded_ranges_total") > 0);
    CHECK(counted(engine) == kEvents);
    CHECK(engine.stop() == 0);
  }
  EngineRun again(plan_for(cluster, directory.file("data")));
  REQUIRE(until([&] { return counted(again) == kEvents; }));
}

TEST_CASE("group: a mark from beyond the log goes before anything is read", "[app]") {
  TemporaryDirectory directory;
  Cluster cluster;
  {
    EngineRun engine(plan_for(cluster, directory.file("data")));
    cluster.produce();
    REQUIRE(until([&] { return counted(engine) == kEvents; }));
    CHECK(engine.stop() == 0);
  }
  // As if the log had been put back from a backup, and had gone on for long after that was made.
  constexpr std::uint64_t kBeyond = std::uint64_t{1} << 40;
  std::vector<kafka::GroupOffset> offsets = cluster.committed();
  const std::uint64_t log_id = std::stoull(offsets[0].metadata.substr(11, 16), nullptr, 16);
  kafka::CommitMarks marks;
  marks.set(0xabcdef, 4711);
  marks.set(log_id, kBeyond);
  for (kafka::GroupOffset& offset : offsets) offset.metadata = marks.text();
  commit(cluster, offsets);
  EngineRun engine(plan_for(cluster, directory.file("data")));
  REQUIRE(until([&] { return in_group(engine, "streamobs_kafka_group_partitions") == 2; }));
  for (const kafka::GroupOffset& offset : cluster.committed()) {
    INFO(offset.metadata);
    CHECK(offset.offset == kEvents / 2);
    const kafka::CommitMarks left = kafka::CommitMarks::parse(offset.metadata);
    CHECK(left.of(log_id) == 0);
    CHECK(left.of(0xabcdef) == 4711);
  }
  cluster.produce();
  REQUIRE(until([&] { return counted(engine) == 2 * kEvents; }));
}

TEST_CASE("group: a source that fails leaves nothing undecided and its stream's time goes on",
          "[app]") {
  TemporaryDirectory directory;
  Cluster cluster;
  {
    EngineRun engine(plan_for(cluster, directory.file("data")));
    cluster.produce();
    REQUIRE(until([&] { return counted(engine) == kEvents; }));
    cluster.fail_commits(RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, 1000);
    cluster.produce();
    REQUIRE(until([&] {
      return engine->metrics().value(
                 "streamobs_kafka_errors_total",
                 {{"source", "orders"}, {"error", "GROUP_AUTHORIZATION_FAILED"}}) > 1;
    }));
    CHECK(engine.stop() == 0);
  }
  cluster.mend();
  std::vector<kafka::GroupOffset> offsets = cluster.committed();
  offsets[1].offset = 1'000'000;  // Ahead of the topic: a reason to fail (on_gap).
  commit(cluster, offsets);
  EngineRun engine(plan_for(cluster, directory.file("data")));
  // Its end closes what is open, long before it would be idle.
  CHECK(until([&] { return engine->totals().windows_closed > 0; }));
  CHECK(metric(engine, "streamobs_kafka_group_discarded_ranges_total") > 0);
}

}  // namespace

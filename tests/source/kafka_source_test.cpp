// The Kafka source against librdkafka's mock cluster. Against a real broker:
// tests/e2e/test_kafka.py.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <librdkafka/rdkafka.h>
// Needs the one before it.
#include <librdkafka/rdkafka_mock.h>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "flow/asio.h"
#include "kafka/cluster.h"
#include "source/sources.h"
#include "support/catch.h"

using namespace streamobs;
using namespace streamobs::source;

namespace {

using kafka::Cluster;

constexpr std::int16_t kFetch = 1;  // Of the protocol.
constexpr std::int16_t kMetadata = 3;

class Sink final : public BlockSink {
 public:
  asio::awaitable<bool> push(Block block) override {
    blocks.push_back(std::move(block));
    if (after_push) after_push();
    co_return true;
  }
  asio::awaitable<bool> join(std::vector<PartitionPlace> partitions) override {
    for (PartitionPlace& joined : partitions) places[joined.partition] = joined.place;
    joined_at.push_back(blocks.size());
    if (after_join) after_join();
    co_return true;
  }
  asio::awaitable<bool> leave(std::vector<std::uint32_t>) override { co_return true; }
  asio::awaitable<std::optional<std::uint64_t>> propose() override { co_return std::nullopt; }
  asio::awaitable<bool> decide(std::vector<RangeVerdict>) override { co_return true; }
  void set_behind(std::uint32_t partition, bool is_behind) override {
    behind[partition] = is_behind;
  }
  Duration ahead(std::uint32_t partition) const override {
    const auto lead = leads.find(partition);
    return lead == leads.end() ? 0 : lead->second;
  }
  /// What has come, by the partition's name.
  std::map<std::string, std::string> texts() const {
    std::map<std::string, std::string> all;
    for (const Block& block : blocks) all[block.origin.name] += block.bytes->view();
    return all;
  }
  std::size_t bytes() const {
    std::size_t sum = 0;
    for (const Block& block : blocks) sum += block.bytes->size();
    return sum;
  }

  std::vector<Block> blocks;
  std::map<std::uint32_t, ResumePoint> places;
  std::vector<std::size_t> joined_at;  ///< Each time, how many blocks there had been.
  std::map<std::uint32_t, bool> behind;
  std::map<std::uint32_t, Duration> leads;  ///< None: 0.
  std::function<void()> after_push;
  std::function<void()> after_join;
};

struct Stage {
  asio::io_context context;  // Outlives the pool, whose threads post to it.
  flow::BlockingPool pool{1};
  SystemClock clock;
  Sink sink;
  std::atomic<bool> stop{false};
  telemetry::Registry metrics;
  std::map<std::uint32_t, ResumeState> resume;
  std::vector<PartitionProgress> partitions;           ///< At the end of the last run.
  std::optional<telemetry::Troubles::Told> complaint;  ///< Likewise.
  SourceOptions options;

  explicit Stage(const Cluster& cluster, std::vector<SourceText> topics = {"t"}) {
    options.name = "k";
    options.type = Type::kafka;
    options.kafka.brokers = cluster.brokers();
    options.topics = std::move(topics);
  }
  /// Until it has as many bytes, or the source has ended by itself; at most 30 seconds.
  Result<> run_for(std::size_t bytes) {
    sink.after_push = [this, bytes] {
      if (sink.bytes() >= bytes) stop = true;
    };
    return run();
  }
  Result<> run() {
    SourceSetup setup;
    setup.options = options;
    setup.block_bytes = 1000;
    const std::unique_ptr<Source> source = make_kafka_source(
        std::move(setup), SourceRuntime{sink, pool, clock, stop, metrics, {}, resume});
    std::optional<Result<>> outcome;
    asio::co_spawn(context, source->run(), [&](std::exception_ptr error, Result<> result) {
      if (error) std::rethrow_exception(error);
      outcome = std::move(result);
    });
    context.restart();
    context.run_for(std::chrono::seconds(30));
    REQUIRE(outcome.has_value());
    partitions = source->progress().partition_table.get();
    complaint = source->progress().troubles.last();
    return *outcome;
  }
  /// As the log would have it for the next life.
  void remember() {
    for (const auto& [partition, place] : sink.places) resume[partition].remember(place);
    for (const Block& block : sink.blocks) {
      ResumeState& state = resume[block.origin.partition];
      CHECK(block.origin.number == state.next_block);
      state.next_block = block.origin.number + 1;
      state.remember(block.origin.resume);
    }
    sink.blocks.clear();
    sink.places.clear();
    stop = false;
  }
};

std::string line(int partition, int i) {
  return "{\"p\":" + std::to_string(partition) + ",\"i\":" + std::to_string(i) + "}";
}

/// Produces messages [from, to) to each partition of "t", and adds them to `expected`.
void produce(Cluster& cluster, int partitions, int from, int to,
             std::map<std::string, std::string>& expected) {
  for (int i = from; i < to; ++i) {
    for (int p = 0; p < partitions; ++p) {
      cluster.produce("t", p, line(p, i));
      expected["t/" + std::to_string(p)] += line(p, i) + "\n";
    }
  }
  cluster.flush();
}

bool says(const Result<>& ended, std::string_view words) {
  return ended.error().message.find(words) != std::string::npos;
}

std::size_t size_of(const std::map<std::string, std::string>& texts) {
  std::size_t sum = 0;
  for (const auto& [name, text] : texts) sum += text.size();
  return sum;
}

}  // namespace

TEST_CASE("kafka: all partitions are read, and come in together before the first block") {
  Cluster cluster({{"t", 3}});
  std::map<std::string, std::string> expected;
  produce(cluster, 3, 0, 500, expected);
  Stage stage(cluster);
  REQUIRE(stage.run_for(size_of(expected)).has_value());
  CHECK((stage.sink.texts() == expected));
  REQUIRE(stage.sink.joined_at == std::vector<std::size_t>{0});
  CHECK(stage.sink.places.size() == 3);
  std::map<std::uint32_t, std::uint64_t> numbers;
  for (const Block& block : stage.sink.blocks) {
    CHECK(block.bytes->size() <= 1000);
    CHECK(block.origin.number == ++numbers[block.origin.partition]);
    CHECK(block.origin.resume.file == block.origin.name);
    CHECK(stage.sink.places[block.origin.partition].file == block.origin.name);
  }
  CHECK(stage.metrics.value("streamobs_kafka_messages_total", {{"source", "k"}}) == 1500);
  REQUIRE(stage.partitions.size() == 3);
  for (std::int32_t number = 0; number < 3; ++number) {
    const PartitionProgress& shown = stage.partitions[static_cast<std::size_t>(number)];
    CHECK((shown.topic == "t" && shown.partition == number && shown.next <= 500));
    CHECK((!shown.held && !shown.ahead));
  }
  CHECK_FALSE(stage.complaint);
}

TEST_CASE("kafka: cut anywhere, each message comes once") {
  Cluster cluster({{"t", 2}});
  std::map<std::string, std::string> expected;
  produce(cluster, 2, 0, 400, expected);
  Stage stage(cluster);
  std::map<std::string, std::string> got;
  std::size_t bytes = 0;
  while (bytes < size_of(expected)) {
    REQUIRE(stage.run_for(std::min<std::size_t>(2500, size_of(expected) - bytes)).has_value());
    for (const auto& [name, text] : stage.sink.texts()) got[name] += text;
    bytes = size_of(got);
    stage.remember();
  }
  CHECK((got == expected));
}

TEST_CASE("kafka: librdkafka does not sleep over a queue that has been full") {
  // Each message fills it; by itself librdkafka (2.0) would look again a second later: a minute.
  Cluster cluster({{"t", 1}});
  std::size_t bytes = 0;
  for (int i = 0; i < 60; ++i) {
    const std::string message = "{\"text\":\"" + std::string(4000, 'x') + "\"}";
    cluster.produce("t", 0, message);
    cluster.flush();  // A fetch brings what was produced together.
    bytes += message.size() + 1;
  }
  Stage stage(cluster);
  stage.options.kafka.properties.push_back({SourceText("queued.max.messages.kbytes"), "1"});
  REQUIRE(stage.run_for(bytes).has_value());
  CHECK(stage.sink.bytes() == bytes);
}

TEST_CASE("kafka: topics by pattern, and one that comes later is read from its beginning") {
  Cluster cluster({{"events-a", 1}, {"events-b", 1}, {"other", 1}});
  cluster.produce("events-a", 0, "{1}");
  cluster.produce("events-b", 0, "{2}");
  cluster.produce("other", 0, "{3}");
  cluster.flush();
  Stage stage(cluster, {"events-*"});
  REQUIRE(stage.run_for(8).has_value());
  CHECK((stage.sink.texts() ==
         std::map<std::string, std::string>{{"events-a/0", "{1}\n"}, {"events-b/0", "{2}\n"}}));
  stage.remember();
  cluster.create("events-c", 1);
  cluster.produce("events-c", 0, "{4}");
  cluster.flush();
  stage.options.topic_start = TopicStart::latest;
  REQUIRE(stage.run_for(4).has_value());
  CHECK((stage.sink.texts() == std::map<std::string, std::string>{{"events-c/0", "{4}\n"}}));
  CHECK(stage.sink.blocks.at(0).origin.partition == 2);  // The others keep their numbers.
}

TEST_CASE("kafka: latest begins behind what is there, and the place is known at once") {
  Cluster cluster({{"t", 1}});
  cluster.produce("t", 0, "{1}");
  cluster.flush();
  Stage stage(cluster);
  stage.options.topic_start = TopicStart::latest;
  stage.sink.after_join = [&] { stage.stop = true; };
  REQUIRE(stage.run().has_value());
  CHECK(stage.sink.places.at(0).offset == 1);
  stage.remember();
  stage.sink.after_join = nullptr;
  cluster.produce("t", 0, "{2}");
  cluster.flush();
  REQUIRE(stage.run_for(4).has_value());
  CHECK((stage.sink.texts() == std::map<std::string, std::string>{{"t/0", "{2}\n"}}));
}

TEST_CASE("kafka: brokers that answer with errors are asked again") {
  Cluster cluster({{"t", 1}});
  std::map<std::string, std::string> expected;
  produce(cluster, 1, 0, 100, expected);
  cluster.fail_next(kMetadata, RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, 1);
  cluster.fail_next(kFetch, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, 2);
  cluster.fail_next(kFetch, RD_KAFKA_RESP_ERR_UNKNOWN, 1);
  Stage stage(cluster);
  REQUIRE(stage.run_for(size_of(expected)).has_value());
  CHECK((stage.sink.texts() == expected));
}

TEST_CASE("kafka: messages without anything in them are passed over and counted") {
  Cluster cluster({{"t", 1}});
  cluster.produce("t", 0, "{1}");
  cluster.produce("t", 0, " \n ");
  cluster.produce("t", 0, "[ ]");
  cluster.produce("t", 0, "{2}");
  cluster.flush();
  Stage stage(cluster);
  REQUIRE(stage.run_for(8).has_value());
  CHECK((stage.sink.texts() == std::map<std::string, std::string>{{"t/0", "{1}\n{2}\n"}}));
  std::vector<std::uint64_t> offsets;  // In one block or in two, as they arrive.
  for (const Block& block : stage.sink.blocks) {
    const auto events = static_cast<std::uint32_t>(
        std::count(block.bytes->data(), block.bytes->data() + block.bytes->size(), '\n'));
    for (std::uint32_t i = 0; i < events; ++i) {
      offsets.push_back(position_of(block.origin, i, i));
    }
  }
  CHECK((offsets == std::vector<std::uint64_t>{0, 3}));
  CHECK(stage.metrics.value("streamobs_kafka_skipped_messages_total",
                            {{"source", "k"}, {"reason", "empty"}}) == 1);
  CHECK(stage.metrics.value("streamobs_kafka_skipped_messages_total",
                            {{"source", "k"}, {"reason", "empty_array"}}) == 1);
}

TEST_CASE("kafka: messages that expired unread end the source, unless it may go on") {
  Cluster cluster({{"t", 1}});
  // The mock keeps 5 MiB of a partition.
  const std::string large = "{\"text\":\"" + std::string(20'000, 'x') + "\"}";
  for (int i = 0; i < 400; ++i) {
    cluster.produce("t", 0, large);
    cluster.flush();
  }
  Stage stage(cluster);
  stage.resume[0].remember({"t/0", 0, 0, 3, 0, 0});
  SECTION("stop") {
    const Result<> ended = stage.run();
    REQUIRE(ended.has_error());
    REQUIRE(stage.complaint);
    CHECK(stage.complaint->error == ended.error().message);
    CHECK(says(ended, "source k: topic t, partition 0: message 3 was to be read next"));
    CHECK(says(ended, "to 400: those before have expired"));
    CHECK(says(ended, "on_gap = \"continue\" in [source.k]"));
    CHECK(stage.sink.blocks.empty());
  }
  SECTION("continue") {
    stage.options.on_gap = OnGap::go_on;
    REQUIRE(stage.run_for(1).has_value());
    const std::uint64_t first = stage.sink.blocks.at(0).origin.offset;
    CHECK(first > 3);
    CHECK(stage.metrics.value("streamobs_kafka_gap_messages_total",
                              {{"source", "k"}, {"topic", "t"}}) == static_cast<double>(first - 3));
  }
}

TEST_CASE("kafka: a topic that was made anew is told as that") {
  Cluster cluster({{"t", 1}});
  cluster.produce("t", 0, "{1}");
  cluster.flush();
  Stage stage(cluster);
  stage.resume[0].remember({"t/0", 0, 0, 1000, 0, 0});
  const Result<> ended = stage.run();
  REQUIRE(ended.has_error());
  CHECK(says(ended, "brokers have 0 to 1: the topic was made anew"));
}

TEST_CASE("kafka: a partition that is too far ahead is not read until it is no longer") {
  Cluster cluster({{"t", 2}});
  std::map<std::string, std::string> expected;
  produce(cluster, 2, 0, 400, expected);
  Stage stage(cluster);
  stage.options.max_skew = kMinute;
  stage.sink.after_join = [&] { stage.sink.leads[0] = 2 * kMinute; };
  // Held before its first block; the other is read to its end meanwhile.
  stage.sink.after_push = [&] {
    const std::map<std::string, std::string> got = stage.sink.texts();
    if (!got.contains("t/0")) CHECK(stage.sink.behind[0]);
    if (got == expected) stage.stop = true;
    if (!got.contains("t/1") || got.at("t/1").size() != expected["t/1"].size()) {
      CHECK_FALSE(got.contains("t/0"));
    } else {
      stage.sink.leads[0] = kMinute / 2;
    }
  };
  REQUIRE(stage.run().has_value());
  CHECK((stage.sink.texts() == expected));
}

TEST_CASE("kafka: held and let go again and again, each message comes once") {
  Cluster cluster({{"t", 3}});
  std::map<std::string, std::string> expected;
  produce(cluster, 3, 0, 3000, expected);
  Stage stage(cluster);
  stage.options.max_skew = kMinute;
  std::mt19937 random(11);
  std::map<std::uint32_t, bool> held;
  std::size_t times_held = 0;
  stage.sink.after_push = [&] {
    if (stage.sink.bytes() >= size_of(expected)) stage.stop = true;
    const std::uint32_t partition = random() % 3;
    held[partition] = !held[partition];
    const bool all = held[0] && held[1] && held[2];
    if (all) held.clear();  // One of them is always the slowest.
    times_held += held[partition] ? 1 : 0;
    for (std::uint32_t p = 0; p < 3; ++p) stage.sink.leads[p] = held[p] ? kMaxTimestamp : 0;
  };
  // What is over while others are held is told by nobody: as when a partition falls idle.
  asio::steady_timer timer(stage.context);
  std::function<void()> let_go = [&] {
    timer.expires_after(std::chrono::milliseconds(50));
    timer.async_wait([&](error_code error) {
      if (error || stage.stop) return;
      held.clear();
      stage.sink.leads.clear();
      let_go();
    });
  };
  let_go();
  REQUIRE(stage.run().has_value());
  CHECK((stage.sink.texts() == expected));
  CHECK(times_held > 10);
}

TEST_CASE("kafka: it stops while a partition is held") {
  Cluster cluster({{"t", 1}});
  cluster.produce("t", 0, "{1}");
  cluster.flush();
  Stage stage(cluster);
  stage.options.max_skew = kMinute;
  stage.sink.leads[0] = kHour;
  asio::steady_timer timer(stage.context, std::chrono::milliseconds(300));
  timer.async_wait([&](error_code) { stage.stop = true; });
  REQUIRE(stage.run().has_value());
  CHECK(stage.sink.behind[0]);
}

TEST_CASE("kafka: key, timestamp and headers become members of the events") {
  Cluster cluster({{"t", 1}});
  constexpr std::int64_t kTimeMs = 1'767'960'000'123;  // 2026-01-09T12:00:00.123Z
  cluster.produce_with("t", "{\"n\":1}", "c-7", {{"trace-id", "a\"b"}}, kTimeMs);
  cluster.produce_with("t", "{\"n\":2}\n{\"n\":3}", "\xff\xfe", {{"other", "x"}}, kTimeMs);
  cluster.flush();
  Stage stage(cluster);
  MessageField key;
  key.name = "customer";
  MessageField time;
  time.name = "sent_at";
  time.part = MessagePart::timestamp;
  MessageField trace;
  trace.name = "trace";
  trace.part = MessagePart::header;
  trace.header = "trace-id";
  stage.options.message_fields = {key, time, trace};
  const std::string sent = "\"sent_at\":\"2026-01-09T12:00:00.123Z\"";
  const std::string wanted = "{\"customer\":\"c-7\"," + sent + ",\"trace\":\"a\\\"b\",\"n\":1}\n{" +
                             sent + ",\"n\":2}\n{" + sent + ",\"n\":3}\n";
  REQUIRE(stage.run_for(wanted.size()).has_value());
  CHECK((stage.sink.texts() == std::map<std::string, std::string>{{"t/0", wanted}}));
  CHECK(stage.metrics.value("streamobs_kafka_unreadable_fields_total",
                            {{"source", "k"}, {"field", "customer"}}) == 1);
}

TEST_CASE("kafka: it stops while it waits, with brokers and without") {
  std::string brokers;
  {
    Cluster cluster({{"t", 1}});
    Stage stage(cluster);
    stage.sink.after_join = [&] { stage.stop = true; };
    CHECK(stage.run().has_value());
    brokers = cluster.brokers();
  }
  Cluster other({});
  Stage stage(other);
  stage.options.kafka.brokers = brokers;  // Gone.
  asio::steady_timer timer(stage.context, std::chrono::milliseconds(300));
  timer.async_wait([&](error_code) { stage.stop = true; });
  CHECK(stage.run().has_value());
}

// How much of what librdkafka can read from a topic gets into windows.
//
// Method. The topic of a real broker on this machine (kafka_bench.py starts one) is filled once
// with events of 124 bytes (50 services, support/events.h), uncompressed, a message each, dealt out
// to its partitions in turn. A round reads all of it twice:
//   bare     librdkafka's consumer in this process with the settings that the engine gives it, all
//            partitions in one queue, batches of 1,024: looks at the last byte of each message and
//            destroys it;
//   engine   the real binary with its log (durability = "sync") in an empty directory, as many
//   lanes
//            as there are cores: decode, log, window with p50, p95, p99.
// Which comes first alternates. The time runs from the making of the client, or from exec, until
// the last message has been seen, or the last event is in its window
// (`streamobs_windowed_events_total`). Broker, reader and engine share the machine: what the broker
// needs for sending is in both. What is quoted is the median over the rounds of the ratio within
// the round. Build: Release.
//
//   bench_kafka BROKERS TOPIC [rounds] [events]
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <librdkafka/rdkafka.h>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "kafka/consumer.h"
#include "kafka/properties.h"
#include "support/engine_process.h"
#include "support/events.h"
#include "support/floors.h"
#include "support/http_load.h"
#include "support/measure.h"
#include "support/scratch.h"
#include "support/service_metrics.h"

namespace {

using namespace streamobs;         // NOLINT: a program of its own.
using namespace streamobs::bench;  // NOLINT

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "%s: nothing of this counts\n", why.c_str());
  std::exit(1);
}

struct ClientDeleter {
  void operator()(rd_kafka_t* client) const { rd_kafka_destroy(client); }
};
using Client = std::unique_ptr<rd_kafka_t, ClientDeleter>;
struct TopicDeleter {
  void operator()(rd_kafka_topic_t* topic) const { rd_kafka_topic_destroy(topic); }
};
using Topic = std::unique_ptr<rd_kafka_topic_t, TopicDeleter>;

Client make_client(rd_kafka_type_t type, rd_kafka_conf_t* conf) {
  char why[512] = {};
  Client client(rd_kafka_new(type, conf, why, sizeof why));
  if (client == nullptr) give_up(why);
  return client;
}

std::int32_t partitions_of(rd_kafka_t* client, rd_kafka_topic_t* topic) {
  const struct rd_kafka_metadata* metadata = nullptr;  // A function bears the same name.
  if (rd_kafka_metadata(client, 0, topic, &metadata, 10'000) != RD_KAFKA_RESP_ERR_NO_ERROR ||
      metadata->topic_cnt != 1 || metadata->topics[0].partition_cnt == 0) {
    give_up("the topic is not there");
  }
  const std::int32_t partitions = metadata->topics[0].partition_cnt;
  rd_kafka_metadata_destroy(metadata);
  return partitions;
}

void fill(const std::string& brokers, const std::string& name, std::size_t events) {
  rd_kafka_conf_t* const conf = rd_kafka_conf_new();
  char why[512] = {};
  rd_kafka_conf_set(conf, "bootstrap.servers", brokers.c_str(), why, sizeof why);
  rd_kafka_conf_set(conf, "linger.ms", "50", why, sizeof why);
  const Client client = make_client(RD_KAFKA_PRODUCER, conf);
  const Topic topic(rd_kafka_topic_new(client.get(), name.c_str(), nullptr));
  const std::int32_t partitions = partitions_of(client.get(), topic.get());
  const std::string text = make_events(events, {50, EventShape::fixed, 42});
  std::size_t count = 0;
  for (std::size_t at = 0; at < text.size(); ++count) {
    const std::size_t end = text.find('\n', at);
    char* const message = const_cast<char*>(text.data() + at);
    while (rd_kafka_produce(topic.get(), static_cast<std::int32_t>(count) % partitions, 0, message,
                            end - at, nullptr, 0, nullptr) != 0) {
      if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL) give_up("cannot produce");
      rd_kafka_poll(client.get(), 10);
    }
    at = end + 1;
  }
  if (rd_kafka_flush(client.get(), 120'000) != RD_KAFKA_RESP_ERR_NO_ERROR || count != events) {
    give_up("the topic could not be filled");
  }
}

struct Spent {
  double wall = 0;
  double cpu = 0;
};

Spent read_bare(const std::string& brokers, const std::string& name, std::size_t events) {
  const double wall = wall_seconds();
  const double cpu = cpu_seconds();
  kafka::ClientOptions options;
  options.brokers = brokers;
  Result<kafka::Conf> conf = kafka::consumer_conf(options);
  if (conf.has_error()) give_up(conf.error().message);
  const Client client = make_client(RD_KAFKA_CONSUMER, conf->release());
  const Topic topic(rd_kafka_topic_new(client.get(), name.c_str(), nullptr));
  const std::int32_t partitions = partitions_of(client.get(), topic.get());
  rd_kafka_queue_t* const queue = rd_kafka_queue_new(client.get());
  for (std::int32_t p = 0; p < partitions; ++p) {
    rd_kafka_consume_start_queue(topic.get(), p, RD_KAFKA_OFFSET_BEGINNING, queue);
  }
  std::vector<rd_kafka_message_t*> batch(1024);
  std::size_t seen = 0;
  unsigned sum = 0;
  while (seen < events) {
    const ssize_t count = rd_kafka_consume_batch_queue(queue, 100, batch.data(), batch.size());
    for (ssize_t i = 0; i < count; ++i) {
      rd_kafka_message_t* const message = batch[static_cast<std::size_t>(i)];
      if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        sum += static_cast<const unsigned char*>(message->payload)[message->len - 1];
        ++seen;
      }
      rd_kafka_message_destroy(message);
    }
    rd_kafka_poll(client.get(), 0);
  }
  const Spent spent{wall_seconds() - wall, cpu_seconds() - cpu};
  if (sum != static_cast<unsigned>('}') * static_cast<unsigned>(events)) give_up("wrong messages");
  for (std::int32_t p = 0; p < partitions; ++p) rd_kafka_consume_stop(topic.get(), p);
  rd_kafka_queue_destroy(queue);
  return spent;
}

std::string config_text(const std::string& brokers, const std::string& topic) {
  return fmt::format(
             "log = {{ level = \"error\" }}\n"
             "wal = {{ checkpoint_every = \"1h\", checkpoint_bytes = \"1GB\" }}\n"
             "[source.requests]\ntype = \"kafka\"\nbrokers = \"{}\"\ntopics = [\"{}\"]\n",
             brokers, topic) +
         service_metrics("size = \"1m\"\nallowed_lateness = \"10m\"");
}

Spent read_by_engine(const std::string& brokers, const std::string& topic, std::size_t events) {
  const ScratchDirectory scratch(".");
  const double wall = wall_seconds();
  EngineProcess engine(config_text(brokers, topic), scratch.path());
  MetricsReader reader(engine.port());
  const auto wanted = static_cast<double>(events);
  while (reader.read().sum("streamobs_windowed_events_total") < wanted) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  const Spent spent{wall_seconds() - wall, seconds(engine.cpu_clock())};
  if (metric(engine.port(), "streamobs_late_events_total") != 0) give_up("events were late");
  return spent;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "bench_kafka BROKERS TOPIC [rounds] [events]; see kafka_bench.py\n");
    return 2;
  }
  const std::string brokers = argv[1];
  const std::string topic = argv[2];
  const int rounds = argc > 3 ? std::atoi(argv[3]) : 7;
  const auto events = static_cast<std::size_t>(argc > 4 ? std::atol(argv[4]) : 3'000'000);
  fill(brokers, topic, events);
  read_bare(brokers, topic, events);  // Warms up the broker.
  std::vector<double> by_wall, by_cpu, bare_rate, engine_rate, bare_ns, engine_ns;
  for (int round = 0; round < rounds; ++round) {
    Spent bare;
    if (round % 2 == 0) bare = read_bare(brokers, topic, events);
    const Spent engine = read_by_engine(brokers, topic, events);
    if (round % 2 == 1) bare = read_bare(brokers, topic, events);
    const auto count = static_cast<double>(events);
    by_wall.push_back(bare.wall / engine.wall);
    by_cpu.push_back(bare.cpu / engine.cpu);
    bare_rate.push_back(count / bare.wall / 1e6);
    engine_rate.push_back(count / engine.wall / 1e6);
    bare_ns.push_back(bare.cpu / count * 1e9);
    engine_ns.push_back(engine.cpu / count * 1e9);
  }
  std::printf("%zu events of 124 bytes, %d rounds\n", events, rounds);
  const char* line = "%-56s %8.2f M events/s by wall, %5.0f ns CPU an event\n";
  std::printf(line, "bare consumer", median(bare_rate), median(bare_ns));
  std::printf(line, "topic into windows", median(engine_rate), median(engine_ns));
  at_least("topic into windows against a bare consumer, by wall", by_wall, 0.6);
  at_least("the same, by CPU", by_cpu, 0);
  return 0;
}

// What the Kafka source sees and tells of itself besides reading: how far its partitions are
// behind, what its brokers are like, what went wrong.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "kafka/statistics.h"
#include "source/kafka_source.h"

namespace streamobs::source {

namespace {

constexpr auto kLookOnEvery = std::chrono::milliseconds(250);
constexpr Duration kAskHeldEvery = kSecond;
constexpr Duration kAskHeldPatience = 100 * kMillisecond;
/// Statistics, one a second, in which a broker was not up, before it is called gone.
constexpr unsigned kMissedMax = 2;

}  // namespace

/// Serves librdkafka also while the engine holds the source back: what it has to say would pile up,
/// and a partition with unread messages would look idle.
asio::awaitable<void> KafkaSource::look_on() {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  asio::steady_timer timer(executor);
  look_timer_ = &timer;
  error_code ignored;
  while (looking_) {
    consumer_->serve();
    if (group_ != nullptr) group_->serve();
    co_await ask_after_held();
    observe();
    timer.expires_after(kLookOnEvery);
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
  look_timer_ = nullptr;
}

/// Nobody fetches what is held, so nobody hears how much more of it there is.
asio::awaitable<void> KafkaSource::ask_after_held() {
  std::vector<kafka::Consumer::TopicPartition> held;
  for (const auto& partition : partitions_) {
    if (partition->held) held.emplace_back(partition->topic, partition->number);
  }
  if (held.empty() || Steady::now() < ask_held_at_) co_return;
  ask_held_at_ = Steady::now() + std::chrono::microseconds(kAskHeldEvery);
  const auto ask = [&] { return consumer_->ends(held, kAskHeldPatience); };
  const auto ends = co_await runtime_.pool.run(ask);
  for (const auto& partition : partitions_) {  // They may have changed meanwhile.
    const auto asked =
        std::find(held.begin(), held.end(), std::pair(partition->topic, partition->number));
    if (asked == held.end()) continue;
    const auto& end = ends[static_cast<std::size_t>(asked - held.begin())];
    if (end) partition->end_asked = *end;
  }
}

/// How far each partition is behind: for people, and so that nobody takes it for idle.
void KafkaSource::observe() {
  std::uint64_t behind = 0;
  std::vector<PartitionProgress> rows;
  for (const auto& partition : partitions_) {
    const std::int64_t reached = std::max(partition->next, partition->end_seen);
    std::optional<std::int64_t> end = consumer_->known_end(partition->topic, partition->number);
    if (end && partition->held) end = std::max(*end, partition->end_asked);
    const std::int64_t lag = end ? std::max<std::int64_t>(0, *end - reached) : 0;
    partition->lag->set(static_cast<double>(lag));
    // One that we hold back is not silent by itself.
    runtime_.sink.set_behind(partition->id, lag > 0 || partition->held);
    if (partition->ahead != nullptr) {
      const Duration ahead = runtime_.sink.ahead(partition->id);
      partition->ahead->set(ahead == kMaxTimestamp ? 0 : static_cast<double>(ahead) / kSecond);
    }
    behind += static_cast<std::uint64_t>(lag);
    PartitionProgress& row = rows.emplace_back();
    row.topic = partition->topic;
    row.partition = partition->number;
    row.next = partition->next;
    if (end) row.lag = lag;
    row.held = partition->held;
    if (partition->ahead != nullptr) {
      row.ahead = static_cast<Duration>(partition->ahead->value() * kSecond);
    }
  }
  progress_.partition_table.set(std::move(rows));
  progress_.messages_behind = behind;
}

/// Once, until something works again; librdkafka goes on trying by itself.
void KafkaSource::say_error(rd_kafka_resp_err_t error, std::string_view text,
                            std::string_view about) {
  progress_.troubles.tell(fmt::format("{}: {}", about, text), kafka::advice_on(error),
                          runtime_.clock.now(), kafka::says(error));
  if (!said_.insert(fmt::format("{} {}", rd_kafka_err2name(error), about)).second) return;
  log::error("Kafka: something is wrong; trying again until it is mended",
             {{"source", setup_.options.name.text},
              {"about", about},
              {"error", text},
              {"advice", kafka::advice_on(error)}});
}

void KafkaSource::take_statistics(std::string_view json) {
  const auto brokers = kafka::brokers_of(json);
  if (!brokers) return;
  const std::string& source = setup_.options.name.text;
  double up = 0;
  double slowest = 0;
  for (const kafka::BrokerState& broker : *brokers) {
    runtime_.metrics
        .gauge("streamobs_kafka_round_trip_seconds", "How long a broker takes to answer, mean.",
               {{"source", source}, {"broker", broker.name}})
        .set(broker.round_trip_seconds);
    up += broker.up ? 1 : 0;
    if (broker.up) slowest = std::max(slowest, broker.round_trip_seconds);
    // One that leads nothing we read is let go for idleness.
    if (!broker.in_use) continue;
    // Twice in a row: the first time it may be connecting.
    unsigned& missed = brokers_missed_[broker.name];
    if (!broker.up && ++missed == kMissedMax) {
      log::warn("Kafka: the broker is gone; waiting for it, nothing is lost",
                {{"source", source}, {"broker", broker.name}});
    } else if (broker.up && std::exchange(missed, 0) >= kMissedMax) {
      log::info("Kafka: the broker is back; going on where reading ended",
                {{"source", source}, {"broker", broker.name}});
      said_.clear();
    }
  }
  runtime_.metrics
      .gauge("streamobs_kafka_brokers_up", "Brokers there is a connection to.",
             {{"source", source}})
      .set(up);
  progress_.brokers_up = static_cast<std::int64_t>(up);
  progress_.round_trip_seconds = slowest;
}

void KafkaSource::count_error(rd_kafka_resp_err_t error) {
  runtime_.metrics
      .counter("streamobs_kafka_errors_total", "What brokers and librdkafka complained of.",
               {{"source", setup_.options.name.text}, {"error", rd_kafka_err2name(error)}})
      .add();
}

void KafkaSource::skip(const char* reason) {
  runtime_.metrics
      .counter("streamobs_kafka_skipped_messages_total",
               "Messages without an event in them: passed over.",
               {{"source", setup_.options.name.text}, {"reason", reason}})
      .add();
}

void KafkaSource::say_missing(const std::vector<kafka::TopicState>& missing) {
  for (const kafka::TopicState& topic : missing) {
    const std::string words =
        KafkaPartitions::is_missing(topic.error) ? "it is not there" : kafka::words_of(topic.error);
    count_error(topic.error);
    say_error(topic.error, words, fmt::format("topic \"{}\"", topic.name));
  }
}

}  // namespace streamobs::source

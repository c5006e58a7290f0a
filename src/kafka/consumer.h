// A Kafka consumer without a group: reads the partitions it is told to, from the offsets it is
// told.
//
// librdkafka joined to the event loop by an eventfd: take() and serve() never block, wait() is a
// coroutine. What blocks says so, and belongs on the blocking pool. No thread of ours. The handlers
// are called within serve(). Lives as long as its source runs; one strand, and while a blocking
// call is under way nobody else touches it, but for ends(), which needs nothing of its own.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <librdkafka/rdkafka.h>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "flow/asio.h"
#include "kafka/options.h"
#include "telemetry/troubles.h"

namespace streamobs::kafka {

struct MessageDeleter {
  void operator()(rd_kafka_message_t* message) const { rd_kafka_message_destroy(message); }
};
using Message = std::unique_ptr<rd_kafka_message_t, MessageDeleter>;

/// The most that one question to the cluster may take: a stop waits for it.
inline constexpr Duration kAskPatience = kSecond;

/// A topic as the cluster has it.
struct TopicState {
  std::string name;
  std::int32_t partitions = 0;
  rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR_NO_ERROR;
};

/// What a partition holds: [first, end).
struct OffsetRange {
  std::int64_t first = 0;
  std::int64_t end = 0;
};

struct Handlers {
  std::function<void(rd_kafka_resp_err_t error, std::string_view text)> on_error;
  std::function<void(std::string_view json)> on_statistics;
};

class Consumer {
 public:
  /// Blocks for a little: it reads certificates and starts librdkafka's threads.
  static Result<std::unique_ptr<Consumer>> make(const ClientOptions& options, Handlers handlers,
                                                const asio::any_io_executor& executor);
  /// Blocks until librdkafka has let go of everything.
  ~Consumer();
  Consumer(const Consumer&) = delete;
  Consumer& operator=(const Consumer&) = delete;

  // Not blocking.

  /// Reads a partition from `offset` on.
  Result<> start(const std::string& topic, std::int32_t partition, std::int64_t offset);
  /// The next messages and what librdkafka says of partitions in their stead (message->err); empty:
  /// none at the moment. At most kTakenMax.
  static constexpr std::size_t kTakenMax = 1024;
  void take(std::vector<Message>& out);
  /// Lets librdkafka call the handlers.
  void serve();
  /// Returns when there may be something to take or serve, or after `patience`.
  asio::awaitable<void> wait(Duration patience);
  /// How often its user wants topics and partitions looked for; librdkafka's
  /// topic.metadata.refresh.interval.ms. None: never.
  std::optional<Duration> refresh_every() const;
  /// Where a partition ended when last heard of; none: not yet.
  std::optional<std::int64_t> known_end(const std::string& topic, std::int32_t partition) const;

  // Blocking, at most `patience` each time the cluster is asked.

  using TopicPartition = std::pair<std::string, std::int32_t>;
  /// Where they end now, in that order; nothing for those that are not to be had. Asking also has
  /// librdkafka look at once whether it has room for more of them: by itself it looks again a
  /// second after it had none, unless it has something else to send to their brokers.
  std::vector<std::optional<std::int64_t>> ends(const std::vector<TopicPartition>& partitions,
                                                Duration patience);

  /// The named topics, with an error for each that is not to be had; or all there are.
  Result<std::vector<TopicState>> topics(const std::vector<std::string>& names, Duration patience);
  Result<std::vector<TopicState>> all_topics(Duration patience);
  Result<OffsetRange> range(const std::string& topic, std::int32_t partition, Duration patience);
  /// Of the first message not older than `time`; the end where there is none.
  Result<std::int64_t> offset_at(const std::string& topic, std::int32_t partition, Timestamp time,
                                 Duration patience);
  /// Ends start().
  void stop(const std::string& topic, std::int32_t partition);

 private:
  struct Wake;
  struct TopicDeleter {
    void operator()(rd_kafka_topic_t* topic) const { rd_kafka_topic_destroy(topic); }
  };

  Consumer(Handlers handlers, const asio::any_io_executor& executor);
  rd_kafka_topic_t* topic(const std::string& name);

  Handlers handlers_;
  rd_kafka_t* client_ = nullptr;
  rd_kafka_queue_t* messages_ = nullptr;  ///< Of all partitions.
  rd_kafka_queue_t* events_ = nullptr;    ///< Errors, statistics, log lines.
  std::map<std::string, std::unique_ptr<rd_kafka_topic_t, TopicDeleter>> topics_;
  std::map<TopicPartition, bool> started_;
  std::shared_ptr<Wake> wake_;
  std::array<rd_kafka_message_t*, kTakenMax> taken_{};
};

/// "Local: Broker transport failure": librdkafka's words.
std::string words_of(rd_kafka_resp_err_t error);
/// What a person can do about it; empty: it is not known, or nothing.
std::string_view advice_on(rd_kafka_resp_err_t error);
/// How much librdkafka's message of such an error says: behind a refused login it tells that all
/// brokers are down, too.
telemetry::Troubles::Says says(rd_kafka_resp_err_t error);

}  // namespace streamobs::kafka

// A Kafka producer: messages out, each delivered once and told of, in transactions where it has a
// transactional id.
//
// No thread of ours, and no event loop: begin() and produce() never block, everything else does, at
// most for the patience it is given. So it belongs on a thread that may block (flow/blocking_pool;
// a coroutine may live there), and whoever waits for deliveries calls serve() again and again. The
// handlers are called within serve(), flush(), commit() and init_transactions(). One thread at a
// time; lives as long as its sink or load runs.
#pragma once

#include <cstdint>
#include <functional>
#include <librdkafka/rdkafka.h>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "kafka/options.h"

namespace streamobs::kafka {

struct ProducerHandlers {
  /// Of each message, in the end: whether it has been delivered (message.err), and where to.
  std::function<void(const rd_kafka_message_t& message)> on_delivery;
  std::function<void(rd_kafka_resp_err_t error, std::string_view text)> on_error;
  std::function<void(std::string_view json)> on_statistics;
};

/// Why a step did not succeed.
struct ProduceFailure {
  rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR_NO_ERROR;
  std::string words;
  /// The same call may be made again, and goes on where it was. Otherwise this producer has come to
  /// its end: what of its transaction was committed is for a new one to find out.
  bool again = false;

  /// Somebody else has the transactional id now, or the brokers have given the transaction up.
  bool fenced() const;
};
/// None: it succeeded.
using Failed = std::optional<ProduceFailure>;

class Producer {
 public:
  static Result<std::unique_ptr<Producer>> make(const ProducerOptions& options,
                                                ProducerHandlers handlers);
  /// Gives up what has not been delivered. Blocks until librdkafka has let go of everything.
  ~Producer();
  Producer(const Producer&) = delete;
  Producer& operator=(const Producer&) = delete;

  static constexpr std::int32_t kAnyPartition = RD_KAFKA_PARTITION_UA;

  /// Copies the message into librdkafka's queue. `again`: the queue is full, serve() makes room.
  /// Without a key (not: with an empty one) messages are spread over the partitions.
  Failed produce(const std::string& topic, std::optional<std::string_view> key,
                 std::string_view value, std::int32_t partition = kAnyPartition);
  /// Messages that nobody has heard of yet.
  std::size_t undelivered() const;
  /// Lets librdkafka call the handlers; returns when it has, or after `patience`.
  void serve(Duration patience);
  /// Waits for what has been produced; true: nothing is undelivered.
  bool flush(Duration patience);

  // Transactions. After a failure that is none for `again`: make a new producer.

  /// Ends what an earlier producer of this transactional id left open, and keeps that one from
  /// going on.
  Failed init_transactions(Duration patience);
  Failed begin();
  /// Delivers what has been produced and commits it.
  Failed commit(Duration patience);

 private:
  struct TopicDeleter {
    void operator()(rd_kafka_topic_t* topic) const { rd_kafka_topic_destroy(topic); }
  };
  explicit Producer(ProducerHandlers handlers) : handlers_(std::move(handlers)) {}

  ProducerHandlers handlers_;
  rd_kafka_t* client_ = nullptr;
  std::map<std::string, std::unique_ptr<rd_kafka_topic_t, TopicDeleter>> topics_;
};

}  // namespace streamobs::kafka

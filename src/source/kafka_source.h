// [source.NAME] of type "kafka": the partitions of topics, each read from the place that our own
// log has for it. Without a group the source reads them all; with one, those that its consumer
// group gives it, each from the place that the group has (kafka_group.h, kafka_source_group.cpp).
//
// One strand, on which everything is done that does not block; what does, on the blocking pool.
// Partitions are found at the start and once a minute (kafka_partitions.h).
// docs/architecture.md tells how places, partitions and time hang together.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "flow/task_group.h"
#include "kafka/consumer.h"
#include "source/kafka_group.h"
#include "source/kafka_partitions.h"
#include "source/message_block.h"
#include "source/message_fields.h"
#include "source/source.h"

namespace streamobs::source {

class KafkaSource final : public Source {
 public:
  KafkaSource(SourceSetup setup, SourceRuntime runtime);
  asio::awaitable<Result<>> run() override;

 private:
  struct Partition {
    explicit Partition(MessageBlock empty) : block(std::move(empty)) {}
    std::string topic;
    std::int32_t number = 0;     ///< Within the topic.
    std::uint32_t id = 0;        ///< Within the source.
    std::string name;            ///< "TOPIC/NUMBER": in places, dead letters, messages.
    std::int64_t next = 0;       ///< Offset of the next message to come.
    std::int64_t end_seen = 0;   ///< Everything before it has been read, or is no message.
    bool held = false;           ///< Not read: it is too far ahead of the others.
    std::int64_t end_asked = 0;  ///< Where it ended, while it was held.
    bool pushed = false;         ///< Something, in this round.
    std::int64_t end = 0;        ///< Offset behind what was pushed of it last.
    MessageBlock block;
    telemetry::Gauge* lag = nullptr;
    telemetry::Gauge* ahead = nullptr;  ///< Null without max_skew.
  };
  /// How to go on after something that was taken.
  enum class Next { go_on, end };
  using Steady = std::chrono::steady_clock;

  asio::awaitable<Result<>> read();
  asio::awaitable<Result<Next>> look_for_partitions();
  void say_missing(const std::vector<kafka::TopicState>& missing);
  std::vector<PartitionPlace> places_of(const std::vector<KafkaPartitions::Partition>& partitions);
  Result<> begin(std::vector<KafkaPartitions::Partition> partitions);
  std::unique_ptr<Partition> make_partition(KafkaPartitions::Partition found);

  // With a group: what is read goes by rounds. What a round has pushed is proposed, committed and
  // decided on as a whole before the next begins.
  asio::awaitable<Result<Next>> join_group();
  asio::awaitable<Result<Next>> follow_group();
  asio::awaitable<Result<Next>> take_over(kafka::GroupEvent event);
  asio::awaitable<Result<bool>> find_places(std::vector<KafkaPartitions::Partition>& partitions);
  asio::awaitable<Result<Next>> give_up(bool lost);
  asio::awaitable<Result<Next>> end_round();
  asio::awaitable<bool> leave_others(const std::vector<KafkaPartitions::Partition>& given);
  asio::awaitable<void> forget_partitions();
  bool round_is_full() const;
  telemetry::Gauge& group_metric(const char* name, const char* help);

  asio::awaitable<void> wait_for_messages();
  asio::awaitable<void> rouse(std::vector<kafka::Consumer::TopicPartition> partitions);
  asio::awaitable<void> ask_after_held();
  asio::awaitable<void> look_on();
  asio::awaitable<Result<>> keep_together();
  asio::awaitable<Result<Next>> take_all();
  asio::awaitable<Result<Next>> take(const kafka::Message& message);
  asio::awaitable<Result<Next>> take_error(Partition& partition, rd_kafka_resp_err_t error);
  asio::awaitable<Result<Next>> cross_gap(Partition& partition);
  asio::awaitable<bool> flush(Partition& partition);
  asio::awaitable<bool> flush_all();
  Partition* partition_of(const rd_kafka_message_t& message);

  void observe();
  void say_error(rd_kafka_resp_err_t error, std::string_view text, std::string_view about);
  void take_statistics(std::string_view json);
  void count_error(rd_kafka_resp_err_t error);
  void skip(const char* reason);

  BufferPool buffers_;
  MessageFields fields_;
  std::unique_ptr<kafka::Consumer> consumer_;
  std::vector<std::unique_ptr<Partition>> partitions_;
  KafkaPartitions finder_;
  std::unique_ptr<KafkaGroup> group_;  ///< Null: the source reads all partitions.
  std::set<std::uint32_t> had_;        ///< Partitions, with a group, at any time.
  std::size_t round_bytes_ = 0;
  std::size_t round_blocks_ = 0;
  /// Set: the group has refused a commit, so nothing is read until it has us join again.
  std::optional<Steady::time_point> refused_at_;
  std::size_t gathered_bytes_ = 0;
  std::vector<kafka::Message> taken_;
  Partition* last_ = nullptr;  ///< Of the last message.
  const rd_kafka_topic_t* last_topic_ = nullptr;

  Steady::time_point look_at_;  ///< When to look for partitions again.
  std::set<std::string> said_;  ///< Errors that have been told and not yet been got over.
  std::map<std::string, unsigned> brokers_missed_;  ///< In how many statistics, in a row.
  telemetry::Counter& messages_;
  flow::TaskGroup tasks_;  ///< look_on(), and rouse() now and then.
  bool rousing_ = false;
  Steady::time_point ask_held_at_;  ///< The next time.
  Steady::time_point taken_at_;     ///< When something came last.
  Steady::time_point rouse_at_;     ///< Not before.
  bool looking_ = true;
  asio::steady_timer* look_timer_ = nullptr;  ///< While it runs.
};

}  // namespace streamobs::source

#include "kafka/admin.h"

#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "kafka/consumer.h"
#include "kafka/properties.h"

namespace streamobs::kafka {

namespace {

using SteadyClock = std::chrono::steady_clock;

int milliseconds(Duration duration) {
  return static_cast<int>(duration / kMillisecond);
}

/// A deleter for each of librdkafka's types.
template <auto destroy>
struct Destroyed {
  template <class T>
  void operator()(T* object) const {
    destroy(object);
  }
};
using NewTopic = std::unique_ptr<rd_kafka_NewTopic_t, Destroyed<rd_kafka_NewTopic_destroy>>;
using Queue = std::unique_ptr<rd_kafka_queue_t, Destroyed<rd_kafka_queue_destroy>>;
using Event = std::unique_ptr<rd_kafka_event_t, Destroyed<rd_kafka_event_destroy>>;
using AdminOptions =
    std::unique_ptr<rd_kafka_AdminOptions_t, Destroyed<rd_kafka_AdminOptions_destroy>>;
using TopicHandle = std::unique_ptr<rd_kafka_topic_t, Destroyed<rd_kafka_topic_destroy>>;
using Client = std::unique_ptr<rd_kafka_t, Destroyed<rd_kafka_destroy>>;
/// A function bears the same name.
using MetadataFacts = const struct rd_kafka_metadata;
using Metadata = std::unique_ptr<MetadataFacts, Destroyed<rd_kafka_metadata_destroy>>;

void forward_log(const rd_kafka_t*, int, const char* facility, const char* text) {
  log::debug("librdkafka", {{"facility", facility}, {"text", text}});
}

Result<rd_kafka_t*> make_client(rd_kafka_type_t type, Result<Conf> conf) {
  if (conf.has_error()) return conf.error();
  rd_kafka_conf_set_log_cb(conf->get(), forward_log);
  char why[512] = {};
  rd_kafka_t* const client = rd_kafka_new(type, conf->get(), why, sizeof why);
  if (client == nullptr) {
    return fail(ErrorCode::invalid, fmt::format("Kafka: no client can be made: {}", why));
  }
  [[maybe_unused]] rd_kafka_conf_t* const taken_over = conf->release();
  rd_kafka_set_log_queue(client, nullptr);
  return client;
}

Error unavailable(std::string_view doing, std::string_view why) {
  return fail(ErrorCode::unavailable, fmt::format("{}: {}", doing, why));
}

Result<NewTopic> new_topic(const TopicOptions& topic) {
  char why[512] = {};
  NewTopic made(rd_kafka_NewTopic_new(topic.name.text.c_str(), topic.partitions, topic.replication,
                                      why, sizeof why));
  if (made == nullptr) {
    return fail(ErrorCode::invalid, fmt::format("topic {}: {}", topic.name.text, why));
  }
  if (topic.retention != 0) {
    rd_kafka_NewTopic_set_config(made.get(), "retention.ms",
                                 std::to_string(topic.retention / kMillisecond).c_str());
  }
  if (topic.cleanup == Cleanup::compact) {
    // In small segments, soon: what is superseded is read by whoever looks for the newest.
    const std::pair<const char*, const char*> settings[] = {{"cleanup.policy", "compact"},
                                                            {"segment.bytes", "1048576"},
                                                            {"segment.ms", "600000"},
                                                            {"min.cleanable.dirty.ratio", "0.1"}};
    for (const auto& [name, value] : settings) {
      rd_kafka_NewTopic_set_config(made.get(), name, value);
    }
  }
  return made;
}

}  // namespace

Result<Admin> Admin::make(const ClientOptions& options) {
  ProducerOptions producer;
  producer.client = options;
  Result<Conf> conf = producer_conf(producer);
  auto complaint = std::make_unique<Complaint>();
  if (conf.has_value()) {
    rd_kafka_conf_set_error_cb(conf->get(), on_error);
    rd_kafka_conf_set_opaque(conf->get(), complaint.get());
  }
  const Result<rd_kafka_t*> client = make_client(RD_KAFKA_PRODUCER, std::move(conf));
  if (client.has_error()) return client.error();
  return Admin(options.brokers.text, *client, std::move(complaint));
}

void Admin::on_error(rd_kafka_t*, int error, const char* text, void* complaint) {
  auto& known = *static_cast<Complaint*>(complaint);
  const auto code = static_cast<rd_kafka_resp_err_t>(error);
  if (known.error != RD_KAFKA_RESP_ERR_NO_ERROR && says(code) < says(known.error)) return;
  known.error = code;
  known.text = text;
}

/// What librdkafka has heard of the brokers says why; what it answers, often only that time is
/// over.
Error Admin::unavailable(std::string_view doing, rd_kafka_resp_err_t error,
                         std::string_view words) {
  rd_kafka_poll(client_.get(), 0);
  const bool told =
      complaint_->error != RD_KAFKA_RESP_ERR_NO_ERROR && says(complaint_->error) >= says(error);
  advice_ = advice_on(told ? complaint_->error : error);
  return kafka::unavailable(fmt::format("{} ({})", doing, brokers_),
                            told ? std::string_view(complaint_->text) : words);
}

Result<std::optional<TopicFound>> Admin::find(const std::string& topic, Duration patience) {
  // Asked for all of them: asking for one may make it, where brokers make topics by themselves.
  MetadataFacts* facts = nullptr;
  const auto error = rd_kafka_metadata(client_.get(), 1, nullptr, &facts, milliseconds(patience));
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return unavailable("the brokers cannot be asked for their topics", error, words_of(error));
  }
  const Metadata owned(facts);
  for (int i = 0; i < facts->topic_cnt; ++i) {
    const rd_kafka_metadata_topic& found = facts->topics[i];
    if (topic != found.topic) continue;
    if (found.err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return unavailable(fmt::format("the brokers do not tell of the topic {}", topic), found.err,
                         words_of(found.err));
    }
    const int replicas = found.partition_cnt == 0 ? 0 : found.partitions[0].replica_cnt;
    return TopicFound{topic, found.partition_cnt, replicas};
  }
  return std::optional<TopicFound>();
}

Result<bool> Admin::create(const TopicOptions& topic, Duration patience) {
  const Result<NewTopic> wanted = new_topic(topic);
  if (wanted.has_error()) return wanted.error();
  const Queue queue(rd_kafka_queue_new(client_.get()));
  const AdminOptions options(
      rd_kafka_AdminOptions_new(client_.get(), RD_KAFKA_ADMIN_OP_CREATETOPICS));
  char why[512] = {};
  rd_kafka_AdminOptions_set_request_timeout(options.get(), milliseconds(patience), why, sizeof why);
  rd_kafka_NewTopic_t* const one = wanted->get();
  rd_kafka_NewTopic_t* topics[] = {one};
  rd_kafka_CreateTopics(client_.get(), topics, 1, options.get(), queue.get());
  const Event event(rd_kafka_queue_poll(queue.get(), milliseconds(patience + kSecond)));
  const std::string doing = fmt::format("topic {} cannot be made", topic.name.text);
  if (event == nullptr) {
    return unavailable(doing, RD_KAFKA_RESP_ERR__TIMED_OUT, "the brokers do not answer");
  }
  if (const auto failed = rd_kafka_event_error(event.get()); failed != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return unavailable(doing, failed, rd_kafka_event_error_string(event.get()));
  }
  std::size_t count = 0;
  const rd_kafka_topic_result_t* const* const results =
      rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event.get()), &count);
  const auto error = rd_kafka_topic_result_error(results[0]);
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return true;
  if (error == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) return false;
  const char* const said = rd_kafka_topic_result_error_string(results[0]);
  return fail(ErrorCode::invalid,
              fmt::format("{}: {}", doing, said != nullptr ? said : words_of(error)));
}

Result<std::optional<std::string>> newest_of(const ClientOptions& options, const std::string& topic,
                                             std::string_view key, Duration patience,
                                             const std::function<bool()>& stopping) {
  const std::string doing = fmt::format("topic {} cannot be read", topic);
  const Result<rd_kafka_t*> made = make_client(RD_KAFKA_CONSUMER, consumer_conf(options));
  if (made.has_error()) return made.error();
  const Client client(*made);
  const TopicHandle handle(rd_kafka_topic_new(client.get(), topic.c_str(), nullptr));
  if (rd_kafka_consume_start(handle.get(), 0, RD_KAFKA_OFFSET_BEGINNING) != 0) {
    return unavailable(doing, words_of(rd_kafka_last_error()));
  }
  const auto until = SteadyClock::now() + std::chrono::microseconds(patience);
  Result<std::optional<std::string>> newest = unavailable(doing, "its end was not reached in time");
  std::optional<std::string> found;
  while (SteadyClock::now() < until && !stopping()) {
    rd_kafka_poll(client.get(), 0);
    const Message message(rd_kafka_consume(handle.get(), 0, 100));
    if (message == nullptr) continue;
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
      // Of what is committed. The end of all there is may lie behind somebody's open transaction,
      // and behind that what we look for.
      std::int64_t first = 0;
      std::int64_t end = 0;
      rd_kafka_get_watermark_offsets(client.get(), topic.c_str(), 0, &first, &end);
      if (message->offset < end) continue;
      newest = found;
      break;
    }
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      newest = unavailable(doing, words_of(message->err));
      break;
    }
    if (key == std::string_view(static_cast<const char*>(message->key), message->key_len)) {
      // Without a value it says that what was there has been removed.
      found.reset();
      if (message->payload != nullptr) {
        found.emplace(static_cast<const char*>(message->payload), message->len);
      }
    }
  }
  rd_kafka_consume_stop(handle.get(), 0);
  return newest;
}

}  // namespace streamobs::kafka

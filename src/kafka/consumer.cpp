#include "kafka/consumer.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <sys/eventfd.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <fmt/format.h>

#include "base/log.h"
#include "kafka/properties.h"

namespace streamobs::kafka {

namespace {

/// An eventfd takes eight bytes, no fewer.
constexpr std::uint64_t kOne = 1;

int milliseconds(Duration duration) {
  return static_cast<int>(duration / kMillisecond);
}

Error failed(const char* what, rd_kafka_resp_err_t error) {
  return fail(ErrorCode::unavailable, fmt::format("{}: {}", what, words_of(error)));
}

void forward_log(const rd_kafka_t*, int, const char* facility, const char* text) {
  // Once a second while a broker is away, and said in better words by whoever owns the consumer.
  log::debug("librdkafka", {{"facility", facility}, {"text", text}});
}

/// A function bears the same name.
using MetadataFacts = const struct rd_kafka_metadata;

struct MetadataDeleter {
  void operator()(MetadataFacts* metadata) const { rd_kafka_metadata_destroy(metadata); }
};
using Metadata = std::unique_ptr<MetadataFacts, MetadataDeleter>;

void add_topics(const MetadataFacts& metadata, std::vector<TopicState>& out) {
  for (int i = 0; i < metadata.topic_cnt; ++i) {
    const rd_kafka_metadata_topic& topic = metadata.topics[i];
    out.push_back({topic.topic, topic.partition_cnt, topic.err});
  }
}

struct PartitionListDeleter {
  void operator()(rd_kafka_topic_partition_list_t* list) const {
    rd_kafka_topic_partition_list_destroy(list);
  }
};
using PartitionList = std::unique_ptr<rd_kafka_topic_partition_list_t, PartitionListDeleter>;

}  // namespace

/// The eventfd, and the timer that rings it. Shared with the timer's handler, which may run last.
struct Consumer::Wake {
  explicit Wake(const asio::any_io_executor& executor)
      : fd(executor, ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)), timer(executor) {}
  void ring() {
    // Full is rung.
    [[maybe_unused]] const ssize_t written = ::write(fd.native_handle(), &kOne, sizeof kOne);
  }
  void silence() {
    std::uint64_t count = 0;
    [[maybe_unused]] const ssize_t got = ::read(fd.native_handle(), &count, sizeof count);
  }
  boost::asio::posix::basic_stream_descriptor<asio::any_io_executor> fd;
  asio::steady_timer timer;
};

Consumer::Consumer(Handlers handlers, const asio::any_io_executor& executor)
    : handlers_(std::move(handlers)), wake_(std::make_shared<Wake>(executor)) {}

Result<std::unique_ptr<Consumer>> Consumer::make(const ClientOptions& options, Handlers handlers,
                                                 const asio::any_io_executor& executor) {
  Result<Conf> conf = consumer_conf(options);
  if (conf.has_error()) return conf.error();
  std::unique_ptr<Consumer> consumer(new Consumer(std::move(handlers), executor));
  rd_kafka_conf_set_opaque(conf->get(), consumer.get());
  rd_kafka_conf_set_log_cb(conf->get(), forward_log);
  rd_kafka_conf_set_error_cb(conf->get(),
                             [](rd_kafka_t*, int error, const char* text, void* opaque) {
                               const Handlers& to = static_cast<Consumer*>(opaque)->handlers_;
                               if (to.on_error)
                                 to.on_error(static_cast<rd_kafka_resp_err_t>(error), text);
                             });
  rd_kafka_conf_set_stats_cb(conf->get(),
                             [](rd_kafka_t*, char* json, std::size_t size, void* opaque) {
                               const Handlers& to = static_cast<Consumer*>(opaque)->handlers_;
                               if (to.on_statistics) to.on_statistics({json, size});
                               return 0;  // librdkafka frees it.
                             });
  char why[512] = {};
  consumer->client_ = rd_kafka_new(RD_KAFKA_CONSUMER, conf->get(), why, sizeof why);
  if (consumer->client_ == nullptr) {
    return fail(ErrorCode::invalid, fmt::format("Kafka: no client can be made: {}", why));
  }
  [[maybe_unused]] rd_kafka_conf_t* const taken_over = conf->release();
  rd_kafka_set_log_queue(consumer->client_, nullptr);  // To the events.
  consumer->messages_ = rd_kafka_queue_new(consumer->client_);
  consumer->events_ = rd_kafka_queue_get_main(consumer->client_);
  const int fd = consumer->wake_->fd.native_handle();
  rd_kafka_queue_io_event_enable(consumer->messages_, fd, &kOne, sizeof kOne);
  rd_kafka_queue_io_event_enable(consumer->events_, fd, &kOne, sizeof kOne);
  return consumer;
}

Consumer::~Consumer() {
  if (client_ == nullptr) return;
  for (const auto& [partition, on] : started_) {
    if (on) rd_kafka_consume_stop(topic(partition.first), partition.second);
  }
  rd_kafka_queue_io_event_enable(messages_, -1, nullptr, 0);
  rd_kafka_queue_io_event_enable(events_, -1, nullptr, 0);
  rd_kafka_queue_destroy(messages_);
  rd_kafka_queue_destroy(events_);
  topics_.clear();
  rd_kafka_destroy(client_);
}

rd_kafka_topic_t* Consumer::topic(const std::string& name) {
  auto& known = topics_[name];
  if (known == nullptr) known.reset(rd_kafka_topic_new(client_, name.c_str(), nullptr));
  return known.get();
}

Result<> Consumer::start(const std::string& name, std::int32_t partition, std::int64_t offset) {
  rd_kafka_topic_t* const handle = topic(name);
  if (handle == nullptr ||
      rd_kafka_consume_start_queue(handle, partition, offset, messages_) != 0) {
    return failed(fmt::format("topic {}, partition {}", name, partition).c_str(),
                  rd_kafka_last_error());
  }
  started_[{name, partition}] = true;
  return {};
}

void Consumer::stop(const std::string& name, std::int32_t partition) {
  if (!std::exchange(started_[{name, partition}], false)) return;
  rd_kafka_consume_stop(topic(name), partition);
}

void Consumer::take(std::vector<Message>& out) {
  const ssize_t count = rd_kafka_consume_batch_queue(messages_, 0, taken_.data(), taken_.size());
  for (ssize_t i = 0; i < count; ++i) out.emplace_back(taken_[static_cast<std::size_t>(i)]);
}

void Consumer::serve() {
  rd_kafka_poll(client_, 0);
}

asio::awaitable<void> Consumer::wait(Duration patience) {
  // Being driven by events alone loses some of them (style.md): the timer has us look anyway.
  wake_->timer.expires_after(std::chrono::microseconds(patience));
  wake_->timer.async_wait([wake = wake_](error_code error) {
    if (!error) wake->ring();
  });
  error_code ignored;
  co_await wake_->fd.async_wait(boost::asio::posix::descriptor_base::wait_read,
                                asio::redirect_error(asio::use_awaitable, ignored));
  wake_->timer.cancel();
  wake_->silence();
}

std::optional<Duration> Consumer::refresh_every() const {
  char text[32] = {};
  std::size_t size = sizeof text;
  const auto got =
      rd_kafka_conf_get(rd_kafka_conf(client_), "topic.metadata.refresh.interval.ms", text, &size);
  const std::int64_t every_ms = got == RD_KAFKA_CONF_OK ? std::atoll(text) : -1;
  if (every_ms < 0) return std::nullopt;
  return every_ms * kMillisecond;
}

std::optional<std::int64_t> Consumer::known_end(const std::string& name,
                                                std::int32_t partition) const {
  std::int64_t first = 0;
  std::int64_t end = 0;
  const auto error = rd_kafka_get_watermark_offsets(client_, name.c_str(), partition, &first, &end);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR || end < 0) return std::nullopt;
  return end;
}

Result<std::vector<TopicState>> Consumer::topics(const std::vector<std::string>& names,
                                                 Duration patience) {
  std::vector<TopicState> found;
  for (const std::string& name : names) {
    MetadataFacts* metadata = nullptr;
    const auto error =
        rd_kafka_metadata(client_, 0, topic(name), &metadata, milliseconds(patience));
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) return failed("the topics cannot be asked for", error);
    const Metadata owned(metadata);
    add_topics(*metadata, found);
  }
  return found;
}

Result<std::vector<TopicState>> Consumer::all_topics(Duration patience) {
  std::vector<TopicState> found;
  MetadataFacts* metadata = nullptr;
  const auto error = rd_kafka_metadata(client_, 1, nullptr, &metadata, milliseconds(patience));
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) return failed("the topics cannot be asked for", error);
  const Metadata owned(metadata);
  add_topics(*metadata, found);
  return found;
}

Result<OffsetRange> Consumer::range(const std::string& name, std::int32_t partition,
                                    Duration patience) {
  OffsetRange range;
  const auto error = rd_kafka_query_watermark_offsets(
      client_, name.c_str(), partition, &range.first, &range.end, milliseconds(patience));
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return failed(
        fmt::format("topic {}, partition {}: its offsets cannot be asked for", name, partition)
            .c_str(),
        error);
  }
  return range;
}

Result<std::int64_t> Consumer::offset_at(const std::string& name, std::int32_t partition,
                                         Timestamp time, Duration patience) {
  const PartitionList list(rd_kafka_topic_partition_list_new(1));
  rd_kafka_topic_partition_t* const asked =
      rd_kafka_topic_partition_list_add(list.get(), name.c_str(), partition);
  asked->offset = time / kMillisecond;
  auto error = rd_kafka_offsets_for_times(client_, list.get(), milliseconds(patience));
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) error = asked->err;
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return failed(
        fmt::format("topic {}, partition {}: its times cannot be asked for", name, partition)
            .c_str(),
        error);
  }
  if (asked->offset >= 0) return asked->offset;
  const Result<OffsetRange> all = range(name, partition, patience);
  if (all.has_error()) return all.error();
  return all->end;
}

std::vector<std::optional<std::int64_t>> Consumer::ends(
    const std::vector<TopicPartition>& partitions, Duration patience) {
  const PartitionList list(rd_kafka_topic_partition_list_new(static_cast<int>(partitions.size())));
  for (const auto& [name, partition] : partitions) {
    rd_kafka_topic_partition_list_add(list.get(), name.c_str(), partition)->offset =
        RD_KAFKA_OFFSET_END;
  }
  const auto error = rd_kafka_offsets_for_times(client_, list.get(), milliseconds(patience));
  std::vector<std::optional<std::int64_t>> ends(partitions.size());
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) return ends;
  for (std::size_t i = 0; i < ends.size(); ++i) {  // The list keeps its order.
    const rd_kafka_topic_partition_t& found = list->elems[i];
    if (found.err == RD_KAFKA_RESP_ERR_NO_ERROR && found.offset >= 0) ends[i] = found.offset;
  }
  return ends;
}

std::string words_of(rd_kafka_resp_err_t error) {
  return rd_kafka_err2str(error);
}

std::string_view advice_on(rd_kafka_resp_err_t error) {
  switch (error) {
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM:
      return "check \"security.protocol\", \"sasl.mechanism\", \"sasl.username\" and "
             "\"sasl.password\" in options, and the user on the broker";
    case RD_KAFKA_RESP_ERR__SSL:
      return "check \"security.protocol\" and \"ssl.ca.location\" in options, and that "
             "the broker's port speaks TLS";
    case RD_KAFKA_RESP_ERR__RESOLVE:
      return "check the host names in brokers, and those the brokers advertise";
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
      return "the user needs the rights Describe and Read on the topic";
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
      return "the user needs the right Read on the consumer group";
    case RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE:
      return "set offset.metadata.max.bytes on the brokers to 4096 (their default) or more";
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
      return "make the topic (streamobs kafka topics --create), or correct its name in the config";
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
      return "are the brokers up, are brokers in the config and the addresses they advertise "
             "right, "
             "and is \"security.protocol\" in options what their port speaks?";
    default:
      return {};
  }
}

telemetry::Troubles::Says says(rd_kafka_resp_err_t error) {
  using Says = telemetry::Troubles::Says;
  switch (error) {
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
      return Says::that;
    case RD_KAFKA_RESP_ERR__TRANSPORT:
      return Says::where;
    default:
      return Says::why;
  }
}

}  // namespace streamobs::kafka

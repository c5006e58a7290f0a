#include "kafka/producer.h"

#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "kafka/properties.h"

namespace streamobs::kafka {

namespace {

int milliseconds(Duration duration) {
  return static_cast<int>(duration / kMillisecond);
}

struct ErrorDeleter {
  void operator()(rd_kafka_error_t* error) const { rd_kafka_error_destroy(error); }
};

/// Takes the error over.
Failed failure_of(rd_kafka_error_t* error) {
  if (error == nullptr) return std::nullopt;
  const std::unique_ptr<rd_kafka_error_t, ErrorDeleter> owned(error);
  return ProduceFailure{rd_kafka_error_code(error), rd_kafka_error_string(error),
                        rd_kafka_error_is_retriable(error) != 0};
}

void forward_log(const rd_kafka_t*, int, const char* facility, const char* text) {
  log::debug("librdkafka", {{"facility", facility}, {"text", text}});
}

}  // namespace

bool ProduceFailure::fenced() const {
  return error == RD_KAFKA_RESP_ERR__FENCED || error == RD_KAFKA_RESP_ERR_PRODUCER_FENCED ||
         error == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH;
}

Result<std::unique_ptr<Producer>> Producer::make(const ProducerOptions& options,
                                                 ProducerHandlers handlers) {
  Result<Conf> conf = producer_conf(options);
  if (conf.has_error()) return conf.error();
  std::unique_ptr<Producer> producer(new Producer(std::move(handlers)));
  rd_kafka_conf_set_opaque(conf->get(), producer.get());
  rd_kafka_conf_set_log_cb(conf->get(), forward_log);
  rd_kafka_conf_set_dr_msg_cb(
      conf->get(), [](rd_kafka_t*, const rd_kafka_message_t* message, void* opaque) {
        const ProducerHandlers& to = static_cast<Producer*>(opaque)->handlers_;
        if (to.on_delivery) to.on_delivery(*message);
      });
  rd_kafka_conf_set_error_cb(
      conf->get(), [](rd_kafka_t*, int error, const char* text, void* opaque) {
        const ProducerHandlers& to = static_cast<Producer*>(opaque)->handlers_;
        if (to.on_error) to.on_error(static_cast<rd_kafka_resp_err_t>(error), text);
      });
  rd_kafka_conf_set_stats_cb(
      conf->get(), [](rd_kafka_t*, char* json, std::size_t size, void* opaque) {
        const ProducerHandlers& to = static_cast<Producer*>(opaque)->handlers_;
        if (to.on_statistics) to.on_statistics({json, size});
        return 0;  // librdkafka frees it.
      });
  char why[512] = {};
  producer->client_ = rd_kafka_new(RD_KAFKA_PRODUCER, conf->get(), why, sizeof why);
  if (producer->client_ == nullptr) {
    return fail(ErrorCode::invalid, fmt::format("Kafka: no producer can be made: {}", why));
  }
  [[maybe_unused]] rd_kafka_conf_t* const taken_over = conf->release();
  rd_kafka_set_log_queue(producer->client_, nullptr);  // To what serve() serves.
  return producer;
}

Producer::~Producer() {
  if (client_ == nullptr) return;
  rd_kafka_purge(client_, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
  topics_.clear();
  rd_kafka_destroy(client_);
}

Failed Producer::produce(const std::string& topic, std::optional<std::string_view> key,
                         std::string_view value, std::int32_t partition) {
  auto& known = topics_[topic];
  if (known == nullptr) known.reset(rd_kafka_topic_new(client_, topic.c_str(), nullptr));
  // librdkafka takes a null pointer for "no key", and copies before it returns.
  const char* const key_bytes = !key ? nullptr : key->empty() ? "" : key->data();
  const int done =
      rd_kafka_produce(known.get(), partition, RD_KAFKA_MSG_F_COPY, const_cast<char*>(value.data()),
                       value.size(), key_bytes, key ? key->size() : 0, nullptr);
  if (done == 0) return std::nullopt;
  const rd_kafka_resp_err_t error = rd_kafka_last_error();
  return ProduceFailure{error, rd_kafka_err2str(error), error == RD_KAFKA_RESP_ERR__QUEUE_FULL};
}

std::size_t Producer::undelivered() const {
  return static_cast<std::size_t>(rd_kafka_outq_len(client_));
}

void Producer::serve(Duration patience) {
  rd_kafka_poll(client_, milliseconds(patience));
}

bool Producer::flush(Duration patience) {
  return rd_kafka_flush(client_, milliseconds(patience)) == RD_KAFKA_RESP_ERR_NO_ERROR;
}

Failed Producer::init_transactions(Duration patience) {
  Failed failed = failure_of(rd_kafka_init_transactions(client_, milliseconds(patience)));
  serve(0);
  return failed;
}

Failed Producer::begin() {
  return failure_of(rd_kafka_begin_transaction(client_));
}

Failed Producer::commit(Duration patience) {
  Failed failed = failure_of(rd_kafka_commit_transaction(client_, milliseconds(patience)));
  serve(0);
  return failed;
}

}  // namespace streamobs::kafka

#include "sink/kafka_sink.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <simdjson.h>

#include "base/failpoint.h"
#include "base/json_writer.h"
#include "base/log.h"
#include "kafka/admin.h"
#include "kafka/consumer.h"
#include "kafka/statistics.h"

namespace streamobs::sink {

namespace {

using store::OutboxPlace;
using store::OutboxRow;

/// Of one transaction.
constexpr std::size_t kRowsMax = 2'000;
constexpr std::size_t kBytesMax = std::size_t{4} << 20;
/// The most that one call to librdkafka may take: a stop waits for it.
constexpr Duration kPatience = 2 * kSecond;
/// As long as somebody's transaction may hang in the topic of markers, and a little.
constexpr Duration kMarkerPatience = 90 * kSecond;
constexpr Duration kRetryFirst = 200 * kMillisecond;
constexpr Duration kRetryLongest = 10 * kSecond;
/// librdkafka wants to be looked at now and then.
constexpr Duration kIdle = kSecond;

constexpr std::string_view kStates[] = {"connecting", "delivering", "waiting",
                                        "retrying",   "stopped",    "ended"};

}  // namespace

std::string_view to_text(KafkaSink::State state) {
  return kStates[static_cast<std::size_t>(state)];
}

KafkaSink::KafkaSink(SinkOptions options, Origin origin, store::Database& database,
                     asio::any_io_executor executor, telemetry::Registry& metrics)
    : options_(std::move(options)),
      origin_(origin),
      database_(database),
      executor_(std::move(executor)),
      metrics_(metrics),
      sent_(metrics.counter("streamobs_sink_sent_total", "Results delivered by a sink.",
                            {{"sink", options_.name.text}})),
      refused_(metrics.counter("streamobs_sink_refused_total",
                               "Results that are too large for a message: passed over.",
                               {{"sink", options_.name.text}})),
      seconds_(metrics.histogram("streamobs_sink_transaction_seconds",
                                 "Time of one transaction, from its begin to its commit.",
                                 telemetry::latency_bounds(), {{"sink", options_.name.text}})),
      brokers_up_(metrics.gauge("streamobs_sink_brokers_up", "Brokers there is a connection to.",
                                {{"sink", options_.name.text}})) {}

KafkaSink::~KafkaSink() = default;

asio::awaitable<void> KafkaSink::run() {
  asio::steady_timer timer(executor_);
  timer_ = &timer;
  Duration pause = kRetryFirst;
  bool stopped = false;
  while (true) {
    notified_.store(false);
    const bool delivering = marker_read_;
    const Step step = stopped ? Step::stop : delivering ? deliver() : connect();
    if (finishing_.load() && (step != Step::more || gave_up())) break;
    if (step == Step::more) {
      // To have connected is not to have got over what delivering fails for.
      if (delivering) pause = kRetryFirst;
      co_await sleep(timer, 0, false);
    } else if (step == Step::nothing) {
      state_ = State::waiting;
      co_await sleep(timer, kIdle, true);
    } else if (step == Step::again) {
      state_ = State::retrying;
      co_await sleep(timer, pause, false);
      pause = std::min(pause * 2, kRetryLongest);
    } else {
      stopped = true;
      state_ = State::stopped;
      co_await sleep(timer, kMinute, false);
    }
  }
  drop_producer();
  state_ = State::ended;
  timer_ = nullptr;
}

/// Also cut short by finish().
asio::awaitable<void> KafkaSink::sleep(asio::steady_timer& timer, Duration duration,
                                       bool until_notified) {
  const auto until = Steady::now() + std::chrono::microseconds(duration);
  error_code ignored;
  do {
    if (finishing_.load() || (until_notified && notified_.load())) co_return;
    timer.expires_at(until);
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  } while (Steady::now() < until);
}

void KafkaSink::wake() {
  asio::post(executor_, [this] {
    if (timer_ != nullptr) timer_->cancel();
  });
}

void KafkaSink::notify() {
  if (!notified_.exchange(true)) wake();
}

void KafkaSink::finish(Duration patience) {
  const auto until = Steady::now() + std::chrono::microseconds(patience);
  finish_by_ = until.time_since_epoch().count();
  finishing_ = true;
  wake();
}

bool KafkaSink::gave_up() const {
  return finishing_.load() && Steady::now().time_since_epoch().count() >= finish_by_.load();
}

KafkaSink::Step KafkaSink::connect() {
  if (!topics_found_) {
    const Step found = find_topics();
    if (found != Step::more) return found;
  }
  const Step made = make_producer();
  if (made != Step::more) return made;
  return read_marker();
}

KafkaSink::Step KafkaSink::find_topics() {
  Result<kafka::Admin> admin = kafka::Admin::make(options_.kafka.client);
  if (admin.has_error()) return again(admin.error());
  const auto markers = admin->find(options_.markers.text, kPatience);
  if (markers.has_error()) return again(markers.error());
  if (!*markers) {
    kafka::TopicOptions wanted;
    wanted.name = options_.markers;
    wanted.partitions = 1;
    wanted.cleanup = kafka::Cleanup::compact;
    const Result<bool> made = admin->create(wanted, kPatience);
    if (made.has_error()) return again(made.error());
  }
  const auto topic = admin->find(options_.topic.text, kPatience);
  if (topic.has_error()) return again(topic.error());
  if (!*topic) {
    say("topic", "the topic is not there",
        "make it: streamobs kafka topics --create --config FILE, or kafka-topics.sh --create");
    return Step::again;
  }
  topics_found_ = true;
  return Step::more;
}

KafkaSink::Step KafkaSink::make_producer() {
  if (producer_ == nullptr) {
    kafka::ProducerOptions options = options_.kafka;
    options.transactional_id =
        fmt::format("streamobs-{:016x}-{}", origin_.log_id, options_.name.text);
    kafka::ProducerHandlers handlers;
    handlers.on_error = [this](rd_kafka_resp_err_t error, std::string_view text) {
      count_error(error);
      // A connection that is gone is told by the step that fails for it.
      if (error == RD_KAFKA_RESP_ERR__TRANSPORT || error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        return;
      }
      say(rd_kafka_err2name(error), text, kafka::advice_on(error));
    };
    handlers.on_delivery = [this](const rd_kafka_message_t& message) {
      if (message.err == RD_KAFKA_RESP_ERR_NO_ERROR) return;
      // The transaction fails for it.
      count_error(message.err);
      say(rd_kafka_err2name(message.err), kafka::words_of(message.err),
          kafka::advice_on(message.err));
    };
    handlers.on_statistics = [this](std::string_view json) {
      const auto brokers = kafka::brokers_of(json);
      if (!brokers) return;
      brokers_up_.set(static_cast<double>(
          std::count_if(brokers->begin(), brokers->end(), [](const auto& b) { return b.up; })));
    };
    Result<std::unique_ptr<kafka::Producer>> made =
        kafka::Producer::make(options, std::move(handlers));
    if (made.has_error()) return again(made.error());
    producer_ = std::move(*made);
  }
  if (initialised_) return Step::more;
  const kafka::Failed failed = producer_->init_transactions(kPatience);
  if (failed) return again(*failed);
  initialised_ = true;
  return Step::more;
}

KafkaSink::Step KafkaSink::read_marker() {
  const auto stopping = [this] { return gave_up(); };
  const auto newest = kafka::newest_of(options_.kafka.client, options_.markers.text, marker_key(),
                                       kMarkerPatience, stopping);
  if (newest.has_error()) return again(newest.error());
  std::optional<OutboxPlace> place;
  if (*newest) {
    const Result<OutboxPlace> read = place_in(**newest);
    if (read.has_error()) return stop(read.error().message);
    place = *read;
  }
  if (marker_known_ && place != marker_ && place != attempted_) {
    return stop(
        "somebody else delivers for the same log and sink: is a copy of this data directory in "
        "use, "
        "or has the topic of markers been changed? End the other, and start this one again; if "
        "both "
        "are to go on, give one of them a data directory of its own");
  }
  if (!marker_known_ && place && place->position > origin_.end) {
    return stop(fmt::format(
        "results up to position {} have been delivered, and the log ended at {}: this data "
        "directory is older than what was sent (from a backup?), and what it would send cannot be "
        "told from what was. To have everything sent from here on, some of it perhaps again, give "
        "the sink another name",
        place->position, origin_.end));
  }
  marker_known_ = true;
  marker_ = place;
  attempted_ = place;
  if (place) {
    const Result<> forgotten = database_.delivered(options_.name.text, *place);
    if (forgotten.has_error()) return again(forgotten.error());
  }
  marker_read_ = true;
  return Step::more;
}

KafkaSink::Step KafkaSink::deliver() {
  producer_->serve(0);
  const Result<std::vector<OutboxRow>> rows =
      database_.read_outbox(options_.name.text, kRowsMax, kBytesMax);
  if (rows.has_error()) return again(rows.error());
  if (rows->empty()) {
    say_delivering();
    return Step::nothing;
  }
  if (state() != State::retrying) state_ = State::delivering;
  const auto started = Steady::now();
  if (const kafka::Failed failed = producer_->begin()) return again(*failed);
  const Step produced = produce(*rows);
  if (produced != Step::more) return produced;
  const OutboxPlace last = rows->back().place;
  const Step committed = commit(last);
  if (committed != Step::more) return committed;
  seconds_.observe(std::chrono::duration<double>(Steady::now() - started).count());
  sent_.add(rows->size());
  say_delivering();
  state_ = State::delivering;
  const Result<> removed = database_.delivered(options_.name.text, last);
  if (removed.has_error() && removed.error().code != ErrorCode::unavailable) {
    return again(removed.error());
  }
  failpoint("sink.after_remove");
  return Step::more;
}

KafkaSink::Step KafkaSink::produce(const std::vector<OutboxRow>& rows) {
  failpoint("sink.before_produce");
  for (const OutboxRow& row : rows) {
    std::optional<std::string_view> key;
    if (row.key) key = *row.key;
    const Step done =
        produce_one(options_.topic.text, key, row.value, kafka::Producer::kAnyPartition);
    if (done != Step::more) return done;
  }
  const std::string key = marker_key();
  const std::string marker = marker_of(rows.back().place);
  return produce_one(options_.markers.text, std::string_view(key), marker, 0);
}

KafkaSink::Step KafkaSink::produce_one(const std::string& topic,
                                       std::optional<std::string_view> key, std::string_view value,
                                       std::int32_t partition) {
  while (true) {
    const kafka::Failed failed = producer_->produce(topic, key, value, partition);
    if (!failed) return Step::more;
    if (failed->error == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) {
      refused_.add();
      log::error(
          "a result is too large for a message, and is passed over (it stays in the database); "
          "raise message.max.bytes in the sink's options, and max.message.bytes of the topic",
          {{"sink", options_.name.text}, {"bytes", value.size()}});
      return Step::more;
    }
    if (!failed->again || gave_up()) return again(*failed);
    producer_->serve(100 * kMillisecond);  // Its queue is full.
  }
}

KafkaSink::Step KafkaSink::commit(const OutboxPlace& last) {
  failpoint("sink.before_commit");
  attempted_ = last;
  while (true) {
    const kafka::Failed failed = producer_->commit(kPatience);
    if (!failed) break;
    const Step step = again(*failed);
    if (producer_ == nullptr || gave_up()) return step;
    state_ = State::retrying;
  }
  failpoint("sink.after_commit");
  marker_ = last;
  return Step::more;
}

KafkaSink::Step KafkaSink::again(const kafka::ProduceFailure& failure) {
  count_error(failure.error);
  if (failure.fenced()) {
    log::warn(
        "Kafka: the sink's producer was fenced: its transaction took too long, or another "
        "streamobs "
        "delivers for the same log; looking what was delivered",
        {{"sink", options_.name.text}, {"error", failure.words}});
  } else {
    std::string_view advice = kafka::advice_on(failure.error);
    if (failure.error == RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED) {
      advice = "the user needs the rights Describe and Write on the transactional id streamobs-*";
    }
    say("deliver", failure.words, advice);
  }
  if (!failure.again) drop_producer();
  return Step::again;
}

/// Of the database, or of brokers that cannot be asked.
KafkaSink::Step KafkaSink::again(const Error& error) {
  say("deliver", error.message, "are the brokers up, and is brokers of the sink right?");
  return Step::again;
}

KafkaSink::Step KafkaSink::stop(std::string_view message) {
  log::error("Kafka: a sink has stopped; what is for it waits in its outbox",
             {{"sink", options_.name.text}, {"reason", message}});
  drop_producer();
  return Step::stop;
}

/// What of its transaction was committed, the marker tells the next one.
void KafkaSink::drop_producer() {
  producer_.reset();
  initialised_ = false;
  marker_read_ = false;
}

/// Once, until it has been got over.
void KafkaSink::say(const std::string& what, std::string_view error, std::string_view advice) {
  if (!said_.insert(what).second) return;
  log::warn(
      "Kafka: a sink cannot deliver; its results wait in the outbox, trying again until it can",
      {{"sink", options_.name.text},
       {"topic", options_.topic.text},
       {"brokers", options_.kafka.client.brokers.text},
       {"error", error},
       {"advice", advice}});
}

void KafkaSink::say_delivering() {
  if (said_.empty()) return;
  said_.clear();
  log::info("Kafka: the sink delivers again", {{"sink", options_.name.text}});
}

void KafkaSink::count_error(rd_kafka_resp_err_t error) {
  metrics_
      .counter("streamobs_sink_errors_total", "What brokers and librdkafka complained of.",
               {{"sink", options_.name.text}, {"error", rd_kafka_err2name(error)}})
      .add();
}

std::string KafkaSink::marker_key() const {
  return fmt::format("{:016x}/{}", origin_.log_id, options_.name.text);
}

std::string KafkaSink::marker_of(const OutboxPlace& place) const {
  std::string text;
  JsonWriter json(text);
  json.begin_object().field("version", 1).field("log", fmt::format("{:016x}", origin_.log_id));
  json.field("sink", options_.name.text).field("topic", options_.topic.text);
  json.field("position", place.position).field("ordinal", place.ordinal).end_object();
  return text;
}

Result<OutboxPlace> KafkaSink::place_in(const std::string& marker) const {
  simdjson::dom::parser parser;
  const simdjson::padded_string text(marker);
  const auto json = parser.parse(text);
  std::int64_t version = 0;
  OutboxPlace place;
  if (json["version"].get(version) != 0U || version != 1 ||
      json["position"].get(place.position) != 0U || json["ordinal"].get(place.ordinal) != 0U) {
    return fail(ErrorCode::corrupt,
                fmt::format("the newest message of key {} in topic {} is no marker of ours: who "
                            "writes there besides streamobs, or was it a newer one? Have it "
                            "removed, or choose another topic by markers = \"…\"",
                            marker_key(), options_.markers.text));
  }
  return place;
}

}  // namespace streamobs::sink

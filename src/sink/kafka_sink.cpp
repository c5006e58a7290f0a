#include "sink/kafka_sink.h"

#include <algorithm>
#include <charconv>
#include <random>
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

/// Random, so that a copy of the data directory has another.
std::uint64_t new_writer() {
  std::random_device device;
  const std::uint64_t high = device();
  return high << 32 | device() | 1;
}

bool read_hex(std::string_view text, std::uint64_t& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out, 16);
  return error == std::errc() && end == text.data() + text.size();
}

constexpr std::string_view kForeign =
    "somebody else has delivered for the same log and sink: a copy of this data directory that "
    "runs, or ran, or this one before it was put back from a backup (or has the topic of markers "
    "been changed?). What of its own results was sent cannot be told any more. Let the other one "
    "go on alone; or, to have everything sent from here on, some of it perhaps again, give this "
    "sink another name";

constexpr std::string_view kFencedAdvice =
    "the producer was fenced: its transaction took too long, or another streamobs delivers for the "
    "same log; it has looked what was delivered, and gone on";

constexpr std::string_view kStates[] = {"connecting", "delivering", "waiting",
                                        "retrying",   "stopped",    "ended"};

}  // namespace

std::string_view to_text(KafkaSink::State state) {
  return kStates[static_cast<std::size_t>(state)];
}

KafkaSink::KafkaSink(SinkOptions options, Origin origin, store::Database& database,
                     asio::any_io_executor executor, const Clock& clock,
                     telemetry::Registry& metrics)
    : options_(std::move(options)),
      origin_(origin),
      database_(database),
      executor_(std::move(executor)),
      clock_(clock),
      metrics_(metrics),
      writer_(new_writer()),
      rows_max_(kRowsMax),
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
  if (markers.has_error()) return again(markers.error(), admin->advice());
  if (!*markers) {
    kafka::TopicOptions wanted;
    wanted.name = options_.markers;
    wanted.partitions = 1;
    wanted.cleanup = kafka::Cleanup::compact;
    const Result<bool> made = admin->create(wanted, kPatience);
    if (made.has_error()) return again(made.error(), admin->advice());
  }
  const auto topic = admin->find(options_.topic.text, kPatience);
  if (topic.has_error()) return again(topic.error(), admin->advice());
  if (!*topic) {
    count_error(rd_kafka_err2name(RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART));
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
      count_error(rd_kafka_err2name(error));
      // A connection that is gone is told by the step that fails for it.
      if (error == RD_KAFKA_RESP_ERR__TRANSPORT || error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        return;
      }
      say(rd_kafka_err2name(error), text, kafka::advice_on(error));
    };
    handlers.on_delivery = [this](const rd_kafka_message_t& message) {
      if (message.err == RD_KAFKA_RESP_ERR_NO_ERROR) return;
      // Given up with the transaction, for another one's sake.
      if (message.err == RD_KAFKA_RESP_ERR__PURGE_QUEUE ||
          message.err == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT) {
        return;
      }
      count_error(rd_kafka_err2name(message.err));
      if (message.err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE &&
          rd_kafka_topic_name(message.rkt) == options_.topic.text) {
        too_large_ = true;
        return;
      }
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
  std::optional<Marker> found;
  if (*newest) {
    const Result<Marker> marker = read(**newest);
    if (marker.has_error()) return stop(marker.error().message);
    found = *marker;
  }
  if (!marker_known_) {
    const Step taken = take_over(found);
    if (taken != Step::more) return taken;
  } else if (found != marker_ && found != attempted_) {
    return disown(kForeign);
  }
  marker_known_ = true;
  marker_ = found;
  attempted_ = found;
  if (found) {
    const Result<> forgotten = database_.delivered(options_.name.text, found->place);
    if (forgotten.has_error()) return again(forgotten.error());
  }
  marker_read_ = true;
  return Step::more;
}

/// The first marker that is read in a run: of an earlier run on this very database, or foreign.
KafkaSink::Step KafkaSink::take_over(const std::optional<Marker>& found) {
  const auto known = database_.sink_writers(options_.name.text);
  if (known.has_error()) return again(known.error());
  if (found && found->place.position > origin_.end) {
    return disown(fmt::format(
        "results up to position {} have been delivered, and the log ended at {}: this data "
        "directory is older than what was sent (from a backup?), and what it would send cannot be "
        "told from what was. To have everything sent from here on, some of it perhaps again, give "
        "the sink another name",
        found->place.position, origin_.end));
  }
  // A database that was made anew from the log knows of none.
  if (found && *known && found->writer != (*known)->now && found->writer != (*known)->before) {
    return disown(kForeign);
  }
  const auto set =
      database_.set_sink_writers(options_.name.text, {writer_, found ? found->writer : 0});
  if (set.has_error()) return again(set.error());
  return *set ? Step::more : Step::again;
}

/// For good: from now on this database knows no writer whose marker it could go on from.
KafkaSink::Step KafkaSink::disown(std::string_view message) {
  const auto set = database_.set_sink_writers(options_.name.text, {});
  if (set.has_error()) return again(set.error());
  return *set ? stop(message) : Step::again;
}

KafkaSink::Step KafkaSink::deliver() {
  producer_->serve(0);
  const Result<std::vector<OutboxRow>> rows =
      database_.read_outbox(options_.name.text, rows_max_, kBytesMax);
  if (rows.has_error()) return again(rows.error());
  if (rows->empty()) {
    say_delivering();
    return Step::nothing;
  }
  if (state() != State::retrying) state_ = State::delivering;
  const auto started = Steady::now();
  if (const kafka::Failed failed = producer_->begin()) return again(*failed);
  const Step produced = produce(*rows);
  if (produced != Step::more) return deliver_less(*rows, produced);
  const OutboxPlace last = rows->back().place;
  const Step committed = commit(last);
  if (committed != Step::more) return deliver_less(*rows, committed);
  rows_max_ = std::min(rows_max_ * 2, kRowsMax);
  last_seconds_ = std::chrono::duration<double>(Steady::now() - started).count();
  seconds_.observe(last_seconds_);
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

/// After a transaction that failed for the size of a message: the brokers refuse whole batches, and
/// do not say for which of their messages.
KafkaSink::Step KafkaSink::deliver_less(const std::vector<OutboxRow>& rows, Step failed) {
  if (!std::exchange(too_large_, false)) return failed;
  if (producer_ != nullptr) drop_producer();
  if (rows.size() == 1) {
    passed_over_ = rows.front().place;
    pass_over(rows.front().value.size());
  } else {
    rows_max_ = rows.size() / 2;
  }
  return Step::more;
}

void KafkaSink::pass_over(std::size_t bytes) {
  refused_.add();
  log::error(
      "a result is too large for a message, and is passed over (it stays in the database); raise "
      "message.max.bytes in the sink's options, and max.message.bytes of the topic",
      {{"sink", options_.name.text}, {"topic", options_.topic.text}, {"bytes", bytes}});
}

KafkaSink::Step KafkaSink::produce(const std::vector<OutboxRow>& rows) {
  failpoint("sink.before_produce");
  for (const OutboxRow& row : rows) {
    if (row.place == passed_over_) continue;
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
      pass_over(value.size());
      return Step::more;
    }
    if (!failed->again || gave_up()) return again(*failed);
    producer_->serve(100 * kMillisecond);  // Its queue is full.
  }
}

KafkaSink::Step KafkaSink::commit(const OutboxPlace& last) {
  failpoint("sink.before_commit");
  attempted_ = Marker{last, writer_};
  while (true) {
    const kafka::Failed failed = producer_->commit(kPatience);
    if (!failed) break;
    const Step step = again(*failed);
    if (producer_ == nullptr || gave_up()) return step;
    state_ = State::retrying;
  }
  failpoint("sink.after_commit");
  marker_ = attempted_;
  return Step::more;
}

KafkaSink::Step KafkaSink::again(const kafka::ProduceFailure& failure) {
  count_error(rd_kafka_err2name(failure.error));
  if (too_large_) {
    // deliver_less() gets over it.
  } else if (failure.fenced()) {
    troubles_.tell(failure.words, kFencedAdvice, clock_.now());
    log::warn(
        "Kafka: the sink's producer was fenced: its transaction took too long, or another "
        "streamobs delivers for the same log; looking what was delivered",
        {{"sink", options_.name.text}, {"error", failure.words}});
  } else {
    std::string_view advice = kafka::advice_on(failure.error);
    if (failure.error == RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED) {
      advice = "the user needs the rights Describe and Write on the transactional id streamobs-*";
    }
    say("deliver", failure.words, advice, kafka::says(failure.error));
  }
  if (!failure.again) drop_producer();
  return Step::again;
}

/// Of the database, or of brokers that cannot be asked.
KafkaSink::Step KafkaSink::again(const Error& error, std::string_view advice) {
  count_error(error.code == ErrorCode::unavailable ? "unavailable" : "database");
  if (advice.empty()) advice = "are the brokers up, and is brokers of the sink right?";
  say("deliver", error.message, advice);
  return Step::again;
}

KafkaSink::Step KafkaSink::stop(std::string_view message) {
  log::error("Kafka: a sink has stopped; what is for it waits in its outbox",
             {{"sink", options_.name.text}, {"reason", message}});
  troubles_.tell(message, "", clock_.now());
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
void KafkaSink::say(const std::string& what, std::string_view error, std::string_view advice,
                    telemetry::Troubles::Says says) {
  troubles_.tell(error, advice, clock_.now(), says);
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

/// By librdkafka's names, where it is one of its errors.
void KafkaSink::count_error(std::string_view name) {
  metrics_
      .counter("streamobs_sink_errors_total", "What brokers and librdkafka complained of.",
               {{"sink", options_.name.text}, {"error", std::string(name)}})
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
  json.field("position", place.position).field("ordinal", place.ordinal);
  json.field("writer", fmt::format("{:016x}", writer_)).end_object();
  return text;
}

Result<KafkaSink::Marker> KafkaSink::read(const std::string& marker) const {
  simdjson::dom::parser parser;
  const simdjson::padded_string text(marker);
  const auto json = parser.parse(text);
  std::int64_t version = 0;
  std::string_view writer;
  Marker found;
  const bool whole = json["version"].get(version) == 0U && version == 1 &&
                     json["position"].get(found.place.position) == 0U &&
                     json["ordinal"].get(found.place.ordinal) == 0U &&
                     json["writer"].get(writer) == 0U && read_hex(writer, found.writer);
  if (!whole) {
    return fail(ErrorCode::corrupt,
                fmt::format("the newest message of key {} in topic {} is no marker of ours: who "
                            "writes there besides streamobs, or was it a newer one? Have it "
                            "removed, or choose another topic by markers = \"…\"",
                            marker_key(), options_.markers.text));
  }
  return found;
}

}  // namespace streamobs::sink

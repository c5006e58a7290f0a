#include "source/kafka_source.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "source/sources.h"

namespace streamobs::source {

namespace {

/// No look at librdkafka is further away than this; a stop is noticed as soon.
constexpr Duration kPatience = 100 * kMillisecond;
constexpr Duration kRouseEvery = 10 * kMillisecond;
constexpr auto kMayBeAsleep = std::chrono::milliseconds(1500);
constexpr Duration kLookEveryMax = kMinute;
constexpr Duration kLookAgainAfter = kSecond;
/// What all partitions may have gathered that is no block yet.
constexpr std::size_t kGatheredBytesMax = std::size_t{8} << 20;

}  // namespace

KafkaSource::KafkaSource(SourceSetup setup, SourceRuntime runtime)
    : Source(std::move(setup), std::move(runtime)),
      fields_(setup_.options.message_fields, setup_.options.name.text, runtime_.metrics),
      finder_(setup_.options, runtime_.resume),
      messages_(runtime_.metrics.counter("streamobs_kafka_messages_total",
                                         "Messages read from topics.",
                                         {{"source", setup_.options.name.text}})),
      // A bug: it ends the loop's thread, and with it the process.
      tasks_([](const std::string&, std::exception_ptr error) { std::rethrow_exception(error); }) {}

asio::awaitable<Result<>> KafkaSource::run() {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  kafka::Handlers handlers;
  handlers.on_error = [this](rd_kafka_resp_err_t error, std::string_view text) {
    count_error(error);
    // A connection that is gone is told when its broker is (take_statistics).
    if (error == RD_KAFKA_RESP_ERR__TRANSPORT || error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
      progress_.troubles.tell(text, kafka::advice_on(error), runtime_.clock.now(),
                              kafka::says(error));
      return;
    }
    say_error(error, text, "the brokers");
  };
  handlers.on_statistics = [this](std::string_view json) { take_statistics(json); };
  const auto make = [&] { return kafka::Consumer::make(setup_.options.kafka, handlers, executor); };
  Result<std::unique_ptr<kafka::Consumer>> made = co_await runtime_.pool.run(make);
  if (made.has_error()) co_return failed(made.error());
  consumer_ = std::move(*made);
  if (!setup_.options.group.empty()) {
    group_ = std::make_unique<KafkaGroup>(
        setup_.options, runtime_, [this](rd_kafka_resp_err_t error, std::string_view about) {
          count_error(error);
          say_error(error, kafka::words_of(error), about);
        });
    const Result<> opened = co_await group_->open();
    if (opened.has_error()) co_return failed(opened.error());
  }
  tasks_.spawn(executor, "kafka look", look_on());
  const Result<> outcome = co_await read();
  // What has been pushed is proposed and decided now, not when the next life asks; also where the
  // source has failed, since its stream's time would wait for that.
  if (group_ != nullptr) co_await end_round();
  looking_ = false;
  if (look_timer_ != nullptr) look_timer_->cancel();
  co_await tasks_.join();
  observe();  // Where it ended stays to be seen.
  taken_.clear();
  if (group_ != nullptr) co_await group_->close();
  const auto close = [this] { consumer_.reset(); };
  co_await runtime_.pool.run(close);
  if (outcome.has_error()) co_return failed(outcome.error());
  co_return ended();
}

asio::awaitable<Result<>> KafkaSource::read() {
  if (group_ != nullptr) {
    const Result<Next> begun = co_await join_group();
    if (begun.has_error()) co_return begun.error();
    if (*begun == Next::end) co_return Result<>();
  }
  while (!stopping()) {
    if (group_ != nullptr) {
      const Result<Next> followed = co_await follow_group();
      if (followed.has_error()) co_return followed.error();
      if (*followed == Next::end) break;
    } else if (Steady::now() >= look_at_) {
      const Result<Next> looked = co_await look_for_partitions();
      if (looked.has_error()) co_return looked.error();
      if (*looked == Next::end) break;
    }
    const Result<> kept = co_await keep_together();
    if (kept.has_error()) co_return kept.error();
    taken_.clear();
    consumer_->take(taken_);
    consumer_->serve();
    if (group_ != nullptr) group_->serve();
    if (!taken_.empty()) {
      const Result<Next> next = co_await take_all();
      if (next.has_error()) co_return next.error();
      if (*next == Next::end) break;
      if (!round_is_full()) continue;
    } else {
      const bool flushed = co_await flush_all();
      if (!flushed) break;
    }
    if (group_ != nullptr) {
      const Result<Next> ended = co_await end_round();
      if (ended.has_error()) co_return ended.error();
      if (*ended == Next::end) break;
    }
    if (!taken_.empty()) continue;
    progress_.state = State::waiting;
    co_await wait_for_messages();
  }
  co_return Result<>();
}

/// Where messages are known to be there and none come, librdkafka may be asleep: the bytes it may
/// fetch ahead were all in its queue, and it looks again a second later, however fast they went.
/// Not so where its broker has said that there is no more to be had (an open transaction), and
/// where nothing has come for longer (no broker).
asio::awaitable<void> KafkaSource::wait_for_messages() {
  const Steady::time_point now = Steady::now();
  if (now - taken_at_ >= kMayBeAsleep) {
    co_await consumer_->wait(kPatience);
    co_return;
  }
  if (now >= rouse_at_ && !rousing_) {
    rouse_at_ = now + std::chrono::microseconds(kRouseEvery);
    observe();
    std::vector<kafka::Consumer::TopicPartition> behind;
    for (const auto& partition : partitions_) {
      const bool told_the_end = partition->end_seen >= partition->next;
      if (partition->held || told_the_end || partition->lag->value() == 0) continue;
      behind.emplace_back(partition->topic, partition->number);
    }
    if (!behind.empty()) {
      const asio::any_io_executor executor = co_await asio::this_coro::executor;
      rousing_ = true;
      tasks_.spawn(executor, "kafka rouse", rouse(std::move(behind)));
    }
  }
  co_await consumer_->wait(progress_.messages_behind > 0 ? kRouseEvery : kPatience);
}

asio::awaitable<void> KafkaSource::rouse(std::vector<kafka::Consumer::TopicPartition> partitions) {
  const auto ask = [&] { return consumer_->ends(partitions, kPatience); };
  co_await runtime_.pool.run(ask);  // The answers come with the messages.
  rousing_ = false;
}

/// Partitions come in together, before a block of any of them: those that have less to tell are
/// waited for by those that have more.
asio::awaitable<Result<KafkaSource::Next>> KafkaSource::look_for_partitions() {
  const auto find = [this] { return finder_.find(*consumer_, [this] { return stopping(); }); };
  Result<KafkaPartitions::Found> found = co_await runtime_.pool.run(find);
  if (stopping()) co_return Next::end;
  if (found.has_error()) {
    if (found.error().code != ErrorCode::unavailable) co_return found.error();
    look_at_ = Steady::now() + std::chrono::microseconds(kLookAgainAfter);
    const std::string_view advice = kafka::advice_on(RD_KAFKA_RESP_ERR__TRANSPORT);
    progress_.troubles.tell(found.error().message, advice, runtime_.clock.now(),
                            telemetry::Troubles::Says::that);
    if (said_.insert("look").second) {
      log::warn("Kafka: the brokers cannot be asked; trying again until they can",
                {{"source", setup_.options.name.text},
                 {"brokers", setup_.options.kafka.brokers.text},
                 {"error", found.error().message},
                 {"advice", advice}});
    }
    co_return Next::go_on;
  }
  if (said_.erase("look") != 0) {
    log::info("Kafka: the brokers answer", {{"source", setup_.options.name.text}});
  }
  say_missing(found->missing);
  Duration after = kLookAgainAfter;
  if (found->missing.empty()) {
    after = std::clamp(consumer_->refresh_every().value_or(kLookEveryMax), kLookAgainAfter,
                       kLookEveryMax);
  }
  look_at_ = Steady::now() + std::chrono::microseconds(after);
  if (found->partitions.empty()) co_return Next::go_on;
  std::vector<PartitionPlace> places = places_of(found->partitions);
  const bool joined = co_await runtime_.sink.join(std::move(places));
  if (!joined) co_return Next::end;
  const Result<> begun = begin(std::move(found->partitions));
  if (begun.has_error()) co_return begun.error();
  progress_.partitions = partitions_.size();
  log::info("Kafka: partitions are being read",
            {{"source", setup_.options.name.text}, {"partitions", partitions_.size()}});
  co_return Next::go_on;
}

/// What the log is told of them, in the order of their numbers.
std::vector<PartitionPlace> KafkaSource::places_of(
    const std::vector<KafkaPartitions::Partition>& partitions) {
  std::vector<PartitionPlace> places;
  for (const KafkaPartitions::Partition& partition : partitions) {
    PartitionPlace joined;
    joined.partition = partition.id;
    joined.place.file = partition.name;
    joined.place.offset = static_cast<std::uint64_t>(partition.first);
    places.push_back(std::move(joined));
    runtime_.sink.set_behind(partition.id, true);  // Nobody has looked yet.
  }
  std::sort(places.begin(), places.end(), [](const PartitionPlace& a, const PartitionPlace& b) {
    return a.partition < b.partition;
  });
  return places;
}

/// Begins to fetch them.
Result<> KafkaSource::begin(std::vector<KafkaPartitions::Partition> partitions) {
  for (KafkaPartitions::Partition& partition : partitions) {
    partitions_.push_back(make_partition(std::move(partition)));
    const Partition& made = *partitions_.back();
    const Result<> started = consumer_->start(made.topic, made.number, made.next);
    if (started.has_error()) return started;
  }
  return {};
}

std::unique_ptr<KafkaSource::Partition> KafkaSource::make_partition(
    KafkaPartitions::Partition found) {
  auto partition = std::make_unique<Partition>(
      MessageBlock(buffers_, setup_.block_bytes, setup_.options.format));
  partition->next = partition->end_seen = found.first;
  partition->lag = &runtime_.metrics.gauge("streamobs_kafka_lag_messages",
                                           "Messages of a partition that have not been read yet.",
                                           {{"source", setup_.options.name.text},
                                            {"topic", found.topic},
                                            {"partition", std::to_string(found.number)}});
  if (setup_.options.max_skew != 0) {
    partition->ahead = &runtime_.metrics.gauge(
        "streamobs_kafka_ahead_seconds",
        "How far a partition's newest event is ahead of that of the slowest partition.",
        {{"source", setup_.options.name.text},
         {"topic", found.topic},
         {"partition", std::to_string(found.number)}});
  }
  partition->topic = std::move(found.topic);
  partition->number = found.number;
  partition->id = found.id;
  partition->name = std::move(found.name);
  return partition;
}

/// A partition that has run too far ahead is not read until the others have come half-way up: what
/// had been fetched of it is thrown away each time. None waits for ever, since the slowest has
/// nothing to wait for, and one that is silent is waited for as long as the watermark waits for it.
asio::awaitable<Result<>> KafkaSource::keep_together() {
  const Duration max_skew = setup_.options.max_skew;
  if (max_skew == 0) co_return Result<>();
  for (const auto& partition : partitions_) {
    const Duration ahead = runtime_.sink.ahead(partition->id);
    if (!partition->held && ahead > max_skew) {
      const auto stop = [&] { consumer_->stop(partition->topic, partition->number); };
      co_await runtime_.pool.run(stop);
      partition->held = true;
      runtime_.sink.set_behind(partition->id, true);
      progress_.partitions_held.fetch_add(1, std::memory_order_relaxed);
    } else if (partition->held && ahead <= max_skew / 2) {
      const Result<> started =
          consumer_->start(partition->topic, partition->number, partition->next);
      if (started.has_error()) co_return started.error();
      partition->held = false;
      progress_.partitions_held.fetch_sub(1, std::memory_order_relaxed);
    }
  }
  co_return Result<>();
}

asio::awaitable<Result<KafkaSource::Next>> KafkaSource::take_all() {
  progress_.state = State::running;
  taken_at_ = Steady::now();
  for (const kafka::Message& message : taken_) {
    const Result<Next> next = co_await take(message);
    if (next.has_error() || *next == Next::end) co_return next;
  }
  if (gathered_bytes_ >= kGatheredBytesMax) {
    const bool flushed = co_await flush_all();
    if (!flushed) co_return Next::end;
  }
  co_return Next::go_on;
}

/// Null: it is read no more.
KafkaSource::Partition* KafkaSource::partition_of(const rd_kafka_message_t& message) {
  if (last_ != nullptr && message.rkt == last_topic_ && message.partition == last_->number) {
    return last_;
  }
  const std::string_view topic = rd_kafka_topic_name(message.rkt);
  const auto found = std::find_if(partitions_.begin(), partitions_.end(), [&](const auto& p) {
    return p->number == message.partition && p->topic == topic;
  });
  last_topic_ = message.rkt;
  last_ = found == partitions_.end() ? nullptr : found->get();
  return last_;
}

asio::awaitable<Result<KafkaSource::Next>> KafkaSource::take(const kafka::Message& message) {
  if (message->rkt == nullptr) {  // Of none in particular.
    count_error(message->err);
    co_return Next::go_on;
  }
  Partition* const found = partition_of(*message);
  if (found == nullptr) co_return Next::go_on;
  Partition& partition = *found;
  if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
    partition.end_seen = std::max(partition.end_seen, message->offset);
    co_return Next::go_on;
  }
  if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    Result<Next> next = co_await take_error(partition, message->err);
    co_return next;
  }
  if (message->offset < partition.next) co_return Next::go_on;  // Of before a gap was crossed.
  messages_.add();
  progress_.messages.fetch_add(1, std::memory_order_relaxed);
  progress_.input_bytes.fetch_add(message->len, std::memory_order_relaxed);
  const std::string_view payload(static_cast<const char*>(message->payload), message->len);
  std::string_view text = MessageBlock::trimmed(payload);
  if (!text.empty()) text = fields_.put_into(*message, text);
  if (text.empty()) {
    skip(message->payload == nullptr ? "tombstone" : "empty");
  } else if (partition.block.is_empty_array(text)) {
    skip("empty_array");
  } else {
    if (!partition.block.fits(text)) {
      const bool flushed = co_await flush(partition);
      if (!flushed) co_return Next::end;
    }
    const std::size_t before = partition.block.size();
    partition.block.add(text, static_cast<std::uint64_t>(message->offset), fields_.given());
    gathered_bytes_ += partition.block.size() - before;
  }
  partition.next = message->offset + 1;
  co_return Next::go_on;
}

asio::awaitable<Result<KafkaSource::Next>> KafkaSource::take_error(Partition& partition,
                                                                   rd_kafka_resp_err_t error) {
  count_error(error);
  if (error == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
      error == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE) {
    Result<Next> next = co_await cross_gap(partition);
    co_return next;
  }
  say_error(error, kafka::words_of(error), fmt::format("partition {}", partition.name));
  co_return Next::go_on;
}

/// The broker does not have the message that is next.
asio::awaitable<Result<KafkaSource::Next>> KafkaSource::cross_gap(Partition& partition) {
  const bool flushed = co_await flush(partition);
  if (!flushed) co_return Next::end;
  Result<kafka::OffsetRange> range = fail(ErrorCode::unavailable, "not asked");
  while (range.has_error() && !stopping()) {
    const auto ask = [&] {
      return consumer_->range(partition.topic, partition.number, kafka::kAskPatience);
    };
    range = co_await runtime_.pool.run(ask);
    if (range.has_error()) co_await pause(kSecond);
  }
  if (range.has_error()) co_return Next::end;
  const bool ahead = partition.next > range->end;
  if (setup_.options.on_gap == OnGap::stop) {
    co_return fail(
        ErrorCode::invalid,
        fmt::format(
            "source {}: topic {}, partition {}: message {} was to be read next, and the "
            "brokers have {} to {}: {}. To go on at {}, set on_gap = \"continue\" in "
            "[source.{}]; what is missing is counted. To be safe from it, have the "
            "topic keep its messages for longer (retention.ms, retention.bytes)",
            setup_.options.name.text, partition.topic, partition.number, partition.next,
            range->first, range->end,
            ahead ? "the topic was made anew, or its log was cut" : "those before have expired",
            range->first, setup_.options.name.text));
  }
  const std::int64_t lost = ahead ? 0 : range->first - partition.next;
  runtime_.metrics
      .counter("streamobs_kafka_gap_messages_total",
               "Messages that had expired before they were read.",
               {{"source", setup_.options.name.text}, {"topic", partition.topic}})
      .add(static_cast<std::uint64_t>(lost));
  log::warn("Kafka: messages are missing; going on behind the gap, as on_gap says",
            {{"source", setup_.options.name.text},
             {"partition", partition.name},
             {"wanted", partition.next},
             {"going_on_at", range->first},
             {"missing", lost}});
  const auto stop = [&] { consumer_->stop(partition.topic, partition.number); };
  co_await runtime_.pool.run(stop);
  partition.next = partition.end_seen = range->first;
  const Result<> started = consumer_->start(partition.topic, partition.number, partition.next);
  if (started.has_error()) co_return started.error();
  co_return Next::go_on;
}

asio::awaitable<bool> KafkaSource::flush(Partition& partition) {
  if (partition.block.empty()) co_return true;
  gathered_bytes_ -= partition.block.size();
  Block block = partition.block.take();
  block.origin.partition = partition.id;
  block.origin.name = partition.name;
  block.origin.resume.file = partition.name;
  block.origin.resume.offset = static_cast<std::uint64_t>(partition.next);
  const std::size_t bytes = block.bytes->size();
  const bool taken = co_await push(std::move(block));
  if (!taken) co_return false;
  partition.pushed = true;
  partition.end = partition.next;
  ++round_blocks_;
  round_bytes_ += bytes;
  co_return true;
}

asio::awaitable<bool> KafkaSource::flush_all() {
  for (const auto& partition : partitions_) {
    const bool flushed = co_await flush(*partition);
    if (!flushed) co_return false;
  }
  co_return true;
}

std::unique_ptr<Source> make_kafka_source(SourceSetup setup, SourceRuntime runtime) {
  return std::make_unique<KafkaSource>(std::move(setup), std::move(runtime));
}

}  // namespace streamobs::source

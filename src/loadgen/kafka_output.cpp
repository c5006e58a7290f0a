// Events to Kafka topics: a message each, keyed by the field that the stream's messages are known
// by.
//
// One thread; librdkafka gathers and sends. What has been delivered is what the brokers have said
// so.
#include <algorithm>
#include <cassert>
#include <cctype>
#include <chrono>
#include <iterator>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "kafka/consumer.h"
#include "kafka/producer.h"
#include "loadgen/outputs.h"

namespace streamobs::loadgen {
namespace {

constexpr std::uint64_t kEventsPerTurn = 1'024;
constexpr Duration kNapMax = 50 * kMillisecond;
constexpr Duration kServePatience = 10 * kMillisecond;
/// After an interruption.
constexpr Duration kLastPatience = 5 * kSecond;
constexpr int kExitTryAgain = 75;

/// Where the streams of the scenarios go, and the text field that their messages are keyed by.
struct TopicOfStream {
  std::string_view stream;
  std::string_view topic;
  std::string_view key;
};
constexpr TopicOfStream kTopics[] = {{"requests", "raw_events", "service"},
                                     {"transactions", "transactions", "transaction_id"},
                                     {"metrics", "metrics-events", "serviceId"},
                                     {"logs", "logs", "service"},
                                     {"llm_requests", "llm.requests", "request_id"},
                                     {"llm_responses", "llm.responses", "request_id"}};

/// Every stream of a scenario stands in the table.
const TopicOfStream& topic_of(const StreamInfo& stream) {
  const auto* const found =
      std::find_if(std::begin(kTopics), std::end(kTopics),
                   [&](const TopicOfStream& known) { return known.stream == stream.name; });
  assert(found != std::end(kTopics));
  return *found;
}

/// The text of a top-level member of a line of ours, which has no escapes; none: it is not there.
std::optional<std::string_view> text_of(std::string_view line, const std::string& quoted_name) {
  const std::size_t at = line.find(quoted_name);
  if (at == std::string_view::npos) return std::nullopt;
  const std::size_t begin = at + quoted_name.size();
  return line.substr(begin, line.find('"', begin) - begin);
}

/// One run's producer and what has become of its messages.
class Run {
 public:
  Run(Feed& feed, const KafkaTarget& target, const RunHooks& hooks, Report& report)
      : feed_(feed), target_(target), hooks_(hooks), report_(report) {
    for (const StreamInfo& stream : feed.scenario().streams()) {
      quoted_keys_.push_back(fmt::format("\"{}\":\"", topic_of(stream).key));
    }
  }

  void go() {
    if (!connect()) return;
    std::vector<Lines> lines;
    while (!stopped() && !feed_.done(clock_.now())) {
      const Timestamp now = clock_.now();
      clear(lines);
      if (feed_.generate(kEventsPerTurn, now, lines) == 0) {
        producer_->serve(std::clamp<Duration>(feed_.due() - now, 0, kNapMax));
      }
      send(lines);
      hooks_.tick(report_);
    }
    if (!stopped()) {
      clear(lines);
      lines.resize(feed_.scenario().streams().size());
      feed_.finish(lines);
      send(lines);
    }
    deliver_the_rest();
  }

 private:
  bool stopped() const { return report_.exit_code != 0 || hooks_.interrupted(); }
  void give_up(std::string error) {
    if (report_.exit_code != 0) return;
    report_.exit_code = kExitTryAgain;
    report_.error = std::move(error);
  }

  static void clear(std::vector<Lines>& lines) {
    for (Lines& stream : lines) {
      stream.text.clear();
      stream.events = 0;
    }
  }

  bool connect() {
    kafka::ProducerOptions options;
    options.client.brokers = target_.brokers;
    kafka::ProducerHandlers handlers;
    handlers.on_delivery = [this](const rd_kafka_message_t& message) {
      ++(message.err == RD_KAFKA_RESP_ERR_NO_ERROR ? report_.accepted : report_.undelivered);
      if (message.err != RD_KAFKA_RESP_ERR_NO_ERROR) complain(message.err, about(message));
    };
    handlers.on_error = [this](rd_kafka_resp_err_t error, std::string_view) {
      // librdkafka goes on trying: brokers that have been there may come back.
      if (report_.accepted == 0 && error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        complain(error, target_.brokers);
      }
    };
    auto made = kafka::Producer::make(options, std::move(handlers));
    if (made.has_error()) {
      give_up(made.error().message);
      return false;
    }
    producer_ = std::move(*made);
    return true;
  }

  static std::string about(const rd_kafka_message_t& message) {
    return message.rkt == nullptr ? "" : fmt::format("topic {}", rd_kafka_topic_name(message.rkt));
  }
  void complain(rd_kafka_resp_err_t error, const std::string& where) {
    const std::string_view advice = kafka::advice_on(error);
    give_up(fmt::format("Kafka, {}: {}{}{}", where, kafka::words_of(error),
                        advice.empty() ? "" : "; ", advice));
  }

  void send(const std::vector<Lines>& lines) {
    count_lines(report_, lines);
    for (std::size_t stream = 0; stream < lines.size(); ++stream) {
      std::string_view rest = lines[stream].text;
      while (!rest.empty()) {
        const std::size_t end = rest.find('\n');
        if (!send_one(stream, rest.substr(0, end))) ++report_.undelivered;
        rest.remove_prefix(end + 1);
      }
    }
    producer_->serve(0);
  }

  /// Waits while librdkafka's queue is full.
  bool send_one(std::size_t stream, std::string_view line) {
    const std::optional<std::string_view> key = text_of(line, quoted_keys_[stream]);
    while (!stopped()) {
      const kafka::Failed failed = producer_->produce(target_.topics[stream], key, line);
      if (!failed) return true;
      if (!failed->again) complain(failed->error, "topic " + target_.topics[stream]);
      producer_->serve(kServePatience);
    }
    return false;
  }

  void deliver_the_rest() {
    Duration patience = kLastPatience;
    while (producer_->undelivered() != 0 && report_.exit_code == 0 && patience > 0) {
      const auto begin = std::chrono::steady_clock::now();
      producer_->flush(kNapMax);
      hooks_.tick(report_);
      if (!hooks_.interrupted()) continue;
      patience -= std::chrono::duration_cast<std::chrono::microseconds>(
                      std::chrono::steady_clock::now() - begin)
                      .count();
    }
    report_.undelivered = report_.generated_total() - report_.accepted;
  }

  Feed& feed_;
  const KafkaTarget& target_;
  const RunHooks& hooks_;
  Report& report_;
  const SystemClock clock_;
  std::vector<std::string> quoted_keys_;  ///< By stream.
  std::unique_ptr<kafka::Producer> producer_;
};

bool is_topic(std::string_view name) {
  constexpr std::size_t kCharsMax = 249;
  return !name.empty() && name.size() <= kCharsMax &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' ||
                  c == '-';
         });
}

}  // namespace

Result<KafkaTarget> parse_kafka_target(const std::string& url,
                                       std::span<const StreamInfo> streams) {
  KafkaTarget target;
  std::string_view rest = url;
  rest.remove_prefix(std::min(rest.size(), kKafkaScheme.size()));
  const std::size_t slash = rest.find('/');
  target.brokers = rest.substr(0, slash);
  const std::string_view topic =
      slash == std::string_view::npos ? std::string_view() : rest.substr(slash + 1);
  if (!url.starts_with(kKafkaScheme) || target.brokers.empty() ||
      target.brokers.find_first_of(" \t\r\n@?#") != std::string::npos) {
    return fail(
        ErrorCode::invalid,
        fmt::format("\"{}\" is no target; write kafka://HOST:PORT or kafka://HOST:PORT/TOPIC, "
                    "several brokers with commas",
                    url));
  }
  if (!topic.empty() && !is_topic(topic)) {
    return fail(ErrorCode::invalid, fmt::format("\"{}\" is no name of a topic", topic));
  }
  if (!topic.empty() && streams.size() != 1) {
    return fail(ErrorCode::invalid,
                fmt::format("this scenario has {} streams, each with a topic of its own: leave out "
                            "/{}",
                            streams.size(), topic));
  }
  for (const StreamInfo& stream : streams) {
    target.topics.emplace_back(topic.empty() ? topic_of(stream).topic : topic);
  }
  return target;
}

void run_to_kafka(Feed& feed, const KafkaTarget& target, const RunHooks& hooks, Report& report) {
  Run(feed, target, hooks, report).go();
}

}  // namespace streamobs::loadgen

// [source.NAME]: where events come from. HTTP needs none: every stream can be posted to.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/source_text.h"
#include "event/block.h"
#include "kafka/options.h"

namespace streamobs::source {

enum class Type { file, standard_input, demo, kafka };

/// As the config has it.
constexpr std::string_view to_text(Type type) {
  constexpr std::string_view kWords[] = {"file", "stdin", "demo", "kafka"};
  return kWords[static_cast<std::size_t>(type)];
}

/// The most partitions, each with an order and a time of its own, that a source may have.
constexpr std::size_t partitions_max(Type type) {
  return type == Type::kafka ? BlockOrigin::kPartitionsMax : 1;
}

/// Where a topic's partitions begin to be read that have no place yet.
enum class TopicStart { earliest, latest, time };
/// What a message of a topic has beside its value.
enum class MessagePart { key, timestamp, header };
/// A member that each event of a message is given, as if its JSON had it.
struct MessageField {
  SourceText name;
  MessagePart part = MessagePart::key;
  std::string header;  ///< With MessagePart::header.
  /// The stream wants a number or a bool, which JSON writes without quotes; set where the plan is
  /// made.
  bool bare = false;
};
/// What to do where messages have expired before they were read.
enum class OnGap { stop, go_on };

struct SourceOptions {
  SourceText name;
  Type type = Type::file;
  SourceText stream;
  Format format = Format::json;  ///< Where it is not given: its stream's.
  bool format_given = false;

  // file
  /// Files, in order; `*` and `?` match within one folder. `.gz` is inflated.
  std::vector<SourceText> paths;
  bool follow = false;  ///< Go on reading as the file grows, through rotation and truncation.

  // demo
  SourceText scenario = SourceText("services");
  double rate = 10;  ///< Events per second.
  std::uint64_t seed = 1;
  double anomaly_share = 0.05;  ///< Share of the events that belong to injected anomalies.
  Duration history = 0;         ///< Start with this much of the past, at once.

  // kafka
  kafka::ClientOptions kafka;
  std::vector<SourceText> topics;                 ///< `*` and `?` match.
  SourceText start = SourceText("earliest");      ///< "earliest", "latest" or a time.
  TopicStart topic_start = TopicStart::earliest;  ///< What that means; set where the plan is made.
  Timestamp start_time = 0;                       ///< With TopicStart::time.
  OnGap on_gap = OnGap::stop;
  SourceText group;      ///< The consumer group that shares the topics; empty: read them all.
  std::string instance;  ///< With a group: Config::instance.
  /// A partition whose events are further ahead of the slowest waits for it; 0: none waits.
  Duration max_skew = 0;
  std::vector<MessageField> message_fields;
};

}  // namespace streamobs::source

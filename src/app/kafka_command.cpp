#include "app/kafka_command.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "app/topology.h"
#include "base/time_format.h"
#include "kafka/admin.h"

namespace streamobs::app {

namespace {

constexpr Duration kPatience = 15 * kSecond;
constexpr Duration kBetweenLooks = 50 * kMillisecond;
/// What sysexits.h calls missing input.
constexpr int kExitMissing = 66;

/// A topic that the config names in full, and whoever names it.
struct Wanted {
  kafka::TopicOptions topic;
  std::string used_by;
};

/// Of one cluster.
struct Cluster {
  const kafka::ClientOptions* client = nullptr;
  std::vector<Wanted> topics;
};

class Needs {
 public:
  explicit Needs(const config::Config& config) : config_(config) {
    for (const source::SourceOptions& source : config.sources) {
      if (source.type != source::Type::kafka) continue;
      for (const SourceText& topic : source.topics) {
        if (topic.text.find_first_of("*?") != std::string::npos) continue;
        add(source.kafka, topic, fmt::format("[source.{}]", source.name.text));
      }
    }
    for (const sink::SinkOptions& sink : config.sinks) {
      const std::string by = fmt::format("[sink.{}]", sink.name.text);
      add(sink.kafka.client, sink.topic, by);
      add(sink.kafka.client, sink.markers, by + " markers");
    }
  }

  /// By brokers.
  const std::map<std::string, Cluster>& clusters() const { return clusters_; }

 private:
  void add(const kafka::ClientOptions& client, const SourceText& name, const std::string& by) {
    Cluster& cluster = clusters_[client.brokers.text];
    if (cluster.client == nullptr) cluster.client = &client;
    for (Wanted& known : cluster.topics) {
      if (known.topic.name.text != name.text) continue;
      known.used_by += ", " + by;
      return;
    }
    cluster.topics.push_back({declared(name, by.ends_with("markers")), by});
  }

  kafka::TopicOptions declared(const SourceText& name, bool markers) const {
    for (const kafka::TopicOptions& topic : config_.topics) {
      if (topic.name.text == name.text) return topic;
    }
    kafka::TopicOptions topic;
    topic.name = name;
    if (markers) {
      topic.partitions = 1;
      topic.cleanup = kafka::Cleanup::compact;
    }
    return topic;
  }

  const config::Config& config_;
  std::map<std::string, Cluster> clusters_;
};

std::string partitions_text(std::int32_t count) {
  return fmt::format("{} partition{}", count, count == 1 ? "" : "s");
}

/// What the config says of it.
std::string describe(const kafka::TopicOptions& topic) {
  std::string text = topic.partitions < 0 ? "the brokers' number of partitions"
                                          : partitions_text(topic.partitions);
  if (topic.replication > 0) text += fmt::format(", replication {}", topic.replication);
  if (topic.retention != 0) text += ", kept " + to_text(topic.retention);
  if (topic.cleanup == kafka::Cleanup::compact) text += ", compacted";
  return text;
}

std::string found_text(const kafka::TopicFound& found, const kafka::TopicOptions& wanted) {
  std::string text = fmt::format("there: {}, replication {}", partitions_text(found.partitions),
                                 found.replication);
  if (wanted.partitions >= 0 && wanted.partitions != found.partitions) {
    text += fmt::format("; the config says {}", partitions_text(wanted.partitions));
  }
  return text;
}

struct State {
  std::string text;  ///< The line's end: what there is of a topic, or what was done about it.
  bool missing = false;
};

Result<State> state_of(kafka::Admin& admin, const kafka::TopicOptions& topic, bool create) {
  const auto found = admin.find(topic.name.text, kPatience);
  if (found.has_error()) return found.error();
  if (*found) return State{found_text(**found, topic), false};
  if (!create) return State{fmt::format("missing: {}", describe(topic)), true};
  const Result<bool> made = admin.create(topic, kPatience);
  if (made.has_error()) return made.error();
  // Brokers hear of it a moment later: whoever goes on from here finds it there.
  for (Duration waited = 0; waited < kPatience; waited += kBetweenLooks) {
    const auto seen = admin.find(topic.name.text, kPatience);
    if (seen.has_error() || *seen) break;
    std::this_thread::sleep_for(std::chrono::microseconds(kBetweenLooks));
  }
  return State{fmt::format("{}: {}", *made ? "made" : "there by now", describe(topic)), false};
}

/// Of this topic, or of brokers that cannot be asked for any.
void print_error(const std::string& topic, const Error& error, std::string_view advice) {
  const bool of_all = error.code == ErrorCode::unavailable;
  fmt::print(stderr, "streamobs: {}{}{}\n", of_all ? "" : topic + ": ", error.message,
             advice.empty() ? "" : fmt::format("; {}", advice));
}

}  // namespace

int show_topics(const Plan& plan, bool create) {
  const Needs needs(plan.config);
  if (needs.clusters().empty()) {
    fmt::print("{} needs no topics: it has no source and no sink of type kafka\n",
               plan.config.file);
  }
  int code = 0;
  std::size_t missing = 0;
  for (const auto& [brokers, cluster] : needs.clusters()) {
    fmt::print("{}\n", brokers);
    Result<kafka::Admin> admin = kafka::Admin::make(*cluster.client);
    for (const Wanted& wanted : cluster.topics) {
      const Result<State> state =
          admin.has_error() ? Result<State>(admin.error()) : state_of(*admin, wanted.topic, create);
      if (state.has_error()) {
        print_error(wanted.topic.name.text, state.error(),
                    admin.has_error() ? std::string_view() : admin->advice());
        code = exit_code_of(state.error().code);
        if (state.error().code == ErrorCode::unavailable) return code;  // So are all others.
        continue;
      }
      missing += state->missing ? 1 : 0;
      fmt::print("  {:<32} {} ({})\n", wanted.topic.name.text, state->text, wanted.used_by);
    }
  }
  if (missing != 0) {
    fmt::print(stderr, "streamobs: {} missing; --create makes {}\n",
               missing == 1 ? "a topic is" : fmt::format("{} topics are", missing),
               missing == 1 ? "it" : "them");
    if (code == 0) code = kExitMissing;
  }
  return code;
}

}  // namespace streamobs::app

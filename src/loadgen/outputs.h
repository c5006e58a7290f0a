// The three ways a run's events go out. Private to this folder.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "loadgen/feed.h"
#include "loadgen/report.h"

namespace streamobs::loadgen {

/// What all outputs need of the run around them.
struct RunHooks {
  std::function<bool()> interrupted;
  /// Called now and then with the counts so far: progress and truth file.
  std::function<void(const Report&)> tick;
};

/// Adds what was generated to the report's counts.
void count_lines(Report& report, const std::vector<Lines>& lines);

/// `path` "-" is stdout; with several streams each has its own file, stream_path(path, stream).
void run_to_file(Feed& feed, const std::string& path, const RunHooks& hooks, Report& report);
/// "out.ndjson" and "llm_requests" give "out.llm_requests.ndjson".
std::string stream_path(const std::string& path, const std::string& stream);

struct HttpTarget {
  std::string host;  ///< Without brackets.
  std::string port = "80";
  std::vector<std::string> paths;  ///< By stream.
  std::string token;               ///< Empty: none.
  std::size_t batch = 500;
  std::size_t connections = 1;
  bool request_keys = true;
};
/// http://HOST[:PORT][/PATH]; a path is only for scenarios of one stream.
Result<HttpTarget> parse_target(const std::string& url, std::span<const StreamInfo> streams);

inline constexpr std::string_view kKafkaScheme = "kafka://";

struct KafkaTarget {
  std::string brokers;              ///< "host:9092,…"
  std::vector<std::string> topics;  ///< By stream.
};
/// kafka://HOST:PORT[,HOST:PORT…][/TOPIC]; a topic is only for scenarios of one stream.
Result<KafkaTarget> parse_kafka_target(const std::string& url, std::span<const StreamInfo> streams);

void run_to_kafka(Feed& feed, const KafkaTarget& target, const RunHooks& hooks, Report& report);

void run_to_http(Feed& feed, const HttpTarget& target, const RunHooks& hooks, Report& report);

}  // namespace streamobs::loadgen

// Which partitions a Kafka source has yet to read, and where each begins.
//
// Every partition has a number within its source that stays its own for as long as the log knows
// it; where reading begins follows from the log's places, else from the config. Lives as long as
// its source. find() blocks: on the pool, one call at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "event/resume_state.h"
#include "kafka/consumer.h"
#include "kafka/group_member.h"
#include "source/options.h"

namespace streamobs::source {

class KafkaPartitions {
 public:
  /// `options` outlives it; `resume`: what the log knows of the source, by partition.
  KafkaPartitions(const SourceOptions& options, const std::map<std::uint32_t, ResumeState>& resume);

  struct Partition {
    std::string topic;
    std::int32_t number = 0;  ///< Within the topic.
    std::uint32_t id = 0;     ///< Within the source.
    std::string name;         ///< "TOPIC/NUMBER": in places, dead letters, messages.
    std::int64_t first = 0;   ///< Offset to begin at.
  };
  struct Found {
    std::vector<Partition> partitions;  ///< That have not been found before.
    std::vector<kafka::TopicState> missing;
  };
  /// Fails with `unavailable` where the brokers cannot be asked, or `stopping` says so: then
  /// nothing counts as found.
  Result<Found> find(kafka::Consumer& consumer, const std::function<bool()>& stopping);

  /// The same of partitions that a consumer group has given the source: their ids and names.
  Result<std::vector<Partition>> named(const std::vector<kafka::GroupOffset>& given);
  /// Where one begins of which the group has no place: at the log's, or where the config says.
  /// `unavailable` as above.
  Result<std::int64_t> first_offset(kafka::Consumer& consumer, const Partition& partition) const;
  /// Its place is there now.
  void remember(std::uint32_t id, std::int64_t place) { places_[id] = place; }
  /// What is found from here on has come into being later.
  void note_found() { found_once_ = true; }

  /// A topic that is not there, other than one that cannot be seen.
  static bool is_missing(rd_kafka_resp_err_t error);

 private:
  Result<std::vector<kafka::TopicState>> topics_wanted(kafka::Consumer& consumer) const;
  Error too_many(const std::string& name) const;
  bool give_id(const std::string& name);
  void note_missing(const std::vector<kafka::TopicState>& missing);

  const SourceOptions& options_;
  std::map<std::string, std::uint32_t> ids_;      ///< By name; what the log knows, and new ones.
  std::map<std::uint32_t, std::int64_t> places_;  ///< By id; of what the log knew, and new ones.
  std::set<std::string> found_;                   ///< By name.
  bool first_time_ = true;                        ///< Nothing of this source is in the log.
  bool found_once_ = false;
  std::set<std::string> unseen_;  ///< Topics that there are, of which nothing could be learnt yet.
};

}  // namespace streamobs::source

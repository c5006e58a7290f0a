#include "source/kafka_partitions.h"

#include <algorithm>
#include <fnmatch.h>
#include <utility>

#include <fmt/format.h>

#include "event/block.h"
#include "source/file_set.h"

namespace streamobs::source {

KafkaPartitions::KafkaPartitions(const SourceOptions& options,
                                 const std::map<std::uint32_t, ResumeState>& resume)
    : options_(options) {
  for (const auto& [id, state] : resume) {
    if (state.places.empty()) continue;
    const ResumePoint& place = state.places.back();
    ids_[place.file] = id;
    places_[id] = static_cast<std::int64_t>(place.offset);
    first_time_ = false;
  }
}

bool KafkaPartitions::is_missing(rd_kafka_resp_err_t error) {
  return error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
         error == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC;
}

Result<KafkaPartitions::Found> KafkaPartitions::find(kafka::Consumer& consumer,
                                                     const std::function<bool()>& stopping) {
  const Result<std::vector<kafka::TopicState>> topics = topics_wanted(consumer);
  if (topics.has_error()) return topics.error();
  Found found;
  for (const kafka::TopicState& topic : *topics) {
    if (topic.error != RD_KAFKA_RESP_ERR_NO_ERROR) {
      found.missing.push_back(topic);
      continue;
    }
    for (std::int32_t number = 0; number < topic.partitions; ++number) {
      Partition partition;
      partition.topic = topic.name;
      partition.number = number;
      partition.name = fmt::format("{}/{}", topic.name, number);
      if (found_.contains(partition.name)) continue;
      if (stopping()) return fail(ErrorCode::unavailable, "the engine is stopping");
      if (!give_id(partition.name)) return too_many(partition.name);
      partition.id = ids_.at(partition.name);
      const Result<std::int64_t> first = first_offset(consumer, partition);
      if (first.has_error()) return first.error();
      partition.first = *first;
      found.partitions.push_back(std::move(partition));
    }
  }
  for (const Partition& partition : found.partitions) found_.insert(partition.name);
  note_missing(found.missing);
  return found;
}

Error KafkaPartitions::too_many(const std::string& name) const {
  return fail(ErrorCode::too_large,
              fmt::format("source {}: its topics have more than {} partitions (at {}); "
                          "spread the topics over several sources",
                          options_.name.text, BlockOrigin::kPartitionsMax, name));
}

Result<std::vector<KafkaPartitions::Partition>> KafkaPartitions::named(
    const std::vector<kafka::GroupOffset>& given) {
  std::vector<Partition> partitions;
  for (const kafka::GroupOffset& one : given) {
    Partition& partition = partitions.emplace_back();
    partition.topic = one.topic;
    partition.number = one.partition;
    partition.name = fmt::format("{}/{}", one.topic, one.partition);
    if (!give_id(partition.name)) return too_many(partition.name);
    partition.id = ids_.at(partition.name);
  }
  return partitions;
}

Result<std::vector<kafka::TopicState>> KafkaPartitions::topics_wanted(
    kafka::Consumer& consumer) const {
  std::vector<std::string> names;
  bool any_pattern = false;
  for (const SourceText& topic : options_.topics) {
    any_pattern = any_pattern || has_wildcard(topic.text);
    names.push_back(topic.text);
  }
  if (!any_pattern) return consumer.topics(names, kafka::kAskPatience);
  Result<std::vector<kafka::TopicState>> all = consumer.all_topics(kafka::kAskPatience);
  if (all.has_error()) return all;
  std::vector<kafka::TopicState> wanted;
  for (const std::string& name : names) {
    bool any = false;
    for (const kafka::TopicState& topic : *all) {
      // The brokers' own (__consumer_offsets) only by name.
      if (has_wildcard(name) && topic.name.starts_with("__")) continue;
      if (::fnmatch(name.c_str(), topic.name.c_str(), 0) != 0) continue;
      any = true;
      const auto same = [&](const kafka::TopicState& known) { return known.name == topic.name; };
      if (std::none_of(wanted.begin(), wanted.end(), same)) wanted.push_back(topic);
    }
    if (!any) wanted.push_back({name, 0, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART});
  }
  return wanted;
}

/// A topic that the brokers do not let us see, other than one that is not there, does not come into
/// being later.
void KafkaPartitions::note_missing(const std::vector<kafka::TopicState>& missing) {
  std::set<std::string> unseen;
  for (const kafka::TopicState& topic : missing) {
    if (is_missing(topic.error)) continue;
    if (!found_once_ || unseen_.contains(topic.name)) unseen.insert(topic.name);
  }
  unseen_ = std::move(unseen);
  found_once_ = true;
}

/// The number that the log knows the partition by, or the first that is free. False: none is.
bool KafkaPartitions::give_id(const std::string& name) {
  if (ids_.contains(name)) return true;
  std::set<std::uint32_t> used;
  for (const auto& [known, id] : ids_) used.insert(id);
  for (std::uint32_t id = 0; id < BlockOrigin::kPartitionsMax; ++id) {
    if (used.contains(id)) continue;
    ids_[name] = id;
    return true;
  }
  return false;
}

/// Where its place is, else where the config says. What has come into being since the source began
/// is read from its beginning: nobody could have meant to leave that out.
Result<std::int64_t> KafkaPartitions::first_offset(kafka::Consumer& consumer,
                                                   const Partition& partition) const {
  if (const auto place = places_.find(partition.id); place != places_.end()) return place->second;
  TopicStart start = options_.topic_start;
  const bool is_new = !first_time_ || (found_once_ && !unseen_.contains(partition.topic));
  if (start == TopicStart::latest && is_new) start = TopicStart::earliest;
  if (start == TopicStart::time) {
    return consumer.offset_at(partition.topic, partition.number, options_.start_time,
                              kafka::kAskPatience);
  }
  const Result<kafka::OffsetRange> range =
      consumer.range(partition.topic, partition.number, kafka::kAskPatience);
  if (range.has_error()) return range.error();
  return start == TopicStart::latest ? range->end : range->first;
}

}  // namespace streamobs::source

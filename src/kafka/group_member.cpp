#include "kafka/group_member.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "kafka/consumer.h"
#include "kafka/properties.h"

namespace streamobs::kafka {

namespace {

void forward_log(const rd_kafka_t*, int, const char* facility, const char* text) {
  log::debug("librdkafka, group", {{"facility", facility}, {"text", text}});
}

/// The topics that `pattern` stands for, as librdkafka wants it.
std::string regex_of(std::string_view pattern) {
  std::string out = "^";
  for (const char c : pattern) {
    if (c == '*') {
      out += ".*";
    } else if (c == '?') {
      out += '.';
    } else if (c == '.') {
      out += "\\.";
    } else {
      out += c;
    }
  }
  return out + "$";
}

bool is_pattern(const SourceText& topic) {
  return topic.text.find_first_of("*?") != std::string::npos;
}

CommitFate fate_of(rd_kafka_resp_err_t error) {
  switch (error) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
      return CommitFate::stored;
    case RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID:
    case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
    case RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:  // Deleted.
      return CommitFate::refused;
    default:
      return CommitFate::unknown;
  }
}

}  // namespace

Result<std::unique_ptr<GroupMember>> GroupMember::make(const ClientOptions& options,
                                                       const std::string& group, OnError on_error) {
  Result<Conf> conf = group_conf(options, group);
  if (conf.has_error()) return conf.error();
  std::unique_ptr<GroupMember> member(new GroupMember(std::move(on_error)));
  rd_kafka_conf_set_opaque(conf->get(), member.get());
  rd_kafka_conf_set_log_cb(conf->get(), forward_log);
  rd_kafka_conf_set_error_cb(
      conf->get(), [](rd_kafka_t*, int error, const char* text, void* opaque) {
        static_cast<GroupMember*>(opaque)->on_error_(static_cast<rd_kafka_resp_err_t>(error), text);
      });
  rd_kafka_conf_set_rebalance_cb(
      conf->get(),
      [](rd_kafka_t*, rd_kafka_resp_err_t what, rd_kafka_topic_partition_list_t* partitions,
         void* opaque) { static_cast<GroupMember*>(opaque)->rebalance(what, *partitions); });
  char why[512] = {};
  member->client_ = rd_kafka_new(RD_KAFKA_CONSUMER, conf->get(), why, sizeof why);
  if (member->client_ == nullptr) {
    return fail(ErrorCode::invalid, fmt::format("Kafka: no client can be made: {}", why));
  }
  [[maybe_unused]] rd_kafka_conf_t* const taken_over = conf->release();
  rd_kafka_set_log_queue(member->client_, nullptr);
  rd_kafka_poll_set_consumer(member->client_);
  member->commits_ = rd_kafka_queue_new(member->client_);
  return member;
}

GroupMember::~GroupMember() {
  if (client_ == nullptr) return;
  closing_ = true;
  if (waited_for_) rd_kafka_assign(client_, nullptr);
  rd_kafka_consumer_close(client_);
  rd_kafka_queue_destroy(commits_);
  rd_kafka_destroy(client_);
}

GroupMember::List GroupMember::list_of(const std::vector<GroupOffset>& offsets) {
  List list(rd_kafka_topic_partition_list_new(static_cast<int>(offsets.size())));
  for (const GroupOffset& offset : offsets) {
    rd_kafka_topic_partition_t* const added =
        rd_kafka_topic_partition_list_add(list.get(), offset.topic.c_str(), offset.partition);
    added->offset = offset.offset;
    if (offset.metadata.empty()) continue;
    added->metadata = std::malloc(offset.metadata.size());  // librdkafka frees it.
    std::memcpy(added->metadata, offset.metadata.data(), offset.metadata.size());
    added->metadata_size = offset.metadata.size();
  }
  return list;
}

Result<> GroupMember::subscribe(const std::vector<SourceText>& topics) {
  const List list(rd_kafka_topic_partition_list_new(static_cast<int>(topics.size())));
  for (const SourceText& topic : topics) {
    const std::string name = is_pattern(topic) ? regex_of(topic.text) : topic.text;
    rd_kafka_topic_partition_list_add(list.get(), name.c_str(), RD_KAFKA_PARTITION_UA);
  }
  const rd_kafka_resp_err_t error = rd_kafka_subscribe(client_, list.get());
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return {};
  return fail(ErrorCode::unavailable,
              fmt::format("the consumer group cannot be joined: {}", words_of(error)));
}

void GroupMember::serve() {
  while (rd_kafka_message_t* const said = rd_kafka_consumer_poll(client_, 0)) {
    // It reads nothing, so this is no message.
    const Message owned(said);
    if (owned->err != RD_KAFKA_RESP_ERR_NO_ERROR) on_error_(owned->err, words_of(owned->err));
  }
}

void GroupMember::rebalance(rd_kafka_resp_err_t what,
                            const rd_kafka_topic_partition_list_t& partitions) {
  if (closing_ || (what != RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS &&
                   what != RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS)) {
    rd_kafka_assign(client_, nullptr);
    return;
  }
  GroupEvent event;
  event.assigned = what == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
  event.lost = !event.assigned && rd_kafka_assignment_lost(client_) != 0;
  for (int i = 0; i < partitions.cnt; ++i) {
    GroupOffset& partition = event.partitions.emplace_back();
    partition.topic = partitions.elems[i].topic;
    partition.partition = partitions.elems[i].partition;
  }
  events_.push_back(std::move(event));
  waited_for_ = true;
}

std::optional<GroupEvent> GroupMember::next_event() {
  if (events_.empty()) return std::nullopt;
  GroupEvent event = std::move(events_.front());
  events_.pop_front();
  return event;
}

void GroupMember::accept() {
  waited_for_ = false;
  // None of them is to be fetched by this client.
  const List none(rd_kafka_topic_partition_list_new(0));
  rd_kafka_assign(client_, none.get());
  membership_ = membership();
  std::memcpy(&generation_, membership_.data(), sizeof generation_);
}

void GroupMember::release() {
  waited_for_ = false;
  membership_.clear();
  generation_ = -1;
  rd_kafka_assign(client_, nullptr);
}

std::string GroupMember::membership() const {
  constexpr std::size_t kMagicBytes = 7;
  rd_kafka_consumer_group_metadata_t* const metadata = rd_kafka_consumer_group_metadata(client_);
  void* bytes = nullptr;
  std::size_t size = 0;
  rd_kafka_error_t* const error = rd_kafka_consumer_group_metadata_write(metadata, &bytes, &size);
  std::string out;
  if (error == nullptr && size > kMagicBytes) {
    out.assign(static_cast<const char*>(bytes) + kMagicBytes, size - kMagicBytes);
  }
  if (error != nullptr) rd_kafka_error_destroy(error);
  rd_kafka_mem_free(client_, bytes);
  rd_kafka_consumer_group_metadata_destroy(metadata);
  if (out.size() < sizeof(std::int32_t)) out.assign(sizeof(std::int32_t), '\xff');
  return out;
}

void GroupMember::commit(const std::vector<GroupOffset>& offsets) {
  committing_ = offsets;
  ended_.reset();
  // Without a generation the brokers would take it from anybody once the group has no member left:
  // librdkafka puts on a commit whatever it has at the time.
  if (generation_ < 0 || membership() != membership_) {
    ended_ = CommitOutcome{std::vector<CommitFate>(offsets.size(), CommitFate::not_sent),
                           RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST};
    return;
  }
  const List list = list_of(offsets);
  const rd_kafka_resp_err_t error = rd_kafka_commit_queue(
      client_, list.get(), commits_,
      [](rd_kafka_t*, rd_kafka_resp_err_t why, rd_kafka_topic_partition_list_t* told,
         void* opaque) { static_cast<GroupMember*>(opaque)->end_commit(why, told); },
      this);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) end_commit(error, nullptr);
}

/// `error` alone says of a request that failed as a whole; of one that failed in part each offset
/// does.
void GroupMember::end_commit(rd_kafka_resp_err_t error,
                             const rd_kafka_topic_partition_list_t* offsets) {
  CommitOutcome outcome;
  std::vector<rd_kafka_resp_err_t> errors(committing_.size(), RD_KAFKA_RESP_ERR_NO_ERROR);
  for (std::size_t i = 0; offsets != nullptr && i < committing_.size(); ++i) {
    const rd_kafka_topic_partition_t* const told =
        rd_kafka_topic_partition_list_find(const_cast<rd_kafka_topic_partition_list_t*>(offsets),
                                           committing_[i].topic.c_str(), committing_[i].partition);
    if (told != nullptr) errors[i] = told->err;
  }
  const bool as_a_whole = std::all_of(errors.begin(), errors.end(), [](rd_kafka_resp_err_t e) {
    return e == RD_KAFKA_RESP_ERR_NO_ERROR;
  });
  for (rd_kafka_resp_err_t& e : errors) {
    if (as_a_whole) e = error;
    outcome.fates.push_back(fate_of(e));
    if (e != RD_KAFKA_RESP_ERR_NO_ERROR) outcome.error = e;
  }
  ended_ = std::move(outcome);
}

std::optional<GroupMember::CommitOutcome> GroupMember::commit_ended() {
  if (!ended_) rd_kafka_queue_poll_callback(commits_, 0);
  return std::exchange(ended_, std::nullopt);
}

Result<> GroupMember::ask(std::vector<GroupOffset>& offsets, Duration patience) {
  const List list = list_of(offsets);
  const rd_kafka_resp_err_t error =
      rd_kafka_committed(client_, list.get(), static_cast<int>(patience / kMillisecond));
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return fail(ErrorCode::unavailable,
                fmt::format("the group's offsets cannot be asked for: {}", words_of(error)));
  }
  for (GroupOffset& offset : offsets) {
    const rd_kafka_topic_partition_t* const told =
        rd_kafka_topic_partition_list_find(list.get(), offset.topic.c_str(), offset.partition);
    if (told->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      return fail(
          ErrorCode::unavailable,
          fmt::format("the group's offset of topic {}, partition {} cannot be asked for: {}",
                      offset.topic, offset.partition, words_of(told->err)));
    }
    offset.offset = told->offset >= 0 ? told->offset : -1;
    offset.metadata.clear();
    if (told->metadata_size != 0) {
      offset.metadata.assign(static_cast<const char*>(told->metadata), told->metadata_size);
    }
  }
  return {};
}

}  // namespace streamobs::kafka

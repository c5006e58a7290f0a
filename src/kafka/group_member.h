// A member of a Kafka consumer group that reads nothing: it learns which partitions are its own,
// commits offsets for them, and asks what has been committed. Reading is a Consumer's.
//
// The group takes turns by the eager protocol: before any partition changes hands every member
// gives up all of its own. A partition is ours from an assigned event until we release(), and the
// group waits for that. Commits bear the generation in which the partitions were assigned, so the
// brokers refuse what a member sends that has been thrown out, however late it wakes.
//
// Lives as long as its source runs; one strand. The handler is called within serve().
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <librdkafka/rdkafka.h>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "kafka/options.h"

namespace streamobs::kafka {

/// A partition of a topic and, where it is asked for or told, what is committed of it.
struct GroupOffset {
  std::string topic;
  std::int32_t partition = 0;
  std::int64_t offset = -1;  ///< Of the next message; -1: nothing is committed.
  std::string metadata;
};

/// What the group has decided about this member.
struct GroupEvent {
  bool assigned = false;  ///< Else it shall give up all it has.
  bool lost = false;      ///< Others may have it already: commits will be refused.
  std::vector<GroupOffset> partitions;
};

/// What has become of a commit, for one partition.
enum class CommitFate : std::uint8_t {
  stored,
  refused,   ///< And will be: this member, or its generation, is the group's no more.
  not_sent,  ///< We knew that before we asked. An earlier try may yet come in: none was refused.
  unknown,   ///< It may have been stored, or yet be.
};

class GroupMember {
 public:
  using OnError = std::function<void(rd_kafka_resp_err_t error, std::string_view text)>;

  /// Blocks for a little.
  static Result<std::unique_ptr<GroupMember>> make(const ClientOptions& options,
                                                   const std::string& group, OnError on_error);
  /// Blocks until the group has been left.
  ~GroupMember();
  GroupMember(const GroupMember&) = delete;
  GroupMember& operator=(const GroupMember&) = delete;

  // Waiting for librdkafka's own thread at most, which answers at once; never for a broker.

  /// Joins the group, or joins it anew. `*` and `?` in topics stand for others.
  Result<> subscribe(const std::vector<SourceText>& topics);
  /// Lets librdkafka say what has happened. At least once in max.poll.interval.ms.
  void serve();
  bool has_event() const { return !events_.empty(); }
  /// The oldest event not yet taken.
  std::optional<GroupEvent> next_event();
  /// What was assigned is taken over: the membership that commits go by.
  void accept();
  /// All has been given up: the group may go on.
  void release();
  /// Of the membership that was accepted; -1: none.
  std::int32_t generation() const { return generation_; }

  /// Begins to commit; one at a time.
  void commit(const std::vector<GroupOffset>& offsets);
  struct CommitOutcome {
    std::vector<CommitFate> fates;                           ///< In the order of the offsets.
    rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR_NO_ERROR;  ///< One that is not `stored`.
  };
  /// Once it has ended.
  std::optional<CommitOutcome> commit_ended();

  /// Blocking, at most `patience`: what is committed of these.
  Result<> ask(std::vector<GroupOffset>& offsets, Duration patience);

 private:
  struct ListDeleter {
    void operator()(rd_kafka_topic_partition_list_t* list) const {
      rd_kafka_topic_partition_list_destroy(list);
    }
  };
  using List = std::unique_ptr<rd_kafka_topic_partition_list_t, ListDeleter>;

  explicit GroupMember(OnError on_error) : on_error_(std::move(on_error)) {}
  void rebalance(rd_kafka_resp_err_t what, const rd_kafka_topic_partition_list_t& partitions);
  void end_commit(rd_kafka_resp_err_t error, const rd_kafka_topic_partition_list_t* offsets);
  /// Generation and member id, as bytes to be compared; the first four are the generation.
  std::string membership() const;
  static List list_of(const std::vector<GroupOffset>& offsets);

  OnError on_error_;
  rd_kafka_t* client_ = nullptr;
  rd_kafka_queue_t* commits_ = nullptr;  ///< Their outcomes.
  std::deque<GroupEvent> events_;
  bool waited_for_ = false;  ///< librdkafka waits for accept() or release().
  bool closing_ = false;
  std::string membership_;
  std::int32_t generation_ = -1;
  std::vector<GroupOffset> committing_;
  std::optional<CommitOutcome> ended_;
};

}  // namespace streamobs::kafka

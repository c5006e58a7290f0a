// A Kafka source's dealings with its consumer group: which partitions it has, where each goes on,
// and whether what it has logged is its own.
//
// What a source has read is proposed to the log first, then its end is committed to the group, and
// only what the group has agreed to is counted. A refused commit means that others have the
// partition; of an uncertain one the group is asked until it is certain, also in the next life
// (settle). docs/architecture.md, "Kafka", tells why this counts each message once.
// One strand; lives as long as its source runs.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kafka/commit_marks.h"
#include "kafka/group_member.h"
#include "source/options.h"
#include "source/source.h"

namespace streamobs::source {

class KafkaGroup {
 public:
  using OnTrouble = std::function<void(rd_kafka_resp_err_t error, std::string_view about)>;

  /// All of it outlives this. `on_trouble`: something is tried again until it works.
  KafkaGroup(const SourceOptions& options, const SourceRuntime& runtime, OnTrouble on_trouble);

  asio::awaitable<Result<>> open();
  /// Leaves the group; others take over at once.
  asio::awaitable<void> close();
  /// To be called all the time, or the group takes this process for dead.
  void serve();

  Result<> join();
  /// Decides on what an earlier life, or an earlier membership of this one, left undecided. To be
  /// called when a new generation has been accepted, since that keeps out every commit of before,
  /// and before anything is read.
  enum class Settled : std::uint8_t {
    all,
    later,  ///< The group has something new to say: again, when it has been accepted.
    end,    ///< Told to stop.
  };
  asio::awaitable<Settled> settle();

  kafka::GroupMember& member() { return *member_; }

  /// What is committed of these; none: told to stop, or the group has something new to say.
  asio::awaitable<std::optional<std::vector<kafka::GroupOffset>>> ask(
      std::vector<kafka::GroupOffset> partitions);
  /// From here on each commit for a partition carries on what was found beside the last. True for
  /// those where the mark of our log is beyond the log, which was put back from a backup, then: our
  /// next ranges would pass for committed. The mark is not carried on, and has to go before
  /// anything is proposed: by agree(0, …) on the offset that was found.
  std::vector<bool> remember_marks(const std::vector<kafka::GroupOffset>& found);

  enum class Fate : std::uint8_t {
    ours,
    others,
    open,  ///< To be left open: it is known when the next generation has been accepted.
  };
  /// Commits these ends for what was proposed up to `position` (0: nothing was, they are where
  /// reading begins; these are never open): what becomes of each of them. None: told to stop before
  /// that was certain; the next life asks.
  asio::awaitable<std::optional<std::vector<Fate>>> agree(std::uint64_t position,
                                                          std::vector<kafka::GroupOffset> ends);
  /// settle() decides on what was proposed of a partition up to `position`.
  void leave_open(std::uint32_t id, const kafka::GroupOffset& end, std::uint64_t position);

 private:
  struct Open {
    std::uint32_t id = 0;  ///< Of the partition, within the source.
    kafka::GroupOffset partition;
    std::vector<ProposedRange> ranges;  ///< In rising order.
  };

  void take_past();
  bool stopping() const { return runtime_.stop.load(std::memory_order_relaxed); }
  asio::awaitable<void> nap(Duration duration);
  asio::awaitable<std::optional<kafka::GroupMember::CommitOutcome>> commit(
      std::vector<kafka::GroupOffset> ends);
  void count_refusal(rd_kafka_resp_err_t error);
  asio::awaitable<bool> read_back(std::uint64_t position, kafka::GroupOffset end,
                                  std::optional<Fate>& fate);

  const SourceOptions& options_;
  const SourceRuntime& runtime_;
  OnTrouble on_trouble_;
  std::unique_ptr<kafka::GroupMember> member_;
  std::map<std::string, kafka::CommitMarks> marks_;  ///< By "TOPIC/PARTITION".
  std::uint64_t reached_ = 0;                        ///< Position of the log: no mark is beyond.
  std::vector<Open> open_;
};

}  // namespace streamobs::source

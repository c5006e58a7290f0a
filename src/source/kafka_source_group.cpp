// The Kafka source's part with a consumer group: joining it, taking partitions over and giving them
// up, and the end of a round.
#include <algorithm>
#include <string>
#include <utility>

#include "base/failpoint.h"
#include "base/log.h"
#include "source/kafka_source.h"

namespace streamobs::source {

namespace {

/// A round is ended early where it has pushed so much: what is proposed is held in memory.
constexpr std::size_t kRoundBytesMax = std::size_t{8} << 20;
constexpr std::size_t kRoundBlocksMax = 256;
/// A member whose commit was refused is told why within a heartbeat or two.
constexpr auto kJoinAnewAfter = std::chrono::seconds(10);

}  // namespace

bool KafkaSource::round_is_full() const {
  return group_ != nullptr && (round_bytes_ >= kRoundBytesMax || round_blocks_ >= kRoundBlocksMax);
}

asio::awaitable<Result<KafkaSource::Next>> KafkaSource::join_group() {
  progress_.group_generation = Progress::kNoMember;
  for (const auto& [id, state] : runtime_.resume) had_.insert(id);
  const Result<> joined = group_->join();
  if (joined.has_error()) co_return joined.error();
  co_return Next::go_on;
}

/// Does what the group has decided since the last look.
asio::awaitable<Result<KafkaSource::Next>> KafkaSource::follow_group() {
  kafka::GroupMember& member = group_->member();
  while (std::optional<kafka::GroupEvent> event = member.next_event()) {
    Result<Next> next = Next::go_on;
    if (event->assigned) {
      next = co_await take_over(std::move(*event));
    } else {
      next = co_await give_up(event->lost);
      if (next.has_value() && *next == Next::go_on) member.release();
    }
    if (next.has_error() || *next == Next::end) co_return next;
  }
  if (refused_at_ && Steady::now() - *refused_at_ > kJoinAnewAfter) {
    refused_at_ = Steady::now();
    const Result<> joined = group_->join();
    if (joined.has_error()) co_return joined.error();
  }
  co_return Next::go_on;
}

asio::awaitable<Result<KafkaSource::Next>> KafkaSource::take_over(kafka::GroupEvent event) {
  group_->member().accept();
  refused_at_.reset();
  co_await forget_partitions();
  // Also of partitions that others are given: the new generation keeps our old commits out of all.
  const KafkaGroup::Settled settled = co_await group_->settle();
  if (settled == KafkaGroup::Settled::end) co_return Next::end;
  if (settled == KafkaGroup::Settled::later) co_return Next::go_on;
  Result<std::vector<KafkaPartitions::Partition>> given = finder_.named(event.partitions);
  if (given.has_error()) co_return given.error();
  const Result<bool> found = co_await find_places(*given);
  if (found.has_error()) co_return found.error();
  if (!*found) co_return stopping() ? Next::end : Next::go_on;
  std::vector<PartitionPlace> places = places_of(*given);
  if (!places.empty()) {
    const bool joined = co_await runtime_.sink.join(std::move(places));
    if (!joined) co_return Next::end;
  }
  // Only now: while the group shares out what it will mostly give back, time stands still.
  const bool left = co_await leave_others(*given);
  if (!left) co_return Next::end;
  const Result<> begun = begin(std::move(*given));
  if (begun.has_error()) co_return begun.error();
  finder_.note_found();
  said_.clear();
  progress_.partitions = partitions_.size();
  progress_.group_generation = group_->member().generation();
  group_metric("streamobs_kafka_group_partitions", "Partitions that the consumer group has given.")
      .set(static_cast<double>(partitions_.size()));
  group_metric("streamobs_kafka_group_generation",
               "Which membership of the consumer group this is; -1: none.")
      .set(group_->member().generation());
  log::info("Kafka: the group has given this instance partitions",
            {{"source", setup_.options.name.text},
             {"group", setup_.options.group.text},
             {"instance", setup_.options.instance},
             {"generation", group_->member().generation()},
             {"partitions", partitions_.size()}});
  co_return Next::go_on;
}

/// What we have had at any time, and are not given now.
asio::awaitable<bool> KafkaSource::leave_others(
    const std::vector<KafkaPartitions::Partition>& given) {
  std::set<std::uint32_t> others = had_;
  for (const KafkaPartitions::Partition& partition : given) {
    others.erase(partition.id);
    had_.insert(partition.id);
  }
  std::vector<std::uint32_t> ids(others.begin(), others.end());
  const bool left = co_await runtime_.sink.leave(std::move(ids));
  co_return left;
}

telemetry::Gauge& KafkaSource::group_metric(const char* name, const char* help) {
  return runtime_.metrics.gauge(
      name, help, {{"source", setup_.options.name.text}, {"group", setup_.options.group.text}});
}

/// Where each begins. What had no place in the group has one from then on, so that the next owner
/// begins there too, whatever `start` says by then. False: there is something else to see to.
asio::awaitable<Result<bool>> KafkaSource::find_places(
    std::vector<KafkaPartitions::Partition>& partitions) {
  if (partitions.empty()) co_return true;
  std::vector<kafka::GroupOffset> asked;
  for (const KafkaPartitions::Partition& partition : partitions) {
    asked.push_back({partition.topic, partition.number, -1, {}});
  }
  const std::optional<std::vector<kafka::GroupOffset>> committed =
      co_await group_->ask(std::move(asked));
  if (!committed) co_return false;
  const std::vector<bool> from_beyond = group_->remember_marks(*committed);
  std::vector<kafka::GroupOffset> begun;
  for (std::size_t i = 0; i < partitions.size(); ++i) {
    KafkaPartitions::Partition& partition = partitions[i];
    partition.first = (*committed)[i].offset;
    if (partition.first >= 0 && from_beyond[i]) {
      log::warn(
          "Kafka: the group has a commit of this log that the log knows nothing of: it was put "
          "back from a backup. What was counted in between is in neither; going on where the group "
          "is",
          {{"source", setup_.options.name.text}, {"partition", partition.name}});
      begun.push_back({partition.topic, partition.number, partition.first, {}});
    }
    while (partition.first < 0 && !stopping()) {
      // One partition that cannot be asked must not keep the whole group waiting.
      if (group_->member().has_event()) co_return false;
      const auto find = [&] { return finder_.first_offset(*consumer_, partition); };
      const Result<std::int64_t> first = co_await runtime_.pool.run(find);
      if (first.has_value()) {
        partition.first = *first;
        begun.push_back({partition.topic, partition.number, *first, {}});
      } else if (first.error().code != ErrorCode::unavailable) {
        co_return first.error();
      } else {
        co_await pause(kSecond);
      }
    }
    if (stopping()) co_return false;
  }
  if (begun.empty()) co_return true;
  const std::optional<std::vector<KafkaGroup::Fate>> agreed =
      co_await group_->agree(0, std::move(begun));
  if (!agreed) co_return false;
  const auto is_ours = [](KafkaGroup::Fate fate) { return fate == KafkaGroup::Fate::ours; };
  if (std::all_of(agreed->begin(), agreed->end(), is_ours)) co_return true;
  refused_at_ = Steady::now();
  co_return false;
}

/// What has been read and is not yet decided is, while the group waits. If it does not wait any
/// more, it will refuse.
asio::awaitable<Result<KafkaSource::Next>> KafkaSource::give_up(bool lost) {
  if (!lost) {
    const bool flushed = co_await flush_all();
    if (!flushed) co_return Next::end;
  }
  const Result<Next> ended = co_await end_round();
  if (ended.has_error() || *ended == Next::end) co_return ended;
  log::info(lost ? "Kafka: the group has given this instance's partitions to others"
                 : "Kafka: the group shares its partitions out anew",
            {{"source", setup_.options.name.text},
             {"group", setup_.options.group.text},
             {"partitions", partitions_.size()}});
  runtime_.metrics
      .counter("streamobs_kafka_group_rebalances_total",
               "How often the consumer group has taken the partitions back to share them out anew.",
               {{"source", setup_.options.name.text}, {"group", setup_.options.group.text}})
      .add();
  co_await forget_partitions();
  co_return Next::go_on;
}

/// What was read of them and not pushed is read again by whoever has them next.
asio::awaitable<void> KafkaSource::forget_partitions() {
  progress_.group_generation = Progress::kNoMember;
  group_metric("streamobs_kafka_group_generation",
               "Which membership of the consumer group this is; -1: none.")
      .set(-1);
  if (partitions_.empty()) co_return;
  const auto stop = [this] {
    for (const auto& partition : partitions_) consumer_->stop(partition->topic, partition->number);
  };
  co_await runtime_.pool.run(stop);
  for (const auto& partition : partitions_) {
    partition->lag->set(0);
    runtime_.sink.set_behind(partition->id, false);
  }
  partitions_.clear();
  progress_.partition_table.set({});
  last_ = nullptr;
  gathered_bytes_ = 0;
  progress_.partitions = 0;
  progress_.partitions_held = 0;
  group_metric("streamobs_kafka_group_partitions", "Partitions that the consumer group has given.")
      .set(0);
}

asio::awaitable<Result<KafkaSource::Next>> KafkaSource::end_round() {
  if (round_blocks_ == 0) co_return Next::go_on;
  runtime_.metrics
      .counter("streamobs_kafka_group_proposed_ranges_total",
               "Blocks that were logged and that the consumer group was asked about.",
               {{"source", setup_.options.name.text}})
      .add(round_blocks_);
  round_blocks_ = 0;
  round_bytes_ = 0;
  std::vector<std::uint32_t> ids;
  std::vector<kafka::GroupOffset> ends;
  for (const auto& partition : partitions_) {
    if (!std::exchange(partition->pushed, false)) continue;
    ids.push_back(partition->id);
    ends.push_back({partition->topic, partition->number, partition->end, {}});
  }
  const std::optional<std::uint64_t> position = co_await runtime_.sink.propose();
  if (!position) co_return Next::end;
  failpoint("group.before_commit");
  std::vector<kafka::GroupOffset> tried = ends;
  const std::optional<std::vector<KafkaGroup::Fate>> agreed =
      co_await group_->agree(*position, std::move(tried));
  failpoint("group.after_commit");
  if (!agreed) co_return Next::end;
  bool refused = false;
  bool open = false;
  std::vector<RangeVerdict> verdicts;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const KafkaGroup::Fate fate = (*agreed)[i];
    if (fate == KafkaGroup::Fate::open) {
      open = true;
      group_->leave_open(ids[i], ends[i], *position);
      continue;
    }
    const bool ours = fate == KafkaGroup::Fate::ours;
    verdicts.push_back({ids[i], ours ? *position : 0, *position});
    refused = refused || !ours;
    if (ours) finder_.remember(ids[i], ends[i].offset);
  }
  const bool decided = co_await runtime_.sink.decide(std::move(verdicts));
  if (!decided) co_return Next::end;
  if (!refused && !open) co_return Next::go_on;
  if (refused) {
    log::warn(
        "Kafka: the group has refused a commit: this instance was away for too long, and others "
        "have its partitions. What it had read of them is not counted here; it joins again",
        {{"source", setup_.options.name.text},
         {"group", setup_.options.group.text},
         {"instance", setup_.options.instance}});
  }
  refused_at_ = Steady::now();
  co_await forget_partitions();
  co_return Next::go_on;
}

}  // namespace streamobs::source

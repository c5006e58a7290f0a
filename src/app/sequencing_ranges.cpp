// What sources have to say of their partitions, and the sequencing's part for those in a consumer
// group: a block is first proposed, which is for the log alone, and gets its place in history when
// its group has agreed.
#include <stdexcept>
#include <utility>

#include "app/sequencing.h"

namespace streamobs::app {

void Sequencing::make_groups(telemetry::Registry& metrics) {
  for (const source::SourceOptions& options : plan_.config.sources) {
    if (options.group.empty() || !durable_) {
      groups_.push_back(nullptr);
      continue;
    }
    const telemetry::Labels labels{{"source", options.name.text}};
    groups_.push_back(std::make_unique<Group>(Group{
        0, std::nullopt,
        metrics.counter("streamobs_kafka_group_discarded_ranges_total",
                        "Blocks that were logged, and not counted because their consumer group "
                        "had given their partition to another member.",
                        labels),
        metrics.counter("streamobs_kafka_group_discarded_events_total",
                        "Events of such blocks: another member counts them.", labels)}));
  }
}

/// What a source has to say of its partitions.
asio::awaitable<void> Sequencing::take_notice(SequencerInput& input, Timestamp now) {
  if (auto* join = std::get_if<SourceJoin>(&input)) {
    sequencer_.join({now, join->source_id, std::move(join->partitions)}, sequenced_);
    co_await pass_on(nullptr, false);
    join->acknowledgement->complete(Acknowledgement::Fate::taken);
  } else if (const auto* leave = std::get_if<SourceLeave>(&input)) {
    sequencer_.leave(leave->source_id, leave->partitions, now, sequenced_);
    co_await pass_on(nullptr, false);
  } else if (auto* proposal = std::get_if<SourceProposal>(&input)) {
    const std::uint32_t source_id = proposal->source_id;
    groups_[source_id]->waiting = std::move(*proposal);
    co_await answer_proposal(source_id);
  } else if (auto* verdicts = std::get_if<SourceVerdicts>(&input)) {
    const AcknowledgementPtr acknowledgement = verdicts->acknowledgement;
    SourceVerdicts all = std::move(*verdicts);
    co_await decide(std::move(all), now);
    acknowledgement->complete(Acknowledgement::Fate::taken);
  } else if (const auto* end = std::get_if<SourceEnd>(&input)) {
    sequencer_.end_source(end->source_id, end->blocks, now, sequenced_);
    co_await pass_on(nullptr, false);
  }
}

bool Sequencing::proposes(const EventBatch& batch) const {
  return batch.origin.source_id < groups_.size() && groups_[batch.origin.source_id] != nullptr;
}

/// What is proposed is bounded by its source, and does not count as on its way to the windows: it
/// waits for the group, and others must not wait for that.
asio::awaitable<void> Sequencing::propose(EventBatchPtr batch) {
  const BlockOrigin& origin = batch->origin;
  const std::uint32_t source_id = origin.source_id;
  ProposedRanges::Range range;
  range.position = sequencer_.take_position();
  range.end = origin.resume.offset;
  range.payload = std::make_shared<const std::string>(batch->encoded.bytes);
  range.counted = true;
  Step step;
  step.completes = range.position;
  step.what = Proposal{range.position, range.payload, batch->encoded.crc32c};
  in_flight_.forget(*batch);
  const wal::PartitionId partition{source_id, origin.partition};
  const std::uint64_t number = origin.number;
  range.batch = std::move(batch);
  ranges_.hold(partition, number, std::move(range));
  ++groups_[source_id]->proposed;
  co_await journal_.push(std::move(step));
  co_await answer_proposal(source_id);
}

/// Once all that the source waits for has come from the lanes; and then when it is durable.
asio::awaitable<void> Sequencing::answer_proposal(std::uint32_t source_id) {
  Group& group = *groups_[source_id];
  if (!group.waiting || group.proposed != group.waiting->blocks) co_return;
  Step step;
  step.acknowledgement = std::move(group.waiting->acknowledgement);
  step.acknowledgement->position = sequencer_.position();
  step.what = Answer{Acknowledgement::Fate::taken, true};
  group.waiting.reset();
  co_await journal_.push(std::move(step));
}

asio::awaitable<void> Sequencing::decide(SourceVerdicts verdicts, Timestamp now) {
  for (const RangeVerdict& verdict : verdicts.verdicts) {
    const wal::PartitionId partition{verdicts.source_id, verdict.partition};
    const std::vector<ProposedRange> decided = ranges_.asked_for(partition, verdict.asked_up_to);
    for (const ProposedRange& range : decided) {
      const bool committed = range.position <= verdict.committed_up_to;
      co_await decide(partition, range.number, committed, now);
    }
  }
}

asio::awaitable<void> Sequencing::decide(wal::PartitionId partition, std::uint64_t number,
                                         bool committed, Timestamp now) {
  ProposedRanges::Range& range = ranges_.at(partition, number);
  EventBatchPtr batch = taken_from(partition, range);
  if (committed) {
    range.agreed = true;
    Decoded agreed{std::move(batch), nullptr, true};
    co_await take(std::move(agreed), now);
    co_return;
  }
  settle_block(batch->origin);
  in_flight_.forget(*batch);
  const Group& group = *groups_[partition.source_id];
  group.discarded_ranges.add();
  group.discarded_events.add(batch->events);
  sequencer_.discard({now, partition, number}, sequenced_);
  co_await pass_on(nullptr, false);
}

/// As if it had just been decoded. The range stays until its batch is in the log.
EventBatchPtr Sequencing::taken_from(const wal::PartitionId& partition,
                                     ProposedRanges::Range& range) {
  EventBatchPtr batch = std::move(range.batch);
  if (batch == nullptr) {
    Result<EventBatchPtr> decoded = ranges_.decode(partition, range);
    if (decoded.has_error()) throw std::runtime_error(decoded.error().message);
    batch = std::move(*decoded);
    batch->lane = static_cast<std::uint32_t>(next_lane_++ % lanes_);
  }
  if (!range.counted) {
    in_flight_.of(partition.source_id, partition.partition).blocks.fetch_add(1);
    range.counted = true;
  }
  in_flight_.remember(*batch);
  return batch;
}

}  // namespace streamobs::app

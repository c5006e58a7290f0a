#include "app/proposed_ranges.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "base/bytes.h"

namespace streamobs::app {

namespace {

/// The second has the group that was asked, too.
constexpr std::uint8_t kVersion = 2;

}  // namespace

void ProposedRanges::hold(const wal::PartitionId& partition, std::uint64_t number, Range range) {
  ranges_[partition][number] = std::move(range);
}

Result<> ProposedRanges::hold(std::uint64_t position, std::string_view payload) {
  const Result<BlockOrigin> origin = wal::read_batch_origin(payload);
  if (origin.has_error()) return origin.error();
  const bool known = origin->source_id < plan_.sources.size() &&
                     origin->partition < BlockOrigin::kPartitionsMax && origin->number != 0;
  if (!known) {
    return fail(ErrorCode::corrupt,
                fmt::format("record {} of the log was proposed by a source that its config does "
                            "not have",
                            position));
  }
  Range range;
  range.position = position;
  range.end = origin->resume.offset;
  range.payload = std::make_shared<const std::string>(payload);
  hold({origin->source_id, origin->partition}, origin->number, std::move(range));
  return {};
}

void ProposedRanges::forget(const wal::PartitionId& partition, std::uint64_t number) {
  const auto found = ranges_.find(partition);
  if (found == ranges_.end()) return;
  found->second.erase(number);
  if (found->second.empty()) ranges_.erase(found);
}

const std::map<std::uint64_t, ProposedRanges::Range>& ProposedRanges::of(
    const wal::PartitionId& partition) const {
  static const std::map<std::uint64_t, Range> kNone;
  const auto found = ranges_.find(partition);
  return found == ranges_.end() ? kNone : found->second;
}

std::vector<ProposedRange> ProposedRanges::asked_for(const wal::PartitionId& partition,
                                                     std::uint64_t asked_up_to) const {
  std::vector<ProposedRange> all;
  for (const auto& [number, range] : of(partition)) {
    if (range.agreed || range.position > asked_up_to) continue;
    all.push_back({number, range.position, range.end});
  }
  return all;
}

std::map<std::uint32_t, std::vector<ProposedRange>> ProposedRanges::undecided(
    std::uint32_t source_id) const {
  std::map<std::uint32_t, std::vector<ProposedRange>> all;
  for (const auto& [partition, ranges] : ranges_) {
    if (partition.source_id != source_id) continue;
    for (const auto& [number, range] : ranges) {
      all[partition.partition].push_back({number, range.position, range.end});
    }
  }
  return all;
}

std::size_t ProposedRanges::size() const {
  std::size_t count = 0;
  for (const auto& [partition, ranges] : ranges_) count += ranges.size();
  return count;
}

Result<std::unique_ptr<EventBatch>> ProposedRanges::decode(const wal::PartitionId& partition,
                                                           const Range& range) {
  const PlannedSource& source = plan_.sources[partition.source_id];
  auto batch = std::make_unique<EventBatch>();
  const StreamSchema& schema = plan_.streams[source.stream_id].decode->schema;
  if (Result<> decoded = decoder_.decode(*range.payload, schema, *batch); decoded.has_error()) {
    return fail(decoded.error().code,
                fmt::format("record {} of the log, proposed by source {}: {}", range.position,
                            source.name, decoded.error().message));
  }
  // The numbers of streams and sources are those of the config that wrote it.
  batch->origin.source_id = partition.source_id;
  encoder_.encode(*batch, batch->encoded);
  return batch;
}

std::string_view ProposedRanges::group_of(const PlannedSource& source) const {
  if (!source.configured) return {};
  return plan_.config.sources[*source.configured].group.text;
}

void ProposedRanges::snapshot(std::string& out) const {
  put_u8(out, kVersion);
  put_varint(out, size());
  for (const auto& [partition, ranges] : ranges_) {
    const PlannedSource& source = plan_.sources[partition.source_id];
    for (const auto& [number, range] : ranges) {
      put_text(out, source.name_in_log);
      put_text(out, plan_.config.streams[source.stream_id].name.text);
      put_text(out, group_of(source));
      put_varint(out, partition.partition);
      put_varint(out, number);
      put_varint(out, range.position);
      put_text(out, *range.payload);
    }
  }
}

Result<> ProposedRanges::restore(std::string_view bytes) {
  ByteReader in(bytes);
  const std::uint8_t version = in.u8();
  const bool known = version != 0 && version <= kVersion;
  for (std::size_t n = in.count(); known && n != 0 && in.ok(); --n) {
    const std::string_view name = in.text();
    const std::string_view stream = in.text();
    const std::optional<std::string_view> group =
        version > 1 ? std::optional(in.text()) : std::nullopt;
    const std::uint64_t partition = in.varint();
    const std::uint64_t number = in.varint();
    Range range;
    range.position = in.varint();
    range.payload = std::make_shared<const std::string>(in.text());
    if (!in.ok() || partition >= BlockOrigin::kPartitionsMax) break;
    const auto same = [&](const PlannedSource& source) {
      return source.name_in_log == name &&
             plan_.config.streams[source.stream_id].name.text == stream;
    };
    const auto found = std::find_if(plan_.sources.begin(), plan_.sources.end(), same);
    const Result<wal::BatchHead> head = wal::read_batch_head(*range.payload);
    if (head.has_error()) return head.error();
    const Result<BlockOrigin> origin = wal::read_batch_origin(*range.payload);
    if (origin.has_error()) return origin.error();
    range.end = origin->resume.offset;
    const bool same_group = found != plan_.sources.end() && !group_of(*found).empty() &&
                            group.value_or(group_of(*found)) == group_of(*found);
    const bool fits =
        same_group && head->fingerprint ==
                          wal::schema_fingerprint(plan_.streams[found->stream_id].decode->schema);
    if (!fits) {
      return fail(
          ErrorCode::invalid,
          fmt::format(
              "source {} of stream {} had proposed messages to its consumer group when the "
              "engine ended (record {} of the log), and only the group knows whether they "
              "are this engine's. With this config they could not be taken: the source, its "
              "group or the fields of its stream are others. Start once with the config of "
              "before, with the brokers up, and stop it; then change the config",
              name, stream, range.position));
    }
    const auto source_id = static_cast<std::uint32_t>(found - plan_.sources.begin());
    hold({source_id, static_cast<std::uint32_t>(partition)}, number, std::move(range));
  }
  if (known && in.ok() && in.at_end()) return {};
  return fail(ErrorCode::corrupt, "the proposed ranges of the checkpoint are damaged");
}

}  // namespace streamobs::app

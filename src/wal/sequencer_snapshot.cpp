// The sequencer's state as bytes, and back.
#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "wal/sequencer.h"

namespace streamobs::wal {

namespace {

/// 1 had one partition for each source; it is still read.
constexpr std::uint8_t kSnapshotVersion = 2;

}  // namespace

void Sequencer::snapshot(std::string& out) const {
  put_u8(out, kSnapshotVersion);
  put_u64(out, position_);
  put_varint(out, streams_.size());
  for (const Stream& stream : streams_) {
    put_text(out, stream.timing.name);
    put_signed(out, stream.watermark);
    put_signed(out, stream.newest);
  }
  put_varint(out, sources_.size());
  for (const Source& source : sources_) {
    put_text(out, source.name);
    put_text(out, streams_[source.stream_id].timing.name);
    put_varint(out, source.partitions.size());
    for (const auto& [number, partition] : source.partitions) {
      put_varint(out, number);
      put_u8(out, static_cast<std::uint8_t>(partition.activity));
      put_signed(out, partition.newest);
      put_varint(out, partition.resume.next_block);
      put_varint(out, partition.resume.forgotten);
      put_varint(out, partition.resume.places.size());
      for (const ResumePoint& place : partition.resume.places) put_place(out, place);
    }
  }
}

Result<std::vector<std::string>> Sequencer::restore(std::string_view bytes) {
  const auto damaged = [] {
    return fail(ErrorCode::corrupt, "the sequencer's part of the checkpoint is damaged");
  };
  std::vector<std::string> lost;
  ByteReader in(bytes);
  const std::uint8_t version = in.u8();
  if (version == 0 || version > kSnapshotVersion) return damaged();
  const std::uint64_t position = in.u64();
  for (std::size_t n = in.count(); n != 0 && in.ok(); --n) {
    const std::string_view name = in.text();
    const Timestamp watermark = in.signed_varint();
    const Timestamp newest = in.signed_varint();
    for (Stream& stream : streams_) {
      if (stream.timing.name != name) continue;
      stream.watermark = watermark;
      stream.newest = newest;
    }
  }
  for (std::size_t n = in.count(); n != 0 && in.ok(); --n) {
    if (!read_source(in, version, lost)) return damaged();
  }
  if (!in.ok() || !in.at_end()) return damaged();
  position_ = position;
  return lost;
}

/// Takes one source of a snapshot over, or notes that it is lost.
bool Sequencer::read_source(ByteReader& in, std::uint8_t version, std::vector<std::string>& lost) {
  const std::string_view name = in.text();
  const std::string_view stream = in.text();
  std::map<std::uint32_t, Partition> partitions;
  bool has_places = false;
  // Before partitions had numbers each source had one.
  for (std::size_t n = version > 1 ? in.count() : 1; n != 0 && in.ok(); --n) {
    const std::uint64_t number = version > 1 ? in.varint() : 0;
    if (number >= BlockOrigin::kPartitionsMax) return false;
    Partition& read = partitions[static_cast<std::uint32_t>(number)];
    const std::uint8_t activity = in.u8();
    if (activity > static_cast<std::uint8_t>(Activity::ended)) return false;
    read.activity = static_cast<Activity>(activity);
    read.newest = in.signed_varint();
    read.resume.next_block = in.varint();
    read.resume.forgotten = in.varint();
    for (std::size_t places = in.count(); places != 0 && in.ok(); --places) {
      read.resume.places.push_back(read_place(in));
      has_places = true;
    }
  }
  if (!partitions.contains(0)) return false;
  const auto same = [&](const Source& source) {
    return source.name == name && streams_[source.stream_id].timing.name == stream;
  };
  const auto found = std::find_if(sources_.begin(), sources_.end(), same);
  if (found != sources_.end()) {
    found->partitions = std::move(partitions);
  } else if (has_places) {
    lost.emplace_back(name);
  }
  return true;
}

}  // namespace streamobs::wal

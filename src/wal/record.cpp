#include "wal/record.h"

#include <limits>

#include <fmt/format.h>

#include "base/bytes.h"

namespace streamobs::wal {

namespace {

/// Of the payload; a batch has its own. `advanced` named sources without their partitions in
/// version 1, which is still read.
template <class Record>
constexpr std::uint8_t kVersion = 1;
template <>
constexpr std::uint8_t kVersion<Advanced> = 2;

std::uint32_t get_u32(ByteReader& in, bool& fits) {
  const std::uint64_t v = in.varint();
  if (v > std::numeric_limits<std::uint32_t>::max()) fits = false;
  return static_cast<std::uint32_t>(v);
}

void put(std::string& out, const SessionStarted& record) {
  put_signed(out, record.at);
  put_text(out, record.program);
  put_text(out, record.config_text);
  put_varint(out, record.streams.size());
  for (const std::string& stream : record.streams) put_text(out, stream);
  put_varint(out, record.sources.size());
  for (const SessionStarted::Source& source : record.sources) {
    put_text(out, source.name);
    put_varint(out, source.stream_id);
  }
}

bool get(ByteReader& in, std::uint8_t, SessionStarted& record) {
  bool fits = true;
  record.at = in.signed_varint();
  record.program = in.text();
  record.config_text = in.text();
  record.streams.resize(in.count());
  for (std::string& stream : record.streams) stream = in.text();
  record.sources.resize(in.count());
  for (SessionStarted::Source& source : record.sources) {
    source.name = in.text();
    source.stream_id = get_u32(in, fits);
    fits = fits && source.stream_id < record.streams.size();
  }
  return fits;
}

void put(std::string& out, const Advanced& record) {
  put_signed(out, record.at);
  put_varint(out, record.stream_id);
  put_varint(out, record.idle.size());
  for (const PartitionId& id : record.idle) {
    put_varint(out, id.source_id);
    put_varint(out, id.partition);
  }
  put_signed(out, record.watermark);
}

bool get(ByteReader& in, std::uint8_t version, Advanced& record) {
  bool fits = true;
  record.at = in.signed_varint();
  record.stream_id = get_u32(in, fits);
  record.idle.resize(in.count());
  for (PartitionId& id : record.idle) {
    id.source_id = get_u32(in, fits);
    if (version > 1) id.partition = get_u32(in, fits);
  }
  record.watermark = in.signed_varint();
  return fits;
}

void put(std::string& out, const SourceEnded& record) {
  put_signed(out, record.at);
  put_varint(out, record.source_id);
  put_varint(out, record.blocks);
}

bool get(ByteReader& in, std::uint8_t, SourceEnded& record) {
  bool fits = true;
  record.at = in.signed_varint();
  record.source_id = get_u32(in, fits);
  record.blocks = in.varint();
  return fits;
}

void put(std::string& out, const SetAside& record) {
  put_signed(out, record.at);
  put_varint(out, record.sequence);
  put_varint(out, record.attempts);
}

bool get(ByteReader& in, std::uint8_t, SetAside& record) {
  bool fits = true;
  record.at = in.signed_varint();
  record.sequence = in.varint();
  record.attempts = get_u32(in, fits);
  return fits;
}

void put(std::string& out, const PartitionsJoined& record) {
  put_signed(out, record.at);
  put_varint(out, record.source_id);
  put_varint(out, record.partitions.size());
  for (const PartitionPlace& joined : record.partitions) {
    put_varint(out, joined.partition);
    put_place(out, joined.place);
  }
}

bool get(ByteReader& in, std::uint8_t, PartitionsJoined& record) {
  bool fits = true;
  record.at = in.signed_varint();
  record.source_id = get_u32(in, fits);
  record.partitions.resize(in.count());
  for (PartitionPlace& joined : record.partitions) {
    joined.partition = get_u32(in, fits);
    joined.place = read_place(in);
  }
  return fits;
}

void put(std::string& out, const LookupLoaded& record) {
  put_signed(out, record.at);
  put_text(out, record.lookup);
  put_text(out, record.text);
}

bool get(ByteReader& in, std::uint8_t, LookupLoaded& record) {
  record.at = in.signed_varint();
  record.lookup = in.text();
  record.text = in.text();
  return true;
}

void put(std::string& out, const RangeDiscarded& record) {
  put_signed(out, record.at);
  put_varint(out, record.partition.source_id);
  put_varint(out, record.partition.partition);
  put_varint(out, record.number);
}

bool get(ByteReader& in, std::uint8_t, RangeDiscarded& record) {
  bool fits = true;
  record.at = in.signed_varint();
  record.partition.source_id = get_u32(in, fits);
  record.partition.partition = get_u32(in, fits);
  record.number = in.varint();
  return fits;
}

template <class Record>
Result<ControlRecord> decode_as(RecordType type, std::string_view payload) {
  ByteReader in(payload);
  Record record;
  const std::uint8_t version = in.u8();
  const bool known = version != 0 && version <= kVersion<Record>;
  if (!known || !get(in, version, record) || !in.ok() || !in.at_end()) {
    return fail(ErrorCode::corrupt,
                fmt::format("the payload of a \"{}\" record is damaged", to_text(type)));
  }
  return ControlRecord(std::move(record));
}

}  // namespace

std::string_view to_text(RecordType type) {
  switch (type) {
    case RecordType::session_started:
      return "session_started";
    case RecordType::batch:
      return "batch";
    case RecordType::advanced:
      return "advanced";
    case RecordType::source_ended:
      return "source_ended";
    case RecordType::set_aside:
      return "set_aside";
    case RecordType::partitions_joined:
      return "partitions_joined";
    case RecordType::lookup_loaded:
      return "lookup_loaded";
    case RecordType::range_proposed:
      return "range_proposed";
    case RecordType::range_discarded:
      return "range_discarded";
  }
  return "unknown";
}

void put_place(std::string& out, const ResumePoint& place) {
  put_text(out, place.file);
  put_varint(out, place.device);
  put_varint(out, place.inode);
  put_varint(out, place.offset);
  put_varint(out, place.lines);
  put_u64(out, place.head_digest);
}

ResumePoint read_place(ByteReader& in) {
  ResumePoint place;
  place.file = in.text();
  place.device = in.varint();
  place.inode = in.varint();
  place.offset = in.varint();
  place.lines = in.varint();
  place.head_digest = in.u64();
  return place;
}

RecordType type_of(const ControlRecord& record) {
  static constexpr RecordType kTypes[] = {RecordType::session_started,   RecordType::advanced,
                                          RecordType::source_ended,      RecordType::set_aside,
                                          RecordType::partitions_joined, RecordType::lookup_loaded,
                                          RecordType::range_discarded};
  static_assert(std::variant_size_v<ControlRecord> == std::size(kTypes));
  return kTypes[record.index()];
}

std::size_t text_bytes(const ControlRecord& record) {
  if (const auto* session = std::get_if<SessionStarted>(&record)) {
    return session->config_text.size();
  }
  const auto* lookup = std::get_if<LookupLoaded>(&record);
  return lookup == nullptr ? 0 : lookup->text.size();
}

void encode(const ControlRecord& record, std::string& out) {
  const auto put_one = [&out]<class Record>(const Record& r) {
    put_u8(out, kVersion<Record>);
    put(out, r);
  };
  std::visit(put_one, record);
}

Result<ControlRecord> decode_control(RecordType type, std::string_view payload) {
  switch (type) {
    case RecordType::session_started:
      return decode_as<SessionStarted>(type, payload);
    case RecordType::advanced:
      return decode_as<Advanced>(type, payload);
    case RecordType::source_ended:
      return decode_as<SourceEnded>(type, payload);
    case RecordType::set_aside:
      return decode_as<SetAside>(type, payload);
    case RecordType::partitions_joined:
      return decode_as<PartitionsJoined>(type, payload);
    case RecordType::lookup_loaded:
      return decode_as<LookupLoaded>(type, payload);
    case RecordType::range_discarded:
      return decode_as<RangeDiscarded>(type, payload);
    case RecordType::batch:
    case RecordType::range_proposed:
      break;
  }
  return fail(ErrorCode::invalid, fmt::format("record type {} is not known to this version",
                                              static_cast<unsigned>(type)));
}

}  // namespace streamobs::wal

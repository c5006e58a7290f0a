#include "wal/record.h"

#include <limits>

#include <fmt/format.h>

#include "base/bytes.h"

namespace streamobs::wal {

namespace {

/// Of every payload but a batch's, which has its own.
constexpr std::uint8_t kVersion = 1;

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

bool get(ByteReader& in, SessionStarted& record) {
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
  put_varint(out, record.idle_sources.size());
  for (const std::uint32_t source : record.idle_sources) put_varint(out, source);
  put_signed(out, record.watermark);
}

bool get(ByteReader& in, Advanced& record) {
  bool fits = true;
  record.at = in.signed_varint();
  record.stream_id = get_u32(in, fits);
  record.idle_sources.resize(in.count());
  for (std::uint32_t& source : record.idle_sources) source = get_u32(in, fits);
  record.watermark = in.signed_varint();
  return fits;
}

void put(std::string& out, const SourceEnded& record) {
  put_signed(out, record.at);
  put_varint(out, record.source_id);
  put_varint(out, record.blocks);
}

bool get(ByteReader& in, SourceEnded& record) {
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

bool get(ByteReader& in, SetAside& record) {
  bool fits = true;
  record.at = in.signed_varint();
  record.sequence = in.varint();
  record.attempts = get_u32(in, fits);
  return fits;
}

template <class Record>
Result<ControlRecord> decode_as(RecordType type, std::string_view payload) {
  ByteReader in(payload);
  Record record;
  const bool known = in.u8() == kVersion;
  if (!known || !get(in, record) || !in.ok() || !in.at_end()) {
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
  }
  return "unknown";
}

RecordType type_of(const ControlRecord& record) {
  static constexpr RecordType kTypes[] = {RecordType::session_started, RecordType::advanced,
                                          RecordType::source_ended, RecordType::set_aside};
  static_assert(std::variant_size_v<ControlRecord> == std::size(kTypes));
  return kTypes[record.index()];
}

void encode(const ControlRecord& record, std::string& out) {
  put_u8(out, kVersion);
  std::visit([&](const auto& r) { put(out, r); }, record);
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
    case RecordType::batch:
      break;
  }
  return fail(ErrorCode::invalid, fmt::format("record type {} is not known to this version",
                                              static_cast<unsigned>(type)));
}

}  // namespace streamobs::wal

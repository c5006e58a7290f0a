#include "event/record_state.h"

#include <cmath>
#include <limits>
#include <utility>

#include "base/decimal.h"

namespace streamobs {

namespace {

constexpr Timestamp kFurthestTime = std::numeric_limits<Timestamp>::max() / 4;  // 73,000 years.
constexpr std::uint8_t kNull = 0x80;  // In the byte of a value's kind.
constexpr std::uint8_t kResolved = 1;
constexpr std::uint8_t kWithdrawn = 2;

void put_optional_time(std::string& out, const std::optional<Timestamp>& time) {
  put_u8(out, time ? 1 : 0);
  if (time) put_signed(out, *time);
}

bool read_flag(ByteReader& in, bool& out) {
  const std::uint8_t byte = in.u8();
  out = byte == 1;
  return in.ok() && byte <= 1;
}

bool read_optional_time(ByteReader& in, std::optional<Timestamp>& out) {
  bool there = false;
  if (!read_flag(in, there)) return false;
  out.reset();
  return !there || read_time(in, out.emplace());
}

void put_optional_number(std::string& out, const std::optional<double>& number) {
  put_u8(out, number ? 1 : 0);
  if (number) put_double(out, *number);
}

bool read_optional_number(ByteReader& in, std::optional<double>& out) {
  bool there = false;
  if (!read_flag(in, there)) return false;
  out.reset();
  if (there) out = in.number();
  return in.ok();
}

bool read_text(ByteReader& in, std::string& out) {
  out = std::string(in.text());
  return in.ok();
}

bool read_severity(ByteReader& in, Severity& out) {
  const std::uint8_t byte = in.u8();
  out = static_cast<Severity>(byte);
  return in.ok() && byte <= static_cast<std::uint8_t>(Severity::critical);
}

void put_texts(std::string& out, const std::vector<std::string>& texts) {
  put_varint(out, texts.size());
  for (const std::string& text : texts) put_text(out, text);
}

bool read_texts(ByteReader& in, std::vector<std::string>& out) {
  out.clear();
  for (std::size_t left = in.count(); left > 0 && in.ok(); --left) out.emplace_back(in.text());
  return in.ok();
}

}  // namespace

bool is_plausible_time(Timestamp time) {
  return time >= -kFurthestTime && time <= kFurthestTime;
}

bool read_time(ByteReader& in, Timestamp& out) {
  out = in.signed_varint();
  return in.ok() && (out == kMinTimestamp || is_plausible_time(out));
}

void put_value(std::string& out, const Value& value) {
  const auto kind = static_cast<std::uint8_t>(value.type.kind);
  put_u8(out, value.null ? kind | kNull : kind);
  if (value.type.kind == Kind::decimal) put_u8(out, value.type.scale);
  if (value.null) return;
  switch (value.type.kind) {
    case Kind::null:
      break;
    case Kind::floating:
      put_double(out, value.floating);
      break;
    case Kind::string:
    case Kind::map:
      put_text(out, value.text);
      break;
    default:
      put_signed(out, value.integer);
      break;
  }
}

bool read_value(ByteReader& in, Value& out) {
  const std::uint8_t first = in.u8();
  const auto kind = static_cast<std::uint8_t>(first & ~kNull);
  if (!in.ok() || kind > static_cast<std::uint8_t>(Kind::map)) return false;
  out = Value::of_null({static_cast<Kind>(kind), 0});
  if (out.type.kind == Kind::decimal) out.type.scale = in.u8();
  if (out.type.scale > kMaxDecimalScale) return false;
  if ((first & kNull) != 0) return in.ok();
  out.null = false;
  switch (out.type.kind) {
    case Kind::null:
      return false;
    case Kind::floating:
      out.floating = in.number();
      return in.ok() && std::isfinite(out.floating);
    case Kind::string:
    case Kind::map:
      return read_text(in, out.text);
    default:
      out.integer = in.signed_varint();
      return in.ok() && (out.type.kind != Kind::boolean || (out.integer & ~1) == 0);
  }
}

void put_named_values(std::string& out, const std::vector<NamedValue>& values) {
  put_varint(out, values.size());
  for (const NamedValue& v : values) {
    put_text(out, v.name);
    put_value(out, v.value);
  }
}

bool read_named_values(ByteReader& in, std::vector<NamedValue>& out) {
  out.clear();
  for (std::size_t left = in.count(); left > 0; --left) {
    NamedValue v{std::string(in.text()), Value::of_null({})};
    if (!read_value(in, v.value)) return false;
    out.push_back(std::move(v));
  }
  return in.ok();
}

void put_anomaly(std::string& out, const Anomaly& anomaly) {
  put_text(out, anomaly.id);
  put_text(out, anomaly.rule);
  put_text(out, anomaly.window);
  put_u8(out, static_cast<std::uint8_t>(anomaly.severity));
  put_signed(out, anomaly.detected_at);
  put_signed(out, anomaly.window_start);
  put_signed(out, anomaly.window_end);
  put_optional_time(out, anomaly.since);
  put_named_values(out, anomaly.keys);
  put_text(out, anomaly.metric_name);
  put_optional_number(out, anomaly.metric_value);
  put_optional_number(out, anomaly.baseline_value);
  put_optional_number(out, anomaly.baseline_before);
  put_optional_number(out, anomaly.threshold_value);
  put_text(out, anomaly.description);
  put_u8(out, static_cast<std::uint8_t>((anomaly.resolved ? kResolved : 0) |
                                        (anomaly.withdrawn ? kWithdrawn : 0)));
  put_optional_time(out, anomaly.resolved_at);
  put_varint(out, anomaly.position);
  put_varint(out, anomaly.revision);
}

bool read_anomaly(ByteReader& in, Anomaly& out, bool with_revision) {
  const bool good = read_text(in, out.id) && read_text(in, out.rule) && read_text(in, out.window) &&
                    read_severity(in, out.severity) && read_time(in, out.detected_at) &&
                    read_time(in, out.window_start) && read_time(in, out.window_end) &&
                    read_optional_time(in, out.since) && read_named_values(in, out.keys) &&
                    read_text(in, out.metric_name) && read_optional_number(in, out.metric_value) &&
                    read_optional_number(in, out.baseline_value) &&
                    read_optional_number(in, out.baseline_before) &&
                    read_optional_number(in, out.threshold_value) && read_text(in, out.description);
  const std::uint8_t flags = in.u8();
  out.resolved = (flags & kResolved) != 0;
  out.withdrawn = (flags & kWithdrawn) != 0;
  const bool timed = read_optional_time(in, out.resolved_at);
  out.position = in.varint();
  const std::uint64_t revision = with_revision ? in.varint() : 0;
  out.revision = static_cast<std::uint32_t>(revision);
  return good && timed && in.ok() && flags <= (kResolved | kWithdrawn) &&
         revision <= std::numeric_limits<std::uint32_t>::max();
}

void put_incident(std::string& out, const Incident& incident) {
  put_text(out, incident.id);
  put_named_values(out, incident.keys);
  put_u8(out, static_cast<std::uint8_t>(incident.severity));
  put_signed(out, incident.started_at);
  put_signed(out, incident.last_seen_at);
  put_optional_time(out, incident.resolved_at);
  put_text(out, incident.title);
  put_text(out, incident.explanation);
  put_texts(out, incident.evidence);
  put_texts(out, incident.anomaly_ids);
  put_varint(out, incident.anomaly_count);
  put_text(out, incident.narrated_by);
  put_varint(out, incident.revision);
  put_varint(out, incident.position);
}

bool read_incident(ByteReader& in, Incident& out) {
  const bool good = read_text(in, out.id) && read_named_values(in, out.keys) &&
                    read_severity(in, out.severity) && read_time(in, out.started_at) &&
                    read_time(in, out.last_seen_at) && read_optional_time(in, out.resolved_at) &&
                    read_text(in, out.title) && read_text(in, out.explanation) &&
                    read_texts(in, out.evidence) && read_texts(in, out.anomaly_ids);
  out.anomaly_count = in.varint();
  const bool narrated = read_text(in, out.narrated_by);
  const std::uint64_t revision = in.varint();
  out.revision = static_cast<std::uint32_t>(revision);
  out.position = in.varint();
  return good && narrated && in.ok() && revision <= std::numeric_limits<std::uint32_t>::max();
}

}  // namespace streamobs

#include "narrate/state.h"

#include <memory>
#include <utility>
#include <vector>

#include "event/record_state.h"

namespace streamobs::narrate {

namespace {

constexpr std::uint8_t kWithRevisions = 3;  // The version.

template <class Texts>
void put_texts(std::string& out, const Texts& texts) {
  put_varint(out, texts.size());
  for (const std::string& text : texts) put_text(out, text);
}

bool read_texts(ByteReader& in, std::vector<std::string>& out) {
  for (std::size_t left = in.count(); left > 0 && in.ok(); --left) out.emplace_back(in.text());
  return in.ok();
}

// Sorted and without repetition, or nobody wrote it.
bool read_texts(ByteReader& in, std::set<std::string>& out) {
  for (std::size_t left = in.count(); left > 0 && in.ok(); --left) {
    std::string text(in.text());
    if (!out.empty() && text <= *out.rbegin()) return false;
    out.insert(out.end(), std::move(text));
  }
  return in.ok();
}

void put_finding(std::string& out, const Finding& finding) {
  put_text(out, finding.sentence);
  put_texts(out, finding.facts);
}

bool read_finding(ByteReader& in, Finding& out) {
  out.sentence = std::string(in.text());
  return read_texts(in, out.facts);
}

void put_track(std::string& out, const RuleTrack& track) {
  for (const AnomalyPtr& anomaly : {track.first, track.worst, track.last}) {
    put_anomaly(out, *anomaly);
  }
  put_signed(out, track.since);
  put_varint(out, track.windows);
  put_varint(out, track.before.size());
  for (const Level& level : track.before) {
    put_text(out, level.metric);
    put_double(out, level.mean);
    put_double(out, level.deviation);
    put_varint(out, level.windows);
  }
  put_varint(out, track.withdrawn);
  put_varint(out, track.newest.size());
  for (const AnomalyPtr& anomaly : track.newest) put_anomaly(out, *anomaly);
}

bool read_track(ByteReader& in, std::uint8_t version, RuleTrack& out) {
  const bool with_revision = version >= kWithRevisions;
  for (AnomalyPtr* const place : {&out.first, &out.worst, &out.last}) {
    auto anomaly = std::make_shared<Anomaly>();
    if (!read_anomaly(in, *anomaly, with_revision)) return false;
    *place = std::move(anomaly);
  }
  if (!read_time(in, out.since)) return false;
  out.windows = in.varint();
  for (std::size_t left = in.count(); left > 0 && in.ok(); --left) {
    Level& level = out.before.emplace_back();
    level.metric = std::string(in.text());
    level.mean = in.number();
    level.deviation = in.number();
    level.windows = in.varint();
  }
  if (with_revision) {
    out.withdrawn = in.varint();
    for (std::size_t left = in.count(); left > 0; --left) {
      auto anomaly = std::make_shared<Anomaly>();
      if (!read_anomaly(in, *anomaly)) return false;
      remember_window(out, std::move(anomaly));
    }
  } else {
    for (const AnomalyPtr& known : {out.first, out.worst, out.last}) remember_window(out, known);
  }
  return in.ok();
}

}  // namespace

void put_open(std::string& out, const OpenIncident& open) {
  put_incident(out, open.incident());
  put_text(out, open.stream);
  put_u8(out, open.told.quiet ? 1 : 0);
  put_signed(out, open.last_resolved_at);
  put_texts(out, open.unresolved);
  put_texts(out, open.told.others);
  put_finding(out, open.told.alongside);
  put_finding(out, open.told.parts);
  put_varint(out, open.told.rules.size());
  for (const RuleTrack& track : open.told.rules) put_track(out, track);
}

bool read_open(ByteReader& in, std::uint8_t version, OpenIncident& out) {
  if (!read_incident(in, out.incident())) return false;
  out.stream = std::string(in.text());
  const std::uint8_t flags = in.u8();
  out.told.quiet = flags == 1;
  if (flags > 1 || !read_time(in, out.last_resolved_at)) return false;
  if (!read_texts(in, out.unresolved) || !read_texts(in, out.told.others)) return false;
  if (!read_finding(in, out.told.alongside) || !read_finding(in, out.told.parts)) return false;
  for (std::size_t left = in.count(); left > 0; --left) {
    if (!read_track(in, version, out.told.rules.emplace_back())) return false;
  }
  out.sent = out.incident();
  // It was opened by an anomaly, and is told by its rules.
  return in.ok() && !out.told.rules.empty();
}

}  // namespace streamobs::narrate

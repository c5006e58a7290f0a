#include "detect/state.h"

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include "event/record_state.h"

namespace streamobs::detect {

namespace {

// Versions.
constexpr std::uint8_t kWithRevisions = 3;
constexpr std::uint8_t kWithoutStreams = 4;
constexpr std::uint8_t kWithIds = 4;

constexpr std::uint8_t kTrueNow = 1;
constexpr std::uint8_t kFiring = 2;
constexpr std::uint8_t kWithBaseline = 4;

void put_streak(std::string& out, const RuleRun::Streak& streak) {
  // What a streak that is over began with decides nothing any more: it is not state.
  const bool true_now = streak.first_end.has_value();
  const bool with_baseline = true_now && streak.first_baseline.has_value();
  put_u8(out, static_cast<std::uint8_t>((true_now ? kTrueNow : 0) | (streak.firing ? kFiring : 0) |
                                        (with_baseline ? kWithBaseline : 0)));
  if (true_now) {
    put_signed(out, *streak.first_end);
    put_signed(out, streak.first_start);
  }
  if (with_baseline) put_double(out, *streak.first_baseline);
  put_signed(out, streak.last_true_end);
}

bool read_streak(ByteReader& in, RuleRun::Streak& out) {
  out = {};
  const std::uint8_t flags = in.u8();
  if (flags > (kTrueNow | kFiring | kWithBaseline)) return false;
  out.firing = (flags & kFiring) != 0;
  if ((flags & kTrueNow) != 0) {
    if (!read_time(in, out.first_end.emplace()) || !is_plausible_time(*out.first_end)) return false;
    if (!read_time(in, out.first_start)) return false;
  } else if (flags != 0) {
    return false;
  }
  if ((flags & kWithBaseline) != 0) out.first_baseline = in.number();
  return read_time(in, out.last_true_end);
}

bool read_key(ByteReader& in, std::uint8_t version, const StoredRule& rule, StoredRule::Key& out) {
  out.bytes = std::string(in.text());
  RuleRun::Key& key = out.state;
  key.text = std::string(in.text());
  key.history = KeyHistory(rule.series.size());
  if (!key.history.read(in)) return false;
  if (!read_time(in, key.start) || !read_time(in, key.end)) return false;
  if (!is_plausible_time(key.start) || !is_plausible_time(key.end)) return false;
  if (!read_streak(in, key.streak) || !read_streak(in, key.streak_before)) return false;
  for (std::size_t left = in.count(); left > 0; --left) {
    auto anomaly = std::make_shared<Anomaly>();
    if (!read_anomaly(in, *anomaly, version >= kWithRevisions)) return false;
    key.open.push_back(std::move(anomaly));
  }
  if (version >= kWithRevisions) {
    const std::uint64_t said = in.varint();
    if (said > std::numeric_limits<std::uint32_t>::max()) return false;
    if (said != 0) key.said.emplace().revision = static_cast<std::uint32_t>(said - 1);
  } else if (!key.open.empty() && key.open.back()->window_start == key.start) {
    key.said.emplace();
  }
  if (key.said) {
    key.said->id =
        version >= kWithIds ? std::string(in.text()) : anomaly_id(rule.name, key.start, out.bytes);
  }
  // Silence is counted from the last true window.
  return in.ok() && (key.open.empty() || is_plausible_time(key.streak.last_true_end));
}

}  // namespace

bool skip_streams(ByteReader& in, std::uint8_t version) {
  if (version >= kWithoutStreams) return in.ok();
  for (std::size_t left = in.count(); left > 0; --left) {
    Timestamp watermark = 0;
    in.text();
    in.varint();
    if (!read_time(in, watermark)) return false;
  }
  return in.ok();
}

void put_key(std::string& out, std::string_view bytes, const RuleRun::Key& key) {
  put_text(out, bytes);
  put_text(out, key.text);
  key.history.put(out);
  put_signed(out, key.start);
  put_signed(out, key.end);
  put_streak(out, key.streak);
  put_streak(out, key.streak_before);
  put_varint(out, key.open.size());
  for (const AnomalyPtr& anomaly : key.open) put_anomaly(out, *anomaly);
  put_varint(out, key.said ? std::uint64_t{key.said->revision} + 1 : 0);
  if (key.said) put_text(out, key.said->id);
}

bool read_rule(ByteReader& in, std::uint8_t version, StoredRule& out) {
  out.name = std::string(in.text());
  out.definition = in.u64();
  const std::uint8_t ids = version >= kWithIds ? in.u8() : 1;
  if (ids > 1) return false;
  out.old_ids = ids == 1;
  out.window = std::string(in.text());
  out.window_definition = in.u64();
  for (std::size_t left = in.count(); left > 0 && in.ok(); --left) {
    out.series.emplace_back(in.text());
  }
  if (!read_time(in, out.newest_end)) return false;
  const std::size_t keys = in.count();
  if (keys > Detector::kMaxKeys) return false;
  for (std::size_t i = 0; i < keys; ++i) {
    if (!read_key(in, version, out, out.keys.emplace_back())) return false;
  }
  std::set<std::string_view> distinct;
  for (const StoredRule::Key& key : out.keys) distinct.insert(key.bytes);
  return in.ok() && distinct.size() == out.keys.size();
}

std::vector<std::optional<std::size_t>> places_of(const std::vector<std::string>& wanted,
                                                  const std::vector<std::string>& there) {
  std::vector<std::optional<std::size_t>> out;
  for (const std::string& text : wanted) {
    const auto at = std::find(there.begin(), there.end(), text);
    out.emplace_back();
    if (at != there.end()) out.back() = static_cast<std::size_t>(at - there.begin());
  }
  return out;
}

// RuleRun's part in it stands here rather than in rule_run.cpp: it is about bytes, not verdicts.

void RuleRun::snapshot(std::string& out) const {
  put_text(out, plan_.options.name.text);
  put_u64(out, plan_.definition);
  put_u8(out, old_ids_ ? 1 : 0);
  put_text(out, plan_.schema->window);
  put_u64(out, plan_.schema->definition);
  put_varint(out, plan_.series_text.size());
  for (const std::string& text : plan_.series_text) put_text(out, text);
  put_signed(out, newest_end_);
  put_varint(out, keys_.size());
  // Tens of megabytes with many keys: not to be moved again and again while it grows.
  constexpr std::size_t kKeyBytes = 96;
  out.reserve(out.size() + history_words_ * sizeof(double) + keys_.size() * kKeyBytes);
  for (const std::string* bytes : recency_) put_key(out, *bytes, keys_.find(*bytes)->second);
}

void RuleRun::adopt(StoredRule stored) {
  const bool same = stored.definition == plan_.definition;
  const auto places = places_of(plan_.series_text, stored.series);
  const bool some = std::any_of(places.begin(), places.end(), [](const auto& p) { return p; });
  newest_end_ = stored.newest_end;
  old_ids_ = same && stored.old_ids;
  for (StoredRule::Key& from : stored.keys) {
    const auto at = keys_.try_emplace(std::move(from.bytes), std::move(from.state)).first;
    Key& key = at->second;
    if (!same) {
      key.history = some ? key.history.select(places) : KeyHistory(plan_.series);
      key.streak = {};
      key.streak_before = {};
      // What it has said is another rule's, and stays as RestoredRules::withdrawn() says it.
      key.said.reset();
      key.open.clear();
    }
    key.recency = recency_.insert(recency_.end(), &at->first);
    history_words_ += key.history.size() * (1 + plan_.series);
    open_anomalies_ += key.open.size();
    if (!key.open.empty()) open_keys_[at->first] = &key;
  }
}

}  // namespace streamobs::detect

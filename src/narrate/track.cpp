#include "narrate/track.h"

#include <algorithm>
#include <cmath>

namespace streamobs::narrate {

namespace {

constexpr double kSameNormal = 0.25;  // A normal level that has moved by less is the same one.

}  // namespace

Duration size_of(const Anomaly& a) {
  return a.window_end - a.window_start;
}

std::optional<double> normal(const RuleTrack& track) {
  if (track.worst->baseline_value) return track.worst->baseline_value;
  for (const Level& level : track.before) {
    if (level.metric == track.worst->metric_name) return level.mean;
  }
  return std::nullopt;
}

bool has_baseline(const RuleTrack& track) {
  return track.worst->baseline_value.has_value();
}

std::optional<double> limit(const RuleTrack& track) {
  return track.worst->threshold_value;
}

MetricWords words_of(const RuleTrack& track) {
  const Anomaly& a = *track.worst;
  return metric_words(a.metric_name, std::max(std::abs(a.metric_value.value_or(0)),
                                              std::abs(normal(track).value_or(0))));
}

std::string normal_at_first(const RuleTrack& track) {
  const Anomaly& first = *track.first;
  const auto then = first.baseline_before ? first.baseline_before : first.baseline_value;
  const auto now = track.worst->baseline_value;
  if (!then || !now || std::abs(*now - *then) <= kSameNormal * std::abs(*then)) return {};
  return quantity(*then, words_of(track)) + " before it began";
}

bool same_measure(const RuleTrack& a, const RuleTrack& b) {
  return a.worst->metric_name == b.worst->metric_name && a.worst->keys == b.worst->keys;
}

bool fell_silent(const RuleTrack& track, const Incident& incident) {
  return track.last->window_end + 2 * size_of(*track.last) <= incident.last_seen_at;
}

bool on_and_off(const RuleTrack& track) {
  const Duration size = std::max<Duration>(size_of(*track.worst), 1);
  const Duration spanned = (track.last->window_end - track.since) / size;
  const Duration waited = (track.first->window_start - track.since) / size;
  return static_cast<Duration>(track.windows) + waited < spanned;
}

Side side_of(const Anomaly& a) {
  if (!a.metric_value) return Side::neither;
  const double value = *a.metric_value;
  const double other = a.threshold_value && *a.threshold_value != value
                           ? *a.threshold_value
                           : a.baseline_value.value_or(value);
  if (value == other) return Side::neither;
  return value > other ? Side::high : Side::low;
}

bool too_high(const Anomaly& a) {
  return side_of(a) != Side::low;
}

void remember_levels(RuleTrack& track, Timestamp started_at, const EvidenceStore& evidence) {
  const WindowMemory* const memory = evidence.window(track.first->window);
  if (memory == nullptr) return;
  const auto series = memory->matching(track.first->keys);
  if (series.empty()) return;
  const auto troubled = evidence.troubles(*memory, *series.front());
  std::vector<Level> levels;
  const auto& metrics = memory->schema().metrics;
  for (std::size_t i = 0; i < metrics.size(); ++i) {
    const Normal::Level usual =
        series.front()->usual(started_at - memory->lookback(), started_at, troubled,
                              [&](const Series::Entry& entry) { return entry.metrics[i]; });
    if (usual.count < kMinWindows) continue;
    levels.push_back({metrics[i].name, usual.mean(), usual.deviation(), usual.count});
  }
  if (!levels.empty()) track.before = std::move(levels);
}

bool tells_of(const RuleTrack& track, const std::string& anomaly_id) {
  if (!track.stands()) return false;
  const auto same = [&](const AnomalyPtr& known) { return known->id == anomaly_id; };
  return same(track.first) || same(track.worst) || same(track.last) ||
         std::any_of(track.newest.begin(), track.newest.end(), same);
}

void remember_window(RuleTrack& track, AnomalyPtr anomaly) {
  auto& newest = track.newest;
  const auto place = std::lower_bound(
      newest.begin(), newest.end(), anomaly->window_start,
      [](const AnomalyPtr& known, Timestamp start) { return known->window_start < start; });
  if (place != newest.end() && (*place)->window_start == anomaly->window_start) {
    *place = std::move(anomaly);
    return;
  }
  newest.insert(place, std::move(anomaly));
  if (newest.size() > RuleTrack::kNewest) newest.erase(newest.begin());
}

Timestamp since_of(const Anomaly& a) {
  return std::min(a.since.value_or(a.window_start), a.window_start);
}

bool worse(const Anomaly& a, const Anomaly& b) {
  if (!a.metric_value || !b.metric_value) return a.metric_value && !b.metric_value;
  return too_high(b) ? *a.metric_value > *b.metric_value : *a.metric_value < *b.metric_value;
}

void continue_track(RuleTrack& track, const AnomalyPtr& anomaly, Timestamp since, bool again) {
  remember_window(track, anomaly);
  if (!track.stands()) {
    track.first = track.worst = track.last = anomaly;
    track.since = since;
    track.windows = 1;
    return;
  }
  track.since = std::min(track.since, since);
  if (!again) ++track.windows;
  const auto same = [&](const AnomalyPtr& a) { return a->id == anomaly->id; };
  if (same(track.first) || anomaly->window_start < track.first->window_start) {
    track.first = anomaly;
  }
  if (same(track.last) || anomaly->window_start > track.last->window_start) {
    track.last = anomaly;
  }
  if (same(track.worst)) track.worst = anomaly;
  for (const AnomalyPtr& other : track.newest) {
    if (worse(*other, *track.worst)) track.worst = other;
  }
  if (worse(*track.first, *track.worst)) track.worst = track.first;
}

}  // namespace streamobs::narrate

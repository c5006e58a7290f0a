// What one rule has said of one key in one incident, and what follows from that: the worst of it,
// what is normal, whether it is over.
//
// Plain values in the narrator's state, on its strand; knows no column by name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/quantity.h"
#include "event/anomaly.h"
#include "narrate/evidence.h"

namespace streamobs::narrate {

/// What a metric was before the incident: its mean over the hour before, as long as that was known,
/// and how far single windows were from it (standard deviation).
struct Level {
  std::string metric;
  double mean = 0;
  double deviation = 0;
  std::size_t windows = 0;
};

/// What one rule has said of one key in one incident.
struct RuleTrack {
  AnomalyPtr first;  ///< The earliest window: its baseline is what was normal before all this.
  AnomalyPtr worst;  ///< The window furthest beyond what is allowed.
  AnomalyPtr last;
  Timestamp since = 0;        ///< Start of the first window in which it held; `for` comes after it.
  std::uint64_t windows = 0;  ///< Flagged ones, as far as late events have not taken that back.
  std::vector<Level> before;  ///< Of all metrics of the key in the rule's window.
  std::uint64_t withdrawn = 0;  ///< Windows in which it does not hold, corrected by late events.
  /// The newest flagged windows, at most kNewest, by time: when one is withdrawn, others take the
  /// place of first, worst and last.
  std::vector<AnomalyPtr> newest;
  static constexpr std::size_t kNewest = 12;

  /// Whether anything is left of it. If not, `worst` is the anomaly that was withdrawn last.
  bool stands() const { return windows != 0; }
};

/// Takes down, for a track, how its key was before the incident.
void remember_levels(RuleTrack& track, Timestamp started_at, const EvidenceStore& evidence);

/// Takes a flagged window among the track's newest, in the place of what was said of it before.
void remember_window(RuleTrack& track, AnomalyPtr anomaly);

/// Whether that anomaly stands in it, as far as it is remembered.
bool tells_of(const RuleTrack& track, const std::string& anomaly_id);

/// Continues it with a flagged window. `again`: that takes the place of what was said of it before.
void continue_track(RuleTrack& track, const AnomalyPtr& anomaly, Timestamp since, bool again);

/// The rule has held since then, though it may have been told to wait before it says so.
Timestamp since_of(const Anomaly& anomaly);
/// Further beyond what is allowed.
bool worse(const Anomaly& a, const Anomaly& b);

/// What the metric normally is: by the baseline the worst window was judged against, so that
/// incident and anomaly say the same; else by the rows of the hour before the incident.
std::optional<double> normal(const RuleTrack& track);
bool has_baseline(const RuleTrack& track);
/// What is allowed.
std::optional<double> limit(const RuleTrack& track);
/// How its metric is written.
MetricWords words_of(const RuleTrack& track);
/// "5% before it began", where what has lasted long has become the normal; else empty.
std::string normal_at_first(const RuleTrack& track);
bool same_measure(const RuleTrack& a, const RuleTrack& b);

Duration size_of(const Anomaly& anomaly);
/// Whether the rule has fallen silent while others of the incident go on. One window does not show
/// it: the rules speak one after the other.
bool fell_silent(const RuleTrack& track, const Incident& incident);
/// Whether there were windows in between in which the rule did not hold.
bool on_and_off(const RuleTrack& track);

/// Which side of what is allowed or usual a value is on.
enum class Side : std::uint8_t { neither, high, low };
Side side_of(const Anomaly& anomaly);
/// Whether values above the limit are the bad ones, by where the value lies.
bool too_high(const Anomaly& anomaly);

}  // namespace streamobs::narrate

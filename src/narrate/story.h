// An incident in plain words, from what is known of it and the evidence at hand.
//
// Pure functions over the narrator's state, on its strand. Knows no column by name: what it says
// comes from the schemas and the figures.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

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

/// A sentence and the facts behind it.
struct Finding {
  std::string sentence;
  std::vector<std::string> facts;
};

/// What an incident is made of.
struct Case {
  Incident incident;
  std::vector<RuleTrack> rules;  ///< In the order of their first anomaly.
  std::set<std::string> others;  ///< Labels of like incidents at the same time.
  /// Nothing is flagged at the moment: all its anomalies have resolved.
  bool quiet = false;
  /// What was last found about the metrics beside and about the parts; kept when the rows it came
  /// from have been forgotten.
  Finding alongside;
  Finding parts;
};

/// Takes down, for a track, how its key was before the incident.
void remember_levels(RuleTrack& track, Timestamp started_at, const EvidenceStore& evidence);

/// Takes a flagged window among the track's newest, in the place of what was said of it before.
void remember_window(RuleTrack& track, AnomalyPtr anomaly);

/// Writes title, explanation and evidence into the incident. `resolve_after`: as in the options.
void tell(Case& c, const EvidenceStore& evidence, const std::vector<std::string>& evidence_windows,
          Duration resolve_after);

/// Which side of what is allowed or usual a value is on.
enum class Side : std::uint8_t { neither, high, low };
Side side_of(const Anomaly& anomaly);
/// Whether values above the limit are the bad ones, by where the value lies.
bool too_high(const Anomaly& anomaly);

}  // namespace streamobs::narrate

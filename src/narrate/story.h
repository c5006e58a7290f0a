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
#include "narrate/track.h"

namespace streamobs::narrate {

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

/// What the config says about how incidents are told.
struct Telling {
  std::vector<std::string> evidence_windows;  ///< As in the options.
  Duration resolve_after = 0;                 ///< As in the options.
  /// Rules with a description of their own: their incidents are called by it.
  std::set<std::string> described;
};

/// Writes title, explanation and evidence into the incident.
void tell(Case& c, const EvidenceStore& evidence, const Telling& telling);

}  // namespace streamobs::narrate

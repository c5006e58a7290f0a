// An incident in plain words, from what is known of it and the evidence at hand.
//
// Pure functions over the narrator's state, on its strand. Knows no column by name: what it says
// comes from the schemas and the figures.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "event/anomaly.h"
#include "narrate/evidence.h"

namespace streamobs::narrate {

/// What one rule has said in one incident.
struct RuleTrack {
  AnomalyPtr worst;  ///< The window furthest beyond what is allowed.
  Timestamp first_start = 0;
  Timestamp last_end = 0;
  std::uint64_t windows = 0;  ///< Flagged ones.
};

/// What an incident is made of.
struct Case {
  Incident incident;
  std::vector<RuleTrack> rules;  ///< In the order of their first anomaly.
  std::set<std::string> others;  ///< Labels of like incidents at the same time.
  /// What was last found about the parts of it; kept when the rows it came from have been
  /// forgotten.
  std::string parts_sentence;
  std::vector<std::string> parts_facts;
};

/// Writes title, explanation and evidence into the incident.
void tell(Case& c, const EvidenceStore& evidence, const std::vector<std::string>& evidence_windows);

/// Whether values above the limit are the bad ones, by where the value lies.
bool too_high(const Anomaly& anomaly);

}  // namespace streamobs::narrate

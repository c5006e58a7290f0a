// Where within an incident the trouble is: the rows of finer windows, each against its own past.
#pragma once

#include <string>
#include <vector>

#include "event/anomaly.h"
#include "narrate/evidence.h"

namespace streamobs::narrate {

struct Parts {
  std::string sentence;            ///< Empty: no finer rows with a past are at hand.
  std::vector<std::string> facts;  ///< One line for each of the top ones.
};

/// Looks at the window of `worst`, in the first evidence window that has finer keys and rows there.
/// A part's normal level is its mean over the hour before the incident.
Parts find_parts(const Incident& incident, const Anomaly& worst, const EvidenceStore& evidence,
                 const std::vector<std::string>& evidence_windows);

}  // namespace streamobs::narrate

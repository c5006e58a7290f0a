// Where within an incident the trouble is: the rows of finer windows, each against its own past.
#pragma once

#include <string>
#include <vector>

#include "event/anomaly.h"
#include "narrate/evidence.h"
#include "narrate/story.h"

namespace streamobs::narrate {

/// Looks at the window of `worst`, in the first evidence window that has finer keys and rows there.
/// A part's normal level is its mean over the hour before the incident. One fact for each of the
/// top ones; empty where no finer rows with a past are at hand.
Finding find_parts(const Incident& incident, const Anomaly& worst, const EvidenceStore& evidence,
                   const std::vector<std::string>& evidence_windows);

}  // namespace streamobs::narrate

// How the other metrics of an incident's key were in its worst window: did traffic double, was
// latency up as well?
#pragma once

#include <set>
#include <string>

#include "narrate/evidence.h"
#include "narrate/story.h"

namespace streamobs::narrate {

/// `when`: how the sentence begins, "In the minute from 12:34 UTC". `told`: stems of metrics that
/// are spoken of elsewhere. Empty where the rows of that window or what was normal before are not
/// known.
Finding find_alongside(const RuleTrack& track, const std::string& when,
                       const std::set<std::string>& told, const EvidenceStore& evidence);

}  // namespace streamobs::narrate

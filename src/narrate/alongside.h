// How the other metrics of an incident's key were in its worst window: did traffic double, was
// latency up as well?
#pragma once

#include <optional>
#include <set>
#include <string>

#include "narrate/evidence.h"
#include "narrate/story.h"

namespace streamobs::narrate {

/// `when`: how the sentence begins, "In the minute from 12:34 UTC". `told`: stems of metrics that
/// are spoken of elsewhere. None where the row of that window has been forgotten; empty where there
/// is nothing else to say of it, or what was normal before is not known.
std::optional<Finding> find_alongside(const RuleTrack& track, const std::string& when,
                                      const std::set<std::string>& told,
                                      const EvidenceStore& evidence);

}  // namespace streamobs::narrate

// [incidents]: which anomalies belong together and what may be said about them.
#pragma once

#include <vector>

#include "base/clock.h"
#include "base/source_text.h"

namespace streamobs::narrate {

struct IncidentOptions {
  Duration gap = 5 * kMinute;  ///< Anomalies of one key closer than this are one incident.
  Duration resolve_after = 5 * kMinute;  ///< Resolved once its rules have been quiet for this long.
  /// Windows with finer keys whose rows may explain an incident: which endpoints moved?
  std::vector<SourceText> evidence;
};

}  // namespace streamobs::narrate

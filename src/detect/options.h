// [rule.NAME]: what an anomaly is.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/source_text.h"
#include "event/anomaly.h"

namespace streamobs::detect {

struct RuleOptions {
  SourceText name;
  SourceText on;      ///< The window whose closed rows it judges.
  SourceText when;    ///< True: the row is anomalous. May use baseline(metric, '1h').
  Duration hold = 0;  ///< `for`: it must have been true without a break for this long.
  Severity severity = Severity::medium;
  SourceText metric;       ///< Which column it is about; empty: found in `when`.
  SourceText description;  ///< A sentence with {name} placeholders; empty: made from the rule.
  /// Closed windows a baseline needs before it says anything (until then it is NULL: warming up).
  int warmup_windows = 5;
  /// Baselines leave out windows in which the rule held, while enough others are left
  /// (base/normal.h).
  bool baseline_over_unflagged = false;
  /// Resolved once the rule has been quiet for this long.
  Duration keep_firing_for = 0;
};

}  // namespace streamobs::detect

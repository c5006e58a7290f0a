#include "window/closing.h"

#include <algorithm>

#include "window/plan.h"

namespace streamobs::window {

std::vector<ClosingGrid> closing_grids(const StreamWindowsPlan& plan) {
  std::vector<ClosingGrid> grids;
  for (const WindowPlan& window : plan.windows) {
    const Assigner& ends = window.corrects() ? window.revisions : window.assigner;
    grids.push_back({ends.step(), window.wait()});
  }
  return grids;
}

Timestamp closing_watermark(const StreamWindowsPlan& plan, Timestamp t) {
  Timestamp latest = t;
  for (const WindowPlan& window : plan.windows) {
    latest = std::max(latest, window.closes_at(window.assigner.last_end(window.assigner.at(t))));
  }
  return latest;
}

}  // namespace streamobs::window

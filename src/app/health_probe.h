// One look at the running engine for its checks: counters and snapshots only, no locks that anybody
// waits behind, so on any thread. A function, but a friend of the topology as PipelineView is.
#pragma once

#include <string>
#include <vector>

#include "health/observation.h"

namespace streamobs::app {

class Topology;

class HealthProbe {
 public:
  /// Without the disk: asking that may block.
  static health::Observation look(const Topology& topology);
  /// Blocks.
  static health::DiskSeen look_at_disk(const std::string& path);

 private:
  static std::vector<health::WorkSeen> look_at_work(const Topology& topology);
};

}  // namespace streamobs::app

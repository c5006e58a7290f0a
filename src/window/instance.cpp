#include "window/instance.h"

#include <algorithm>

namespace streamobs::window {

std::vector<InstancePtr>::const_iterator find_instance(const std::vector<InstancePtr>& instances,
                                                       Timestamp start) {
  return std::lower_bound(
      instances.begin(), instances.end(), start,
      [](const InstancePtr& instance, Timestamp s) { return instance->interval.start < s; });
}

void PartialDeleter::operator()(Partial* partial) const {
  delete partial;
}

}  // namespace streamobs::window

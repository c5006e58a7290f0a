#include "window/instance.h"

#include <algorithm>

#include "window/plan.h"

namespace streamobs::window {

InstancePlace place_of(const WindowInstance& instance) {
  return {instance.table.plan().index, instance.due, instance.interval.start};
}

std::vector<InstancePtr>::const_iterator find_instance(const std::vector<InstancePtr>& instances,
                                                       const InstancePlace& place) {
  return std::lower_bound(instances.begin(), instances.end(), place,
                          [](const InstancePtr& instance, const InstancePlace& p) {
                            if (instance->due != p.due) return instance->due < p.due;
                            return instance->interval.start < p.start;
                          });
}

WindowInstance* instance_of(const std::vector<InstancePtr>& instances, const InstancePlace& place) {
  const auto at = find_instance(instances, place);
  if (at == instances.end() || (*at)->due != place.due || (*at)->interval.start != place.start) {
    return nullptr;
  }
  return at->get();
}

void PartialDeleter::operator()(Partial* partial) const {
  delete partial;
}

}  // namespace streamobs::window

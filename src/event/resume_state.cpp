#include "event/resume_state.h"

#include <algorithm>

namespace streamobs {

void ResumeState::remember(const ResumePoint& point) {
  if (point.file.empty()) return;
  // From the back: it is nearly always the file of the last block.
  const auto same_file = [&point](const ResumePoint& known) {
    return known.inode == point.inode && known.device == point.device;
  };
  const auto known = std::find_if(places.rbegin(), places.rend(), same_file);
  if (known != places.rend()) {
    std::rotate(std::prev(known.base()), known.base(), places.end());
    places.back() = point;
    return;
  }
  if (places.size() == kPlacesMax) {
    places.erase(places.begin());
    ++forgotten;
  }
  places.push_back(point);
}

}  // namespace streamobs

// Whether windows can be shown together, in a view ([view.NAME]). Free function, pure.
#pragma once

#include <optional>
#include <string>

#include "event/window_result.h"

namespace streamobs::app {

struct Difference {
  std::string message;
  std::string hint;
};

/// What keeps `window` from standing beside `first` in a view: another stream, other keys, or other
/// metrics. Types that are not known because of a mistake pass.
std::optional<Difference> difference_in_view(const WindowSchema& first, const WindowSchema& window);

}  // namespace streamobs::app

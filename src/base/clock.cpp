#include "base/clock.h"

#include <chrono>

namespace streamobs {

Timestamp SystemClock::now() const {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace streamobs

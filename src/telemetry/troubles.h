// What a source or a sink has complained of last, with what helps: for whoever looks at the engine.
//
// Something that goes on is told again with each try, so the time says whether it does. Any thread;
// lives as long as what it is about.
#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace streamobs::telemetry {

class Troubles {
 public:
  struct Told {
    std::string error;
    std::string advice;  ///< May be empty.
    Timestamp at = 0;
  };

  void tell(std::string_view error, std::string_view advice, Timestamp at) {
    const std::lock_guard lock(mutex_);
    last_ = Told{std::string(error), std::string(advice), at};
  }
  /// None: nothing has been told.
  std::optional<Told> last() const {
    const std::lock_guard lock(mutex_);
    return last_;
  }

 private:
  mutable std::mutex mutex_;
  std::optional<Told> last_;
};

}  // namespace streamobs::telemetry

// What a source or a sink has complained of last, with what helps: for whoever looks at the engine.
//
// Something that goes on is told again with each try, so the time says whether it does. What says
// why is not driven out by what follows from it ("all brokers are down" behind "the password is
// wrong"): it stays for kStays after it was told. Any thread; lives as long as what it is about.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace streamobs::telemetry {

class Troubles {
 public:
  /// How much a message says: that something is wrong, where, or why.
  enum class Says : std::uint8_t { that, where, why };
  static constexpr Duration kStays = kMinute;

  struct Told {
    std::string error;
    std::string advice;  ///< May be empty.
    Timestamp at = 0;    ///< When something was wrong last.
  };

  void tell(std::string_view error, std::string_view advice, Timestamp at, Says says = Says::why) {
    const std::lock_guard lock(mutex_);
    if (last_ && says < says_ && at - told_at_ < kStays) {
      last_->at = at;
      return;
    }
    last_ = Told{std::string(error), std::string(advice), at};
    says_ = says;
    told_at_ = at;
  }
  /// None: nothing has been told.
  std::optional<Told> last() const {
    const std::lock_guard lock(mutex_);
    return last_;
  }

 private:
  mutable std::mutex mutex_;
  std::optional<Told> last_;
  Says says_ = Says::that;  ///< What is in last_,
  Timestamp told_at_ = 0;   ///< and when that was told.
};

}  // namespace streamobs::telemetry

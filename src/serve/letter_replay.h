// Dead letters sent again, as the API asks for it; implemented by the app, which has the way in.
//
// Outlives the HTTP server. Called on the strand of the asking connection, which goes on there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "flow/asio.h"
#include "store/query.h"

namespace streamobs::serve {

struct ReplayReport {
  static constexpr std::size_t kErrorsMax = 100;

  /// A letter whose event was not taken.
  struct Failure {
    std::int64_t id = 0;
    std::string reason;  ///< Why it was refused again; empty: it was passed over.
    std::string detail;
  };

  std::uint64_t accepted = 0;     ///< Events that were taken.
  std::uint64_t rejected = 0;     ///< Refused again: each is a dead letter of its own now.
  std::uint64_t repeated = 0;     ///< Had been sent again before; counted no second time.
  std::uint64_t passed_over = 0;  ///< Letters that cannot be sent again as they are.
  bool more = false;              ///< The limit was reached before the end.
  std::string stopped;            ///< Why it ended before the end and the limit; empty: it did not.
  std::vector<Failure> failures;  ///< The first kErrorsMax.

  ReplayReport() = default;  // Not an aggregate: g++ 12 destroys those twice in a co_await.
};

class LetterReplay {
 public:
  virtual ~LetterReplay() = default;
  /// Sends the events of these letters again, the oldest first, at most `which.list.limit` of them;
  /// letters that have been sent again already are left out. `lane` is the connection's.
  /// `unavailable`: another replay is under way.
  virtual asio::awaitable<Result<ReplayReport>> replay(std::size_t lane,
                                                       store::DeadLetterQuery which) = 0;
};

}  // namespace streamobs::serve

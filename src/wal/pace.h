// Keeps work that nobody waits for (sealing, preparing) out of the way of commits.
//
// A commit that comes while such work has the disk or its processor waits for it: niceness decides
// who begins, not who goes on (Linux leaves a running thread its slice, some milliseconds, whoever
// wakes), and a disk knows no niceness. So the work is done in small pieces, each followed by as
// long a rest: a commit waits for one piece, and what has piled up meanwhile finds the way clear.
//
// One thread, as long as one piece of maintenance.
#pragma once

#include <atomic>
#include <chrono>

namespace streamobs::wal {

class Pace {
 public:
  /// `ended`: the process ends, and nothing is to be begun any more. Outlives this.
  explicit Pace(const std::atomic<bool>& ended) : ended_(ended) {}

  /// Between two pieces of work, the smaller the better. False: there is to be no further one.
  bool go_on();

 private:
  using Clock = std::chrono::steady_clock;

  const std::atomic<bool>& ended_;
  Clock::time_point working_since_ = Clock::now();
};

}  // namespace streamobs::wal

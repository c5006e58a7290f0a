#include "wal/pace.h"

#include <algorithm>
#include <thread>

namespace streamobs::wal {

namespace {

/// Shorter ones would go on waking up, of longer ones a commit would notice each.
constexpr std::chrono::microseconds kPiece{300};
/// However slow the disk was just now.
constexpr std::chrono::milliseconds kLongestRest{5};

}  // namespace

bool Pace::go_on() {
  if (ended_.load(std::memory_order_relaxed)) return false;
  const auto worked = Clock::now() - working_since_;
  if (worked < kPiece) return true;
  std::this_thread::sleep_for(std::min<Clock::duration>(worked, kLongestRest));
  working_since_ = Clock::now();
  return !ended_.load(std::memory_order_relaxed);
}

}  // namespace streamobs::wal

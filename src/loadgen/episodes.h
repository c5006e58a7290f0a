// When and where things go wrong in generated data: contiguous episodes of one kind on one key.
//
// A schedule is drawn from the seed as event time goes on, one episode at a time, with gaps chosen
// so that in the long run the wanted share of all events belongs to an episode. Belongs to one
// scenario; the times it is given never go back.
#pragma once

#include <cstdint>
#include <vector>

#include "base/clock.h"
#include "loadgen/random.h"

namespace streamobs::loadgen {

struct Episode {
  std::uint64_t number = 0;  ///< 1, 2, 3 … ; 0: none.
  std::uint32_t kind = 0;    ///< Index into the scenario's kinds.
  std::uint32_t key = 0;     ///< Index of the affected key.
  double strength = 0;       ///< Uniform in [0, 1): how bad it gets.
  std::uint64_t dice = 0;    ///< More randomness, for which endpoint and the like.
  Timestamp from = 0;
  Timestamp to = 0;  ///< Exclusive.

  bool covers(Timestamp event_time) const { return event_time >= from && event_time < to; }
};

class EpisodeSchedule {
 public:
  struct Options {
    double share = 0.05;             ///< Of all events; 0: none ever.
    Duration first_after = -1;       ///< From the first event; negative: after a usual gap.
    std::uint32_t kinds = 1;         ///< They take turns, so that each is seen soon.
    std::vector<double> key_shares;  ///< Of the events, for each key that may be affected.
  };

  static constexpr Duration kShortest = kMinute;
  static constexpr Duration kLongest = 3 * kMinute;

  EpisodeSchedule(Options options, Random random);

  /// The episode that events sent at `now` may belong to; ask covers(event_time). An event may be
  /// up to kMaxDelay older than `now`.
  const Episode& current(Timestamp now) {
    if (now >= next_look_) advance(now);
    return episode_;
  }

 private:
  void advance(Timestamp now);
  void draw(Timestamp after, bool first);

  Options options_;
  Random random_;
  Episode episode_;
  Timestamp next_look_ = kMinTimestamp;
  bool started_ = false;
};

}  // namespace streamobs::loadgen

// When which event is made: the plan of a run, and the scenario driven by it.
//
// Event time and wall time are two things. With a number of events known beforehand, event times
// are start, start + 1/event_rate, … and so the same in every run, however fast it goes; only an
// unbounded run at full speed takes its event times from the wall clock. One per run, used by one
// thread; the caller passes wall time in.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "loadgen/scenario.h"

namespace streamobs::loadgen {

struct FeedPlan {
  double rate = 10;          ///< Events per second of wall time; 0: as fast as they are taken.
  double event_rate = 10;    ///< Events per second of event time.
  std::uint64_t events = 0;  ///< 0: until stopped, or until `duration` is over.
  Duration duration = 0;     ///< Of wall time; 0: no end of that kind.
  std::optional<Timestamp> start;  ///< Of event time.
};

class Feed {
 public:
  /// `scenario` must outlive the feed. `wall_start` is now.
  Feed(Scenario& scenario, const FeedPlan& plan, Timestamp wall_start);

  /// Appends the events that are due, at most `max`, to out[stream]. Returns how many happenings
  /// that were (an LLM call is one, though it makes two events).
  std::uint64_t generate(std::uint64_t max, Timestamp wall_now, std::vector<Lines>& out);
  /// After the last generate(): what the scenario still holds back.
  void finish(std::vector<Lines>& out) { scenario_.finish(out); }

  bool done(Timestamp wall_now) const;
  /// The wall time at which `ahead` more happenings after the next one are due.
  Timestamp due(std::uint64_t ahead = 0) const;
  std::uint64_t made() const { return made_; }
  std::uint64_t planned() const { return plan_.events; }
  Scenario& scenario() { return scenario_; }

 private:
  Timestamp event_time_of(std::uint64_t index, Timestamp wall_now);

  Scenario& scenario_;
  FeedPlan plan_;
  Timestamp wall_start_;
  Timestamp event_start_;
  bool from_wall_clock_;
  std::uint64_t made_ = 0;
  Timestamp last_at_ = 0;
};

}  // namespace streamobs::loadgen

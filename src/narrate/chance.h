// Whether a figure is further from what is normal than chance explains: what the words "affected"
// and "up" need before they are used. Free functions; any thread.
#pragma once

namespace streamobs::narrate {

/// A part is only called affected at this many times its normal level, or that fraction of it.
inline constexpr double kMovedRatio = 1.5;
/// And this many standard deviations away from it.
inline constexpr double kSigmas = 3;
/// And, where events can be counted, with so many that did not do as usual: one is no news.
inline constexpr double kLeastEvents = 3;
/// And, for other figures, computed over so many events.
inline constexpr double kLeastVolume = 10;

/// `hits` of `events` against `past_hits` of `past_events`: errors among requests. Tested against
/// the binomial spread of the pooled past, in which one hit and one miss are supposed to have been.
bool share_is_unusual(double hits, double events, double past_hits, double past_events);

/// A figure against mean and standard deviation of its past. `counts`: it counts events, and so
/// spreads at least as much as a Poisson variable.
bool level_is_unusual(double value, double mean, double deviation, bool counts);

}  // namespace streamobs::narrate

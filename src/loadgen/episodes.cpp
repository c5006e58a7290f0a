#include "loadgen/episodes.h"

#include <algorithm>
#include <utility>

#include "loadgen/distribution.h"

namespace streamobs::loadgen {

EpisodeSchedule::EpisodeSchedule(Options options, Random random)
    : options_(std::move(options)), random_(random) {}

void EpisodeSchedule::advance(Timestamp now) {
  if (options_.share <= 0 || options_.key_shares.empty() || options_.kinds == 0) {
    next_look_ = kMaxTimestamp;
    return;
  }
  if (!started_) {
    started_ = true;
    draw(now, true);
  }
  while (now >= episode_.to + kMaxDelay) draw(episode_.to, false);
  next_look_ = episode_.to + kMaxDelay;
}

void EpisodeSchedule::draw(Timestamp after, bool first) {
  const std::uint64_t number = episode_.number + 1;
  episode_.number = number;
  episode_.kind = static_cast<std::uint32_t>((number - 1) % options_.kinds);
  episode_.key = random_.below(static_cast<std::uint32_t>(options_.key_shares.size()));
  episode_.strength = random_.unit();
  episode_.dice = random_.next();
  const auto length =
      static_cast<Duration>(random_.between(static_cast<double>(kShortest), kLongest));
  // share = length * key_share / (length + gap), solved for the gap and then varied by half.
  const double usual_gap =
      static_cast<double>(length) * (options_.key_shares[episode_.key] / options_.share - 1);
  const double gap = std::max<double>(usual_gap * random_.between(0.5, 1.5), 2 * kMaxDelay);
  const bool fixed_start = first && options_.first_after >= 0;
  const Duration wait = fixed_start ? options_.first_after : static_cast<Duration>(gap);
  episode_.from = (after + wait) / kMillisecond * kMillisecond;
  episode_.to = episode_.from + length / kMillisecond * kMillisecond;
}

}  // namespace streamobs::loadgen

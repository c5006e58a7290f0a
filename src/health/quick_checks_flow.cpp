// Those of the quick checks that ask whether what comes in flows through: QuickChecks' members.
#include <algorithm>

#include <fmt/format.h>

#include "health/check_words.h"
#include "health/quick_checks.h"

namespace streamobs::health {

namespace {

constexpr double kFull = 0.9;       ///< Of a channel.
constexpr double kOftenFull = 0.5;  ///< Of the looks.
constexpr double kAlwaysFull = 0.9;

}  // namespace

void QuickChecks::Progress::look(std::uint64_t done_now, bool has_work, Timestamp now) {
  const bool moved = done_now != done;
  const bool looked_away = now - looked_at > kLookAwayMax;
  done = done_now;
  looked_at = now;
  if (moved || !has_work) {
    still_since.reset();
  } else if (!still_since || *still_since > now || looked_away) {
    still_since = now;
  }
}

void QuickChecks::look(const Observation& seen) {
  ++looks_;
  channels_.resize(seen.channels.size());
  for (std::size_t i = 0; i < channels_.size(); ++i) {
    ++channels_[i].looks;
    if (seen.channels[i].fill >= kFull) ++channels_[i].full;
  }
  work_.resize(seen.work.size());
  for (std::size_t i = 0; i < work_.size(); ++i) {
    work_[i].look(seen.work[i].done, seen.work[i].waits, seen.now);
  }
  detection_.look(seen.detection.records, seen.detection.input_fill > 0, seen.now);
  narration_.look(seen.narration.records, seen.narration.input_fill > 0, seen.now);
  store_.look(seen.store.transactions, seen.store.rows_waiting != 0, seen.now);
}

CheckResult QuickChecks::progress(const Observation& seen) const {
  CheckResult result = result_of("progress");
  const Duration bound = std::max(options_.lag, kStandsMin);
  Duration longest = 0;
  const WorkSeen* cause = nullptr;
  for (std::size_t i = 0; i < work_.size() && i < seen.work.size(); ++i) {
    const Duration still = work_[i].still_for(seen.now);
    longest = std::max(longest, still);
    // Where one stands, those before it come to stand, too: the last one is where it begins.
    if (still >= bound) cause = &seen.work[i];
  }
  measure(result, longest, bound);
  result.detail = "whatever has work does it";
  if (cause == nullptr) return result;
  const Duration still =
      work_[static_cast<std::size_t>(cause - seen.work.data())].still_for(seen.now);
  result.state = State::failing;
  result.detail =
      fmt::format("{} has work and has done none of it for {}", cause->part, in_words(still));
  result.advice = cause->advice;
  return result;
}

/// What to count full channels from; null: the start.
const QuickChecks::ChannelsThen* QuickChecks::channels_then(Timestamp now) const {
  const auto long_ago = [&](const std::optional<ChannelsThen>& then) {
    return then && now - then->at >= options_.quick_every / 2 && looks_ - then->looks >= kLooksMin;
  };
  if (long_ago(channels_last_)) return &*channels_last_;
  return channels_before_ ? &*channels_before_ : nullptr;
}

CheckResult QuickChecks::backlog(const Observation& seen) const {
  CheckResult result = result_of("backlog");
  const ChannelsThen* const since = channels_then(seen.now);
  double worst = 0;
  Full of_cause;
  std::size_t cause = 0;
  std::uint64_t looks = 0;
  for (std::size_t i = 0; i < channels_.size(); ++i) {
    Full full = channels_[i];
    if (since != nullptr && i < since->channels.size()) {
      full.looks -= since->channels[i].looks;
      full.full -= since->channels[i].full;
    }
    looks = full.looks;
    if (full.looks < kLooksMin) continue;
    const double share = static_cast<double>(full.full) / static_cast<double>(full.looks);
    worst = std::max(worst, share);
    // What stands before a slow stage fills up, too: the last full one is where it begins.
    if (share < kOftenFull) continue;
    cause = i;
    of_cause = full;
  }
  if (looks < kLooksMin) {
    result.state = State::no_data;
    result.detail = "how full the channels are is known in a moment";
    return result;
  }
  result.value = worst;
  result.bound = kOftenFull;
  result.unit = "share";
  result.detail = "no channel is full for long";
  if (worst < kOftenFull) return result;
  result.state = worst >= kAlwaysFull ? State::failing : State::warning;
  const ChannelSeen& full = seen.channels[cause];
  result.detail = fmt::format(
      "the channel from {} to {} was full in {:.0f} % of {} looks: {} is what everything waits for",
      full.from, full.to,
      100.0 * static_cast<double>(of_cause.full) / static_cast<double>(of_cause.looks),
      of_cause.looks, full.to);
  result.advice =
      "Sources wait, and HTTP clients are told 429. docs/operations.md, \"Clients get 429\", says "
      "what to do about each channel";
  return result;
}

CheckResult QuickChecks::stage(const char* name, const StageSeen& stage, const Progress& progress,
                               Timestamp now) const {
  CheckResult result = result_of(name);
  const Duration still = progress.still_for(now);
  measure(result, still, kStill);
  if (still < kStill) {
    result.detail = stage.records == 0
                        ? std::string("it is alive; nothing has come to it yet")
                        : fmt::format("it is alive: {} so far", counted(stage.records, "record"));
    return result;
  }
  if (stage.output_fill >= kFull) {
    result.state = State::warning;
    result.detail = fmt::format("it waits for what is behind it, which takes nothing, for {} now",
                                in_words(still));
    result.advice = "See the check \"store\": it holds everything up";
    return result;
  }
  result.state = State::failing;
  result.detail =
      fmt::format("records wait before it, and it has taken none for {}", in_words(still));
  result.advice =
      "It is stuck, which is a bug: keep the engine's log, restart the engine (nothing that was "
      "acknowledged is lost), and report it";
  return result;
}

}  // namespace streamobs::health

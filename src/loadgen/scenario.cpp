#include "loadgen/scenario.h"

#include <array>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "loadgen/scenarios.h"

namespace streamobs::loadgen {
namespace {

struct Entry {
  std::string_view name;
  std::unique_ptr<Scenario> (*make)(const ScenarioOptions&);
};
constexpr std::array kEntries = {
    Entry{"services", make_services}, Entry{"transactions", make_transactions},
    Entry{"metrics", make_metrics},   Entry{"logs", make_logs},
    Entry{"llm", make_llm},
};
constexpr auto kNames = [] {
  std::array<std::string_view, kEntries.size()> names;
  for (std::size_t i = 0; i < names.size(); ++i) names[i] = kEntries[i].name;
  return names;
}();

/// Episodes have a sequence of their own, so that when they come does not hang on what else is
/// drawn.
constexpr std::uint64_t kEpisodeSeedOffset = 0x5eed'e915'0de5ULL;

}  // namespace

Scenario::Scenario(Setup setup, const ScenarioOptions& options)
    : random_(options.seed),
      episodes_({options.anomaly_share, options.first_anomaly_after, setup.episode_kinds,
                 std::move(setup.episode_key_shares)},
                Random(options.seed ^ kEpisodeSeedOffset)),
      streams_(std::move(setup.streams)) {
  if (options.with_truth) truth_ = std::make_unique<Truth>(std::move(setup.truth));
}

void Scenario::next(Timestamp at, std::vector<Lines>& out) {
  if (first_at_ == kMinTimestamp) first_at_ = at;
  last_at_ = at;
  generate(at, out);
  if (truth_) truth_->advance(at);
}

void Scenario::finish(std::vector<Lines>& out) {
  flush(out);
  close_truth();
}

void Scenario::close_truth() {
  if (truth_) truth_->finish(last_at_);
}

void Scenario::flush(std::vector<Lines>&) {}

std::span<const std::string_view> scenario_names() {
  return kNames;
}

Result<std::unique_ptr<Scenario>> make_scenario(std::string_view name,
                                                const ScenarioOptions& options) {
  if (!(options.anomaly_share >= 0 && options.anomaly_share <= kAnomalyShareMax)) {
    return fail(ErrorCode::invalid, fmt::format("share of anomalies {}: must be from 0 to {}",
                                                options.anomaly_share, kAnomalyShareMax));
  }
  if (options.keys > kKeysMax) {
    return fail(ErrorCode::invalid,
                fmt::format("{} keys: at most {} can be generated", options.keys, kKeysMax));
  }
  for (const Entry& entry : kEntries) {
    if (entry.name == name) return entry.make(options);
  }
  return fail(ErrorCode::invalid,
              fmt::format("unknown scenario \"{}\": there are {}", name, fmt::join(kNames, ", ")));
}

std::vector<std::string> key_names(std::span<const std::string_view> names, std::string_view prefix,
                                   std::uint32_t count) {
  std::vector<std::string> keys;
  keys.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    keys.push_back(i < names.size() ? std::string(names[i])
                                    : fmt::format("{}-{:05}", prefix, i + 1));
  }
  return keys;
}

}  // namespace streamobs::loadgen

#include "health/quality.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/wording.h"

namespace streamobs::health {

namespace {

constexpr double kFences = 3.5 / 0.6745;  ///< Of the median absolute deviation.
constexpr const char* kNothingBefore = "measured, with nothing before to compare with";
constexpr std::size_t kNamedMax = 3;  ///< Fields named in a sentence.

std::string percent(double share) {
  const double value = 100 * share;
  return fmt::format("{:.{}f} %", value, value != 0 && value < 9.95 ? 1 : 0);
}

CheckResult result_of(std::string check, const StreamPeriod& period) {
  CheckResult result;
  result.check = std::move(check);
  result.of = period.schema->stream;
  result.checked_at = period.to;
  return result;
}

void measure(CheckResult& result, double share, double bound) {
  result.value = share;
  result.bound = bound;
  result.unit = "share";
}

CheckResult too_few(CheckResult result, std::uint64_t events) {
  result.state = State::no_data;
  result.detail = fmt::format("{} events came since the check before: too few to judge",
                              number_in_words(static_cast<double>(events)));
  return result;
}

/// The worst first, the rest by number.
std::string some_of(const std::vector<std::string>& named) {
  std::vector<std::string> shown(
      named.begin(),
      named.begin() + static_cast<std::ptrdiff_t>(std::min(named.size(), kNamedMax)));
  if (named.size() > kNamedMax) shown.push_back(fmt::format("{} more", named.size() - kNamedMax));
  return listed(shown);
}

/// Half of the weight lies at or below it. Sorts.
double weighted_median(std::vector<std::pair<double, double>>& weighted) {
  std::sort(weighted.begin(), weighted.end());
  double whole = 0;
  for (const auto& [value, weight] : weighted) whole += weight;
  double below = 0;
  for (const auto& [value, weight] : weighted) {
    below += weight;
    if (2 * below >= whole) return value;
  }
  return weighted.back().first;
}

std::pair<std::string, std::uint64_t> largest(const std::map<std::string, std::uint64_t>& counts) {
  std::pair<std::string, std::uint64_t> most;
  for (const auto& [name, count] : counts) {
    if (count > most.second) most = {name, count};
  }
  return most;
}

}  // namespace

std::optional<Usual> usual_of(std::vector<std::pair<double, double>> weighted) {
  if (weighted.empty()) return std::nullopt;
  const double median = weighted_median(weighted);
  std::vector<std::pair<double, double>> deviations;
  for (const auto& [value, weight] : weighted) {
    deviations.emplace_back(std::abs(value - median), weight);
  }
  const double deviation = weighted_median(deviations);
  if (deviation == 0) return std::nullopt;
  Usual usual{median - kFences * deviation, median + kFences * deviation, 0};
  double whole = 0;
  double outside = 0;
  for (const auto& [value, weight] : weighted) {
    whole += weight;
    if (value < usual.from || value > usual.to) outside += weight;
  }
  usual.outlier_share = outside / whole;
  return usual;
}

void QualityChecks::Reference::take(double now, double by) {
  if (has_risen(now, by) && ++periods_risen < kUsualAfter) return;
  share = now;
  periods_risen = 0;
}

QualityChecks::Findings QualityChecks::judge(const StreamPeriod& period) {
  Findings findings;
  StreamQuality& quality = findings.quality;
  quality.stream = period.schema->stream;
  if (period.schema->joined) {
    findings.results.push_back(late(period));
    return findings;
  }
  quality.from = period.from;
  quality.to = period.to;
  for (const TallyPart& part : period.parts) quality.events += part.rows;
  for (const Field& field : period.schema->fields) {
    quality.fields.emplace_back().field = field.name;
  }
  findings.results.push_back(nulls(period, quality));
  findings.results.push_back(outliers(period, quality));
  findings.results.push_back(refused(period));
  findings.results.push_back(late(period));
  return findings;
}

CheckResult QualityChecks::judge(const JoinPeriod& period) const {
  CheckResult result;
  result.check = "unmatched";
  result.of = period.join;
  result.checked_at = period.to;
  const JoinPeriod::Side* worst = nullptr;
  double share = 0;
  std::uint64_t events = 0;
  for (const JoinPeriod::Side& side : period.sides) {
    events = std::max(events, side.events);
    if (side.kept || side.events < kEventsMin) continue;
    // Those that leave came before; where the flow ebbs, there may be more of them than came since.
    const double of_side =
        std::min(1.0, static_cast<double>(side.unmatched) / static_cast<double>(side.events));
    if (worst != nullptr && of_side <= share) continue;
    worst = &side;
    share = of_side;
  }
  if (worst == nullptr) return too_few(std::move(result), events);
  measure(result, share, options_.unmatched_max);
  result.detail = fmt::format("{} of {} events of {} had no partner", percent(share),
                              number_in_words(static_cast<double>(worst->events)), worst->stream);
  if (share <= options_.unmatched_max) return result;
  result.state = share >= kHalf ? State::failing : State::warning;
  result.advice = fmt::format(
      "Does the other side come, with the same keys (the check \"freshness\", dead letters with "
      "the "
      "reason unmatched)? If it only comes later, raise `within` of [join.{}]",
      period.join);
  return result;
}

CheckResult QualityChecks::nulls(const StreamPeriod& period, StreamQuality& quality) {
  CheckResult result = result_of("nulls", period);
  if (quality.events == 0) return too_few(std::move(result), 0);
  const auto bounds = options_.streams.find(quality.stream);
  std::vector<std::string> over;
  std::vector<std::string> risen;
  std::size_t compared = 0;
  double worst = 0;
  for (std::size_t i = 0; i < quality.fields.size(); ++i) {
    FieldQuality& field = quality.fields[i];
    std::uint64_t nulls = 0;
    for (const TallyPart& part : period.parts) nulls += part.fields[i].nulls;
    field.null_share = static_cast<double>(nulls) / static_cast<double>(quality.events);
    worst = std::max(worst, field.null_share);
    Reference& reference = references_[quality.stream][field.field].nulls;
    field.null_share_before = reference.share;
    if (quality.events < kEventsMin) continue;
    if (bounds != options_.streams.end()) {
      const auto most = bounds->second.nulls_max.find(field.field);
      if (most != bounds->second.nulls_max.end()) {
        // Who names a bound has said what is usual.
        ++compared;
        if (field.null_share > most->second) {
          over.push_back(fmt::format("{} in {} (at most {})", field.field,
                                     percent(field.null_share), percent(most->second)));
        }
        continue;
      }
    }
    if (reference.share) ++compared;
    if (reference.has_risen(field.null_share, kNullsRise)) {
      risen.push_back(fmt::format("{} in {} (before: {})", field.field, percent(field.null_share),
                                  percent(*reference.share)));
    }
    reference.take(field.null_share, kNullsRise);
  }
  if (quality.events < kEventsMin) return too_few(std::move(result), quality.events);
  result.value = worst;
  result.unit = "share";
  result.detail =
      fmt::format("{}, of {} events",
                  compared == 0 ? kNothingBefore : "no field is missing more often than is usual",
                  number_in_words(static_cast<double>(quality.events)));
  if (over.empty() && risen.empty()) return result;
  result.state = over.empty() ? State::warning : State::failing;
  over.insert(over.end(), risen.begin(), risen.end());
  result.detail = fmt::format("null or absent: {}, of {} events", some_of(over),
                              number_in_words(static_cast<double>(quality.events)));
  result.advice = fmt::format(
      "Has what sends them changed, or the name of a field? If it is right so, say how many may be "
      "null: [stream.{}] nulls_max",
      quality.stream);
  return result;
}

CheckResult QualityChecks::outliers(const StreamPeriod& period, StreamQuality& quality) {
  CheckResult result = result_of("outliers", period);
  std::vector<std::string> risen;
  std::optional<double> worst;
  bool has_numbers = false;
  std::size_t compared = 0;
  for (std::size_t i = 0; i < quality.fields.size(); ++i) {
    if (!is_numeric(period.schema->fields[i].type.kind)) continue;
    has_numbers = true;
    std::vector<std::pair<double, double>> weighted;
    for (const TallyPart& part : period.parts) {
      if (part.sampled_rows == 0) continue;
      const double stands_for =
          static_cast<double>(part.rows) / static_cast<double>(part.sampled_rows);
      for (const double value : part.fields[i].sample) weighted.emplace_back(value, stands_for);
    }
    if (weighted.size() < kEventsMin) continue;
    const std::optional<Usual> usual = usual_of(std::move(weighted));
    if (!usual) continue;
    FieldQuality& field = quality.fields[i];
    field.outlier_share = usual->outlier_share;
    field.usual_from = usual->from;
    field.usual_to = usual->to;
    worst = std::max(worst.value_or(0), usual->outlier_share);
    Reference& reference = references_[quality.stream][field.field].outliers;
    if (reference.share) ++compared;
    if (reference.has_risen(usual->outlier_share, kOutliersRise)) {
      risen.push_back(fmt::format("{} of {} (before: {}) are outside of {} to {}",
                                  percent(usual->outlier_share), field.field,
                                  percent(*reference.share), number_in_words(usual->from),
                                  number_in_words(usual->to)));
    }
    reference.take(usual->outlier_share, kOutliersRise);
  }
  if (!worst) {
    result.state = State::no_data;
    result.detail =
        has_numbers ? "no field had enough values that differ" : "no field of it is a number";
    return result;
  }
  result.value = *worst;
  result.unit = "share";
  result.detail = compared == 0 ? kNothingBefore : "numbers are spread as before";
  if (risen.empty()) return result;
  result.state = State::warning;
  result.detail = some_of(risen);
  result.advice =
      "Look at the newest windows: do these values make sense, and are they still in the unit they "
      "were in? A `check` of the stream refuses those that cannot be";
  return result;
}

CheckResult QualityChecks::refused(const StreamPeriod& period) const {
  CheckResult result = result_of("refused", period);
  if (period.received < kEventsMin) return too_few(std::move(result), period.received);
  std::uint64_t refused = 0;
  for (const auto& [reason, count] : period.refused) refused += count;
  const double share = static_cast<double>(refused) / static_cast<double>(period.received);
  measure(result, share, options_.refused_max);
  result.detail = fmt::format("{} of {} events were refused", percent(share),
                              number_in_words(static_cast<double>(period.received)));
  if (share <= options_.refused_max) return result;
  const auto [reason, count] = largest(period.refused);
  result.state = share >= kHalf ? State::failing : State::warning;
  result.detail +=
      fmt::format(", {} of them for {}",
                  percent(static_cast<double>(count) / static_cast<double>(refused)), reason);
  result.advice = fmt::format(
      "GET /api/v1/dead-letters?stream={}&reason={} shows them; after a fix `streamobs dlq replay` "
      "sends them again",
      result.of, reason);
  return result;
}

CheckResult QualityChecks::late(const StreamPeriod& period) const {
  CheckResult result = result_of("late", period);
  if (period.late.empty()) {
    result.state = State::no_data;
    result.detail = "no window reads it, so nothing is late";
    return result;
  }
  if (period.accepted < kEventsMin) return too_few(std::move(result), period.accepted);
  const auto [window, count] = largest(period.late);
  const double share =
      std::min(1.0, static_cast<double>(count) / static_cast<double>(period.accepted));
  measure(result, share, options_.late_max);
  result.detail = fmt::format("{} of {} events came too late", percent(share),
                              number_in_words(static_cast<double>(period.accepted)));
  if (share <= options_.late_max) return result;
  result.state = share >= kHalf ? State::failing : State::warning;
  result.detail += fmt::format(" for {}", window);
  result.advice = fmt::format(
      "Raise allowed_lateness of [window.{}], or find what delays them; a partition or a clock far "
      "ahead makes all others late",
      window);
  return result;
}

}  // namespace streamobs::health

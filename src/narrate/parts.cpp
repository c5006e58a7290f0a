#include "narrate/parts.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include <fmt/format.h>

#include "base/wording.h"
#include "narrate/words.h"

namespace streamobs::narrate {

namespace {

constexpr std::size_t kMaxFacts = 5;
constexpr std::size_t kMaxNamed = 3;
constexpr double kMoved = 1.5;  // Times its normal level, or that fraction of it.
constexpr double kAlike = 2;    // The most moved part within this factor of the least.

struct Part {
  std::string name;
  MetricWords metric;
  double value = 0;
  double mean = 0;
  std::size_t windows = 0;
  double ratio = 1;   ///< Infinite where it is normally zero.
  double weight = 0;  ///< How much of the trouble it accounts for.
  bool moved = false;
};

// The key columns that the incident does not have.
std::vector<std::size_t> finer_keys(const WindowSchema& schema, const Incident& incident) {
  std::vector<std::size_t> out;
  for (std::size_t i = 0; i < schema.keys.size(); ++i) {
    const bool known =
        std::any_of(incident.keys.begin(), incident.keys.end(),
                    [&](const NamedValue& key) { return key.name == schema.keys[i].name; });
    if (!known) out.push_back(i);
  }
  return out;
}

class Search {
 public:
  Search(const WindowMemory& memory, const Incident& incident, const Anomaly& worst)
      : memory_(memory),
        incident_(incident),
        worst_(worst),
        finer_(finer_keys(memory.schema(), incident)),
        same_metric_(memory.metric(worst.metric_name)),
        volume_(memory.volume_metric()) {}

  std::vector<Part> parts() const {
    std::vector<Part> out;
    if (finer_.empty()) return out;
    for (const Series* series : memory_.matching(incident_.keys)) {
      if (auto part = best_metric(*series)) out.push_back(std::move(*part));
    }
    std::sort(out.begin(), out.end(), [](const Part& a, const Part& b) {
      if (a.moved != b.moved) return a.moved;
      if (a.weight != b.weight) return a.weight > b.weight;
      return a.name < b.name;
    });
    return out;
  }

  /// What one of the parts is called: the name of the finer key.
  std::string noun() const {
    return finer_.size() == 1 ? plain(memory_.schema().keys[finer_[0]].name) : "part";
  }
  std::string nouns() const {
    return finer_.size() == 1 ? plural(memory_.schema().keys[finer_[0]].name) : "parts";
  }
  bool same_metric() const { return same_metric_.has_value(); }

 private:
  // The incident's own metric where the window has it, else whichever moved most.
  std::optional<Part> best_metric(const Series& series) const {
    if (same_metric_) return measure(series, *same_metric_);
    std::optional<Part> best;
    for (std::size_t i = 0; i < memory_.schema().metrics.size(); ++i) {
      auto part = measure(series, i);
      if (part && (!best || part->weight > best->weight)) best = std::move(part);
    }
    return best;
  }

  std::optional<Part> measure(const Series& series, std::size_t metric) const {
    const Series::Entry* const entry = series.at(worst_.window_start);
    if (entry == nullptr || std::isnan(entry->metrics[metric])) return std::nullopt;
    const Timestamp start = incident_.started_at;
    const Series::Usual usual = series.usual(metric, start - memory_.lookback(), start);
    if (usual.windows < kMinWindows) return std::nullopt;

    Part part;
    std::vector<std::string> names;
    for (const std::size_t key : finer_) names.push_back(series.keys()[key].to_string());
    part.name = fmt::format("{}", fmt::join(names, " "));
    part.metric = metric_words(memory_.schema().metrics[metric].name);
    part.value = entry->metrics[metric];
    part.mean = usual.mean;
    part.windows = usual.windows;
    if (part.mean > 0) {
      part.ratio = part.value / part.mean;
    } else if (part.value > 0) {
      part.ratio = std::numeric_limits<double>::infinity();
    }
    const bool up = part.ratio >= kMoved;
    const bool down = part.ratio <= 1 / kMoved;
    if (!same_metric_) {
      part.moved = up || down;
      part.weight =
          part.ratio > 0 ? std::abs(std::log(part.ratio)) : std::numeric_limits<double>::infinity();
      return part;
    }
    const bool high = too_high(worst_);
    part.moved = high ? up : down;
    // A rate counts for as many events as it was taken over: one failure of one request is not
    // news.
    const bool counts = memory_.schema().metrics[metric].type.kind == Kind::integer;
    double events = 1;
    if (!counts && volume_ && !std::isnan(entry->metrics[*volume_])) {
      events = entry->metrics[*volume_];
    }
    part.weight = (part.value - part.mean) * events * (high ? 1 : -1);
    return part;
  }

  const WindowMemory& memory_;
  const Incident& incident_;
  const Anomaly& worst_;
  std::vector<std::size_t> finer_;
  std::optional<std::size_t> same_metric_;
  std::optional<std::size_t> volume_;
};

// "0.62, 12 times its normal 0.05", with the metric's name before it where it is not clear.
std::string figures(const Part& part, bool with_metric) {
  const std::string text = fmt::format("{}, {}", quantity(part.value, part.metric),
                                       against_normal(part.value, part.mean, part.metric));
  return with_metric ? fmt::format("{} {}", part.metric.name, text) : text;
}

std::string sentence_of(const std::vector<Part>& parts, const Search& search) {
  const std::size_t total = parts.size();
  const auto moved = static_cast<std::size_t>(
      std::count_if(parts.begin(), parts.end(), [](const Part& p) { return p.moved; }));
  const Part& top = parts.front();
  const std::string all_of_them = total == 2 ? fmt::format("Both {}", search.nouns())
                                             : fmt::format("All {} {}", total, search.nouns());
  if (total == 1) {
    return fmt::format("Only one {} can be compared with its past, {}: {}.", search.noun(),
                       top.name, figures(top, true));
  }
  if (moved == 0) {
    return fmt::format("None of its {} {} stood out.", total, search.nouns());
  }
  if (moved == total && search.same_metric()) {
    const auto [least, most] = std::minmax_element(
        parts.begin(), parts.end(), [](const Part& a, const Part& b) { return a.ratio < b.ratio; });
    // Ratios below one are apart by the same factor the other way round.
    if (std::isfinite(most->ratio) && most->ratio <= kAlike * least->ratio) {
      const bool up = least->ratio >= 1;
      const std::string low =
          up ? ratio_in_words(least->ratio) : fmt::format("{:.0f}", std::floor(least->ratio * 100));
      const std::string high =
          up ? ratio_in_words(most->ratio) : fmt::format("{:.0f}", std::ceil(most->ratio * 100));
      const std::string range = low == high ? low : fmt::format("{} to {}", low, high);
      return fmt::format(
          "{} were affected alike (each at {}{} normal level), so the cause is likely one they "
          "share.",
          all_of_them, range, up ? " times its" : "% of its");
    }
  }
  if (moved == 1) {
    return fmt::format("Of its {} {}, only {} was affected: {}.", total, search.nouns(), top.name,
                       figures(top, true));
  }
  std::vector<std::string> named;
  for (std::size_t i = 0; i < std::min(moved, kMaxNamed); ++i) {
    named.push_back(
        fmt::format("{} ({})", parts[i].name, figures(parts[i], i == 0 || !search.same_metric())));
  }
  const std::string which =
      moved == total ? all_of_them + " were affected"
                     : fmt::format("Of its {} {}, {} were affected", total, search.nouns(), moved);
  return fmt::format("{}{} {}.", which, moved > kMaxNamed ? ", most of all" : ":",
                     listed(named, kMaxNamed));
}

}  // namespace

Finding find_parts(const Incident& incident, const Anomaly& worst, const EvidenceStore& evidence,
                   const std::vector<std::string>& evidence_windows) {
  for (const std::string& name : evidence_windows) {
    const WindowMemory* const memory = evidence.window(name);
    if (memory == nullptr) continue;
    const Search search(*memory, incident, worst);
    const std::vector<Part> parts = search.parts();
    if (parts.empty()) continue;
    Finding out;
    out.sentence = sentence_of(parts, search);
    for (std::size_t i = 0; i < std::min(parts.size(), kMaxFacts); ++i) {
      const Part& part = parts[i];
      out.facts.push_back(fmt::format(
          "{} {}: {} {}, normally {} (mean of {})", search.noun(), part.name, part.metric.name,
          quantity(part.value, part.metric), usual_quantity(part.mean, part.value, part.metric),
          counted(part.windows, "window")));
    }
    return out;
  }
  return {};
}

}  // namespace streamobs::narrate

#include "narrate/parts.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include <fmt/format.h>

#include "base/quantity.h"
#include "base/wording.h"
#include "event/label.h"
#include "narrate/chance.h"
#include "narrate/words.h"

namespace streamobs::narrate {

namespace {

constexpr std::size_t kMaxFacts = 5;
constexpr std::size_t kMaxNamed = 3;
constexpr double kAlike = 2;       // The most moved part within this factor of the least.
constexpr double kMostOfIt = 0.5;  // Of the trouble, to be named as where most of it is.

struct Part {
  std::string name;
  MetricWords metric;
  double value = 0;
  double mean = 0;
  std::size_t windows = 0;
  double ratio = 1;   ///< Infinite where it is normally zero.
  double weight = 0;  ///< How much of the trouble it accounts for.
  bool moved = false;
  /// Of a share: what it is a share of. "64 of 106" says how much it is worth.
  std::optional<double> events;
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
  Search(const WindowMemory& memory, const EvidenceStore& evidence, const Incident& incident,
         const Anomaly& worst)
      : memory_(memory),
        evidence_(evidence),
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
  struct Past {
    Normal::Level level;
    double hits = 0;  ///< Of a share: over all the windows together.
    double events = 0;
    bool share = true;  ///< Every value is a whole number of that window's events.
  };

  // The incident's own metric where the window has it, else whichever moved most.
  std::optional<Part> best_metric(const Series& series) const {
    if (same_metric_) return measure(series, *same_metric_);
    std::optional<Part> best;
    for (std::size_t i = 0; i < memory_.schema().metrics.size(); ++i) {
      auto part = measure(series, i);
      if (!part) continue;
      const bool better = !best || part->moved > best->moved ||
                          (part->moved == best->moved && part->weight > best->weight);
      if (better) best = std::move(part);
    }
    return best;
  }

  bool is_count(std::size_t metric) const {
    return memory_.schema().metrics[metric].type.kind == Kind::integer;
  }

  // How many events a row was computed from; none where that is not known.
  std::optional<double> events_of(const Series::Entry& entry) const {
    if (!volume_ || std::isnan(entry.metrics[*volume_])) return std::nullopt;
    return entry.metrics[*volume_];
  }

  // How many events a share speaks of, where it can be one: 0.6 of 120 requests, but not of 121.
  std::optional<double> hits_of(const Series::Entry& entry, std::size_t metric) const {
    const auto events = events_of(entry);
    const double value = entry.metrics[metric];
    if (!events || !(value >= 0 && value <= 1)) return std::nullopt;
    const double hits = std::round(value * *events);
    if (std::abs(value * *events - hits) > 1e-6 * std::max(1.0, *events)) return std::nullopt;
    return hits;
  }

  Past past_of(const Series& series, std::size_t metric) const {
    const Timestamp to = incident_.started_at;
    const Timestamp from = to - memory_.lookback();
    const auto troubled = evidence_.troubles(memory_, series);
    Past past;
    past.level =
        series.usual(from, to, troubled, [&](const Series::Entry& e) { return e.metrics[metric]; });
    past.share = !is_count(metric);
    // Sums over the same windows: what has a value has hits and events.
    const auto sum = [&](const auto& figure) {
      return series
          .usual(from, to, troubled,
                 [&](const Series::Entry& e) {
                   if (std::isnan(e.metrics[metric])) return e.metrics[metric];
                   const auto v = figure(e);
                   past.share = past.share && v.has_value();
                   return v.value_or(0);
                 })
          .sum;
    };
    past.hits = sum([&](const Series::Entry& e) { return hits_of(e, metric); });
    past.events = sum([&](const Series::Entry& e) { return events_of(e); });
    return past;
  }

  std::optional<Part> measure(const Series& series, std::size_t metric) const {
    const Series::Entry* const entry = series.at(worst_.window_start);
    if (entry == nullptr || std::isnan(entry->metrics[metric])) return std::nullopt;
    const Past past = past_of(series, metric);
    if (past.level.count < kMinWindows) return std::nullopt;

    Part part;
    std::vector<NamedValue> names;
    for (const std::size_t key : finer_) {
      names.push_back({memory_.schema().keys[key].name, series.keys()[key]});
    }
    part.name = label(names);
    part.value = entry->metrics[metric];
    part.mean = past.level.mean();
    part.windows = past.level.count;
    part.metric = metric_words(memory_.schema().metrics[metric].name,
                               std::max(std::abs(part.value), std::abs(part.mean)));
    if (part.mean > 0) {
      part.ratio = part.value / part.mean;
    } else if (part.value > 0) {
      part.ratio = std::numeric_limits<double>::infinity();
    }
    const auto hits = past.share ? hits_of(*entry, metric) : std::nullopt;
    if (hits) part.events = events_of(*entry);
    weigh(part, *entry, metric);
    part.moved = part.moved && is_unusual(past, part, hits, *entry, metric);
    return part;
  }

  // How far it moved, and how much that is of the whole.
  void weigh(Part& part, const Series::Entry& entry, std::size_t metric) const {
    const bool up = part.ratio >= kMovedRatio;
    const bool down = part.ratio <= 1 / kMovedRatio;
    if (!same_metric_) {
      part.moved = up || down;
      part.weight =
          part.ratio > 0 ? std::abs(std::log(part.ratio)) : std::numeric_limits<double>::infinity();
      return;
    }
    const bool high = too_high(worst_);
    part.moved = high ? up : down;
    // A rate counts for as many events as it was taken over.
    const double events = is_count(metric) ? 1 : events_of(entry).value_or(1);
    part.weight = (part.value - part.mean) * events * (high ? 1 : -1);
  }

  bool is_unusual(const Past& past, const Part& part, const std::optional<double>& hits,
                  const Series::Entry& entry, std::size_t metric) const {
    if (hits && part.events) {
      return share_is_unusual(*hits, *part.events, past.hits, past.events);
    }
    const bool counts = is_count(metric);
    if (!counts && events_of(entry).value_or(kLeastVolume) < kLeastVolume) return false;
    return level_is_unusual(part.value, part.mean, past.level.deviation(), counts);
  }

  const WindowMemory& memory_;
  const EvidenceStore& evidence_;
  const Incident& incident_;
  const Anomaly& worst_;
  std::vector<std::size_t> finer_;
  std::optional<std::size_t> same_metric_;
  std::optional<std::size_t> volume_;
};

// Of a share how many of how many: "74 of 120"; else nothing.
std::string count_of(const Part& part) {
  if (!part.events || part.metric.unit != Unit::share) return {};
  return fmt::format("{} of {}", number_in_words(std::round(part.value * *part.events)),
                     number_in_words(*part.events));
}

// "62% (74 of 120)".
std::string amount(const Part& part) {
  const std::string count = count_of(part);
  return quantity(part.value, part.metric) + (count.empty() ? "" : fmt::format(" ({})", count));
}

// "error rate 62%, 74 of 120; normally 5%", for brackets.
std::string briefly(const Part& part, bool with_metric) {
  const std::string count = count_of(part);
  return fmt::format("{}{}{}{}; normally {}", with_metric ? part.metric.name : "",
                     with_metric ? " " : "", quantity(part.value, part.metric),
                     count.empty() ? "" : fmt::format(", {}", count),
                     usual_quantity(part.mean, part.value, part.metric));
}

// "error rate 62% (74 of 120), 12 times its normal 5%".
std::string figures(const Part& part) {
  return fmt::format("{} {}, {}", part.metric.name, amount(part),
                     against_normal(part.value, part.mean, part.metric));
}

// The whole range of "alike", in words: "5 to 8 times its", "12 to 20% of its".
std::string range_of(const Part& least, const Part& most) {
  if (least.ratio >= 1) {
    const std::string low = ratio_in_words(least.ratio);
    const std::string high = ratio_in_words(most.ratio);
    return fmt::format("{} times its", low == high ? low : low + " to " + high);
  }
  const auto low = std::floor(least.ratio * 100);
  const auto high = std::ceil(most.ratio * 100);
  return low == high ? fmt::format("{:.0f}% of its", low)
                     : fmt::format("{:.0f} to {:.0f}% of its", low, high);
}

// Whether most of the trouble is in the first of the parts.
bool mostly_first(const std::vector<Part>& parts) {
  double sum = 0;
  for (const Part& part : parts) sum += std::max(part.weight, 0.0);
  return parts.front().weight >= kMostOfIt * sum;
}

std::string sentence_of(const std::vector<Part>& parts, const Search& search) {
  const std::size_t total = parts.size();
  const auto moved = static_cast<std::size_t>(
      std::count_if(parts.begin(), parts.end(), [](const Part& p) { return p.moved; }));
  const Part& top = parts.front();
  const std::string all_of_them = total == 2 ? fmt::format("Both {}", search.nouns())
                                             : fmt::format("All {} {}", total, search.nouns());
  if (total == 1) {
    return fmt::format("Only one {} can be compared with its past, {}, {}: {}.", search.noun(),
                       top.name, moved == 1 ? "and it was affected" : "which did not stand out",
                       figures(top));
  }
  if (moved == 0) {
    return fmt::format("None of its {} {} stood out.", total, search.nouns());
  }
  if (moved == total && search.same_metric()) {
    const auto [least, most] = std::minmax_element(
        parts.begin(), parts.end(), [](const Part& a, const Part& b) { return a.ratio < b.ratio; });
    if (std::isfinite(most->ratio) && most->ratio <= kAlike * least->ratio) {
      return fmt::format(
          "{} were affected alike (each at {} normal level), so the cause is likely one they "
          "share.",
          all_of_them, range_of(*least, *most));
    }
  }
  if (moved == 1) {
    return fmt::format("Of its {} {}, only {} was affected: {}.", total, search.nouns(), top.name,
                       figures(top));
  }
  std::vector<std::string> named;
  for (std::size_t i = 0; i < std::min(moved, kMaxNamed); ++i) {
    named.push_back(
        fmt::format("{} ({})", parts[i].name, briefly(parts[i], i == 0 || !search.same_metric())));
  }
  const std::string which =
      moved == total ? all_of_them + " were affected"
                     : fmt::format("Of its {} {}, {} were affected", total, search.nouns(), moved);
  if (moved > kMaxNamed) named.push_back(fmt::format("{} more", moved - kMaxNamed));
  if (!search.same_metric() || !mostly_first(parts)) {
    return fmt::format("{}: {}.", which, listed(named, named.size()));
  }
  const std::vector<std::string> others(named.begin() + 1, named.end());
  return fmt::format("{}, above all {}, then {}.", which, named.front(),
                     listed(others, others.size()));
}

}  // namespace

Finding find_parts(const Incident& incident, const Anomaly& worst, const EvidenceStore& evidence,
                   const std::vector<std::string>& evidence_windows) {
  for (const std::string& name : evidence_windows) {
    const WindowMemory* const memory = evidence.window(name);
    if (memory == nullptr) continue;
    const Search search(*memory, evidence, incident, worst);
    const std::vector<Part> parts = search.parts();
    if (parts.empty()) continue;
    Finding out;
    out.sentence = sentence_of(parts, search);
    for (std::size_t i = 0; i < std::min(parts.size(), kMaxFacts); ++i) {
      const Part& part = parts[i];
      out.facts.push_back(fmt::format("{} {}: {} {}, normally {} (mean of {})", search.noun(),
                                      part.name, part.metric.name, amount(part),
                                      usual_quantity(part.mean, part.value, part.metric),
                                      counted(part.windows, "window")));
    }
    return out;
  }
  return {};
}

}  // namespace streamobs::narrate

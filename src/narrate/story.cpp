#include "narrate/story.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include <fmt/format.h>

#include "base/time_format.h"
#include "base/wording.h"
#include "narrate/parts.h"
#include "narrate/words.h"

namespace streamobs::narrate {

namespace {

constexpr std::size_t kMinWindows = 3;    // Fewer say nothing about what is normal.
constexpr std::size_t kMaxSentences = 5;  // Beyond them nobody reads on.

std::string moment(Timestamp t, Duration window_size) {
  if (window_size >= kDay) return to_rfc3339(t).substr(0, 10);
  return time_of_day(t) + " UTC";
}

Duration size_of(const Anomaly& a) {
  return a.window_end - a.window_start;
}

std::string in_window(const Anomaly& a) {
  const std::string when = window_in_words(a.window_start, a.window_end);
  return (when.starts_with("the") ? "in " : "on ") + when;
}

const RuleTrack& headline(const Case& c) {
  return *std::min_element(c.rules.begin(), c.rules.end(),
                           [](const RuleTrack& a, const RuleTrack& b) {
                             if (a.worst->severity != b.worst->severity) {
                               return a.worst->severity > b.worst->severity;
                             }
                             return a.first_start < b.first_start;
                           });
}

// The series of the anomaly's own key in its own window.
const Series* own_series(const WindowMemory* memory, const Anomaly& anomaly) {
  if (memory == nullptr) return nullptr;
  const auto matching = memory->matching(anomaly.keys);
  return matching.empty() ? nullptr : matching.front();
}

// What the metric normally is: the rule's own baseline, else what memory says.
std::optional<double> normal(const Case& c, const Anomaly& a, const EvidenceStore& evidence) {
  if (a.baseline_value) return a.baseline_value;
  const WindowMemory* const memory = evidence.window(a.window);
  const Series* const series = own_series(memory, a);
  if (series == nullptr) return std::nullopt;
  const auto metric = memory->metric(a.metric_name);
  if (!metric) return std::nullopt;
  const Timestamp start = c.incident.started_at;
  const Series::Usual usual = series->usual(*metric, start - memory->lookback(), start);
  if (usual.windows < kMinWindows) return std::nullopt;
  return usual.mean;
}

std::string percent(double ratio) {
  return fmt::format("{:.0f}%", ratio * 100);
}

// "up to 6.2 times its normal level", "over its limit of 2,000 ms": how the metric was.
std::string how_far(const Anomaly& a, const MetricWords& words) {
  const bool high = too_high(a);
  const double value = a.metric_value.value_or(0);
  if (a.baseline_value && *a.baseline_value > 0 && value >= 0) {
    const double ratio = value / *a.baseline_value;
    return high ? fmt::format("up to {} times its normal level", ratio_in_words(ratio))
                : fmt::format("down to {} of its normal level", percent(ratio));
  }
  if (a.threshold_value) {
    return fmt::format("{} its limit of {}", high ? "over" : "below",
                       quantity(*a.threshold_value, words));
  }
  return "unusual";
}

std::string headline_sentence(const Case& c, const RuleTrack& track,
                              const EvidenceStore& evidence) {
  const Anomaly& worst = *track.worst;
  const Incident& incident = c.incident;
  const std::string who = label(incident.keys);
  const bool over = incident.resolved_at.has_value();
  const std::string since = moment(incident.started_at, size_of(worst));
  const std::string until = moment(incident.last_seen_at, size_of(worst));
  if (!worst.metric_value) {
    const std::string of = who.empty() ? "" : fmt::format(" for {}", who);
    return over ? fmt::format("The rule {} held{} from {} to {}.", worst.rule, of, since, until)
                : fmt::format("The rule {} has held{} since {}.", worst.rule, of, since);
  }
  const MetricWords words = metric_words(worst.metric_name);
  const std::string subject = who.empty() ? fmt::format("the {}", words.name)
                                          : fmt::format("the {} of {}", words.name, who);
  std::string out =
      over ? fmt::format("From {} to {} {} was {}", since, until, subject, how_far(worst, words))
           : fmt::format("Since {} {} has been {}", since, subject, how_far(worst, words));
  out += fmt::format(": {}{} {}", track.windows > 1 ? "at worst " : "",
                     quantity(*worst.metric_value, words), in_window(worst));
  if (const auto usual = normal(c, worst, evidence)) {
    out += fmt::format(", against {} normally", quantity(*usual, words));
  }
  return out + ".";
}

// The other rules that spoke, briefly.
std::string also_sentence(const Case& c, const RuleTrack& first) {
  std::vector<std::string> also;
  for (const RuleTrack& track : c.rules) {
    const Anomaly& worst = *track.worst;
    if (&track == &first || !worst.metric_value || worst.metric_name == first.worst->metric_name) {
      continue;
    }
    const MetricWords words = metric_words(worst.metric_name);
    also.push_back(fmt::format("its {} was {} ({})", words.name, how_far(worst, words),
                               quantity(*worst.metric_value, words)));
  }
  if (also.empty()) return {};
  return "At the same time " + listed(also, 2) + ".";
}

struct Volume {
  std::string sentence;
  std::string fact;
};

Volume volume(const Case& c, const Anomaly& worst, const EvidenceStore& evidence) {
  const WindowMemory* const memory = evidence.window(worst.window);
  const Series* const series = own_series(memory, worst);
  if (series == nullptr) return {};
  const auto metric = memory->volume_metric();
  if (!metric || memory->schema().metrics[*metric].name == worst.metric_name) return {};
  const Series::Entry* const entry = series->at(worst.window_start);
  const Timestamp start = c.incident.started_at;
  const Series::Usual usual = series->usual(*metric, start - memory->lookback(), start);
  if (entry == nullptr || std::isnan(entry->metrics[*metric]) || usual.windows < kMinWindows ||
      usual.mean <= 0) {
    return {};
  }
  const MetricWords words = metric_words(memory->schema().metrics[*metric].name);
  const double value = entry->metrics[*metric];
  const double ratio = value / usual.mean;
  const std::string figures = fmt::format("{}, normally {}", quantity(value, words),
                                          quantity(std::round(usual.mean), words));
  Volume v;
  v.fact = fmt::format("{}: {} (mean of {} windows)", words.name, figures, usual.windows);
  if (ratio >= 1.5) {
    v.sentence = fmt::format("Its {} was {} times its normal level as well ({}).", words.name,
                             ratio_in_words(ratio), figures);
  } else if (ratio <= 1 / 1.5) {
    v.sentence = fmt::format("Its {} was down to {} of its normal level ({}).", words.name,
                             percent(ratio), figures);
  } else {
    v.sentence = fmt::format("Its {} was as usual ({}).", words.name, figures);
  }
  return v;
}

std::string others_sentence(const Case& c) {
  if (c.incident.keys.empty()) return {};
  if (c.others.empty()) {
    std::string kind;
    for (const NamedValue& key : c.incident.keys) {
      kind += (kind.empty() ? "" : " / ") + plain(key.name);
    }
    return fmt::format("No other {} {} affected.", kind, c.incident.resolved_at ? "was" : "is");
  }
  const std::vector<std::string> names(c.others.begin(), c.others.end());
  return fmt::format("{} {} affected at the same time.", listed(names, 5),
                     names.size() == 1 ? "was" : "were");
}

std::string rule_fact(const RuleTrack& track) {
  const Anomaly& worst = *track.worst;
  const Duration size = size_of(worst);
  std::string out = fmt::format("{}: {} window{} flagged from {} to {}", worst.rule, track.windows,
                                track.windows == 1 ? "" : "s", moment(track.first_start, size),
                                moment(track.last_end, size));
  if (!worst.metric_value) return out;
  const MetricWords words = metric_words(worst.metric_name);
  out += fmt::format("; {} {}{} {}", words.name, track.windows > 1 ? "at worst " : "",
                     quantity(*worst.metric_value, words), in_window(worst));
  if (worst.baseline_value)
    out += fmt::format("; baseline {}", quantity(*worst.baseline_value, words));
  if (worst.threshold_value)
    out += fmt::format("; limit {}", quantity(*worst.threshold_value, words));
  return out;
}

std::string title_part(const Anomaly& a) {
  if (!a.metric_value) return plain(a.rule);
  const MetricWords words = metric_words(a.metric_name);
  const bool high = too_high(a);
  if (a.baseline_value && *a.baseline_value > 0 && *a.metric_value >= 0) {
    const double ratio = *a.metric_value / *a.baseline_value;
    if (!high) return fmt::format("{} at {} of its normal level", words.name, percent(ratio));
    // A title is glanced at: no decimals where they do not matter.
    return fmt::format("{} {}× its normal level", words.name,
                       ratio_in_words(ratio >= 3 ? std::round(ratio) : ratio));
  }
  if (a.threshold_value) {
    return fmt::format("{} {} its limit ({})", words.name, high ? "over" : "below",
                       quantity(*a.metric_value, words));
  }
  return fmt::format("{} unusual ({})", words.name, quantity(*a.metric_value, words));
}

std::string title(const Case& c, const RuleTrack& first) {
  std::string out = title_part(*first.worst);
  for (const RuleTrack& track : c.rules) {
    if (&track == &first || track.worst->metric_name == first.worst->metric_name) continue;
    out += ", " + title_part(*track.worst);
    break;
  }
  const std::string who = label(c.incident.keys);
  return who.empty() ? capitalised(std::move(out)) : fmt::format("{}: {}", who, out);
}

}  // namespace

bool too_high(const Anomaly& a) {
  const double value = a.metric_value.value_or(0);
  if (a.threshold_value && *a.threshold_value != value) return value > *a.threshold_value;
  return value >= a.baseline_value.value_or(value);
}

void tell(Case& c, const EvidenceStore& evidence,
          const std::vector<std::string>& evidence_windows) {
  const RuleTrack& first = headline(c);
  const Anomaly& worst = *first.worst;
  const Parts parts = find_parts(c.incident, worst, evidence, evidence_windows);
  if (!parts.sentence.empty()) {
    c.parts_sentence = parts.sentence;
    c.parts_facts = parts.facts;
  }
  const Volume v = volume(c, worst, evidence);

  Incident& incident = c.incident;
  incident.title = title(c, first);
  std::vector<std::string> sentences;
  const auto say = [&](std::string sentence) {
    if (!sentence.empty()) sentences.push_back(std::move(sentence));
  };
  say(headline_sentence(c, first, evidence));
  say(also_sentence(c, first));
  if (!c.parts_sentence.empty()) {
    say(c.parts_sentence);
  } else if (evidence_windows.empty()) {
    say("No evidence window is configured, so what is behind it within cannot be said.");
  }
  say(others_sentence(c));
  if (incident.resolved_at) {
    say(fmt::format("It was over at {}, after {}.", moment(incident.last_seen_at, size_of(worst)),
                    span_in_words(incident.last_seen_at - incident.started_at)));
  }
  // The volume goes behind the parts, where there is still room for it.
  if (!v.sentence.empty() && sentences.size() < kMaxSentences) {
    const std::size_t tail = (c.incident.keys.empty() ? 0 : 1) + (incident.resolved_at ? 1 : 0);
    sentences.insert(sentences.end() - static_cast<std::ptrdiff_t>(tail), v.sentence);
  }
  incident.explanation.clear();
  for (const std::string& sentence : sentences) {
    if (!incident.explanation.empty()) incident.explanation += ' ';
    incident.explanation += sentence;
  }

  incident.evidence.clear();
  for (const RuleTrack& track : c.rules) incident.evidence.push_back(rule_fact(track));
  incident.evidence.insert(incident.evidence.end(), c.parts_facts.begin(), c.parts_facts.end());
  if (!v.fact.empty()) incident.evidence.push_back(v.fact);
  if (!c.others.empty()) {
    const std::vector<std::string> names(c.others.begin(), c.others.end());
    incident.evidence.push_back(fmt::format("affected at the same time: {}", listed(names, 20)));
  }
}

}  // namespace streamobs::narrate

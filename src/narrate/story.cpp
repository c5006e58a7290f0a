#include "narrate/story.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include <fmt/format.h>

#include "base/wording.h"
#include "event/label.h"
#include "narrate/alongside.h"
#include "narrate/parts.h"
#include "narrate/times.h"
#include "narrate/words.h"

namespace streamobs::narrate {

namespace {

constexpr std::size_t kMaxAlso = 2;
constexpr std::size_t kMaxOthersNamed = 5;
constexpr std::size_t kMaxDescription = 200;  // Bytes; of a title, too.

const RuleTrack& headline(const Case& c) {
  return *std::min_element(c.rules.begin(), c.rules.end(),
                           [](const RuleTrack& a, const RuleTrack& b) {
                             if (a.stands() != b.stands()) return a.stands();
                             if (a.worst->severity != b.worst->severity) {
                               return a.worst->severity > b.worst->severity;
                             }
                             if (a.worst->keys.size() != b.worst->keys.size()) {
                               return a.worst->keys.size() < b.worst->keys.size();
                             }
                             return a.since < b.since;
                           });
}

// Of the key's values those that the incident's own key does not have: an anomaly of one endpoint
// in an incident of its service.
std::vector<NamedValue> finer(const Anomaly& a, const Incident& incident) {
  std::vector<NamedValue> out;
  for (const NamedValue& key : a.keys) {
    if (std::find(incident.keys.begin(), incident.keys.end(), key) == incident.keys.end()) {
      out.push_back(key);
    }
  }
  return out;
}

// What the rule's own description says of the worst window; empty where it has none, or where the
// rule does not hold.
std::string description_of(const RuleTrack& track, const Telling& telling) {
  if (!track.stands() || !telling.described.contains(track.worst->rule)) return {};
  return on_one_line(track.worst->description, kMaxDescription);
}

// "error rate", "error rate of /pay".
std::string metric_of(const RuleTrack& track, const Incident& incident) {
  const std::string name = words_of(track).name;
  const std::string part = label(finer(*track.worst, incident));
  return part.empty() ? name : fmt::format("{} of {}", name, part);
}

// "which is 6.2 times its normal 5%", "over its limit of 1,000 ms (normally 98 ms)"; empty where
// neither is known.
std::string judgement(const RuleTrack& track, bool over) {
  const MetricWords words = words_of(track);
  const double value = *track.worst->metric_value;
  const auto usual = normal(track);
  const auto allowed = limit(track);
  const Side side = side_of(*track.worst);
  if (!has_baseline(track) && allowed && side != Side::neither) {
    std::string out =
        fmt::format("{} of {}", side == Side::high ? "over its limit" : "below its minimum",
                    quantity(*allowed, words));
    if (usual) out += fmt::format(" (normally {})", usual_quantity(*usual, value, words));
    return out;
  }
  if (!usual) return {};
  std::string out = against_normal(value, *usual, words);
  if (!out.starts_with("normally")) out = (over ? "which was " : "which is ") + out;
  const std::string at_first = normal_at_first(track);
  if (!at_first.empty()) out += fmt::format(" ({})", at_first);
  return out;
}

std::string_view verdict(Side side) {
  switch (side) {
    case Side::high:
      return "too high";
    case Side::low:
      return "too low";
    case Side::neither:
      break;
  }
  return "unusual";
}

bool is_over(const Case& c, const RuleTrack& track) {
  return c.incident.resolved_at.has_value() || c.quiet || fell_silent(track, c.incident);
}

/// Whether the headline goes on to the newest window behind the worst one.
bool tells_newest(const Case& c, const RuleTrack& track) {
  return !is_over(c, track) && track.last->window_start > track.worst->window_start &&
         track.last->metric_value.has_value();
}

// "rate err 24% in the minute from 10:06 UTC, normally 5%, limit 30%".
std::string worst_figures(const RuleTrack& track, const Times& times) {
  const Anomaly& worst = *track.worst;
  const MetricWords words = words_of(track);
  std::string out = fmt::format("{} {}{} {}", words.name, track.windows > 1 ? "at worst " : "",
                                quantity(*worst.metric_value, words), times.in_window(worst));
  if (track.stands() && worst.revision != 0) out += ", corrected by late events";
  if (const auto usual = normal(track)) {
    out += fmt::format(", normally {}", usual_quantity(*usual, *worst.metric_value, words));
  }
  const std::string at_first = normal_at_first(track);
  if (!at_first.empty()) out += fmt::format(" ({})", at_first);
  // Which side a figure is on says nothing where the rule does not hold.
  const bool low = track.stands() && side_of(worst) == Side::low;
  if (const auto allowed = limit(track)) {
    out += fmt::format(", {} {}", low ? "minimum" : "limit", quantity(*allowed, words));
  }
  return out;
}

std::string headline_sentence(const Case& c, const RuleTrack& track, const Telling& telling,
                              const Times& times) {
  const Anomaly& worst = *track.worst;
  const Incident& incident = c.incident;
  const std::string who = label(incident.keys);
  const bool over = is_over(c, track);
  const std::string when =
      (on_and_off(track) ? "on and off " : "") +
      (over ? times.range(track.since, track.last->window_end) : "since " + times.at(track.since));
  const std::string description = description_of(track, telling);
  if (!description.empty()) {
    const bool ended = std::string_view(".!?").find(description.back()) != std::string_view::npos ||
                       description.ends_with("…");
    std::string out = fmt::format("{}{} That {} {}", description, ended ? "" : ".",
                                  over ? "held" : "has held", when);
    if (worst.metric_value) out += ": " + worst_figures(track, times);
    if (tells_newest(c, track)) {
      out +=
          fmt::format("; most recently {}", quantity(*track.last->metric_value, words_of(track)));
    }
    return out + ".";
  }
  if (!worst.metric_value) {
    const std::string of = who.empty() ? "" : fmt::format(" for {}", who);
    return fmt::format("The rule {} {}{} {}.", worst.rule, over ? "held" : "has held", of, when);
  }
  const MetricWords words = words_of(track);
  const bool many = is_plural(words.name);
  const std::string_view verb = over ? (many ? "were" : "was") : many ? "have been" : "has been";
  const std::string subject = metric_of(track, incident) + (who.empty() ? "" : " of " + who);
  std::string out = fmt::format("The {} {} {} {}: {}{} {}", subject, verb, verdict(side_of(worst)),
                                when, track.windows > 1 ? "at worst " : "",
                                quantity(*worst.metric_value, words), times.in_window(worst));
  const std::string against = judgement(track, over);
  if (!against.empty()) out += ", " + against;
  if (tells_newest(c, track)) {
    out += fmt::format("; most recently {}", quantity(*track.last->metric_value, words));
  }
  return out + ".";
}

// The other rules that spoke, briefly.
std::string also_sentence(const Case& c, const RuleTrack& first, const Times& times) {
  std::vector<std::string> also;
  std::vector<const RuleTrack*> said = {&first};
  for (const RuleTrack& track : c.rules) {
    const Anomaly& worst = *track.worst;
    const bool again = std::any_of(said.begin(), said.end(), [&](const RuleTrack* other) {
      return other == &track || same_measure(*other, track);
    });
    if (again || !worst.metric_value || !track.stands()) continue;
    said.push_back(&track);
    const MetricWords words = words_of(track);
    std::string figures =
        (track.windows > 1 ? "at worst " : "") + quantity(*worst.metric_value, words);
    const auto usual = normal(track);
    const auto allowed = limit(track);
    if (has_baseline(track) && usual) {
      figures += ", " + against_normal(*worst.metric_value, *usual, words);
    } else if (allowed && side_of(worst) != Side::neither) {
      figures += fmt::format(", {} {}", side_of(worst) == Side::high ? "limit" : "minimum",
                             quantity(*allowed, words));
    }
    // Where it was not so at the same time, that is half of the story.
    const bool apart =
        track.since >= first.last->window_end || first.since >= track.last->window_end;
    if (apart)
      figures = fmt::format("{}, {}", times.range(track.since, track.last->window_end), figures);
    also.push_back(fmt::format("its {} ({})", metric_of(track, c.incident), figures));
  }
  if (also.empty()) return {};
  return "Also flagged: " + listed(also, kMaxAlso) + ".";
}

std::string that_window(const Anomaly& a) {
  switch (a.window_end - a.window_start) {
    case kSecond:
      return "In that second";
    case kMinute:
      return "In that minute";
    case kHour:
      return "In that hour";
    case kDay:
      return "On that day";
    default:
      return "In that window";
  }
}

// The finding may be of an earlier window than the one that is told now, and between the two
// another rule's times may have been named: "that minute" is only what stands right before.
std::string alongside_sentence(const Case& c, const Anomaly& worst, const Times& times,
                               bool just_named) {
  const std::string& found = c.alongside.sentence;
  const std::string named = capitalised(times.in_window(worst));
  if (!just_named || !found.starts_with(named)) return found;
  return that_window(worst) + found.substr(named.size());
}

// What other metrics have already been spoken of.
std::set<std::string> told_stems(const Case& c) {
  std::set<std::string> out;
  for (const RuleTrack& track : c.rules) {
    if (track.stands() && !track.worst->metric_name.empty())
      out.insert(stem(track.worst->metric_name));
  }
  return out;
}

std::string others_sentence(const Case& c) {
  if (c.incident.keys.empty()) return {};
  if (c.others.empty()) {
    std::vector<std::string> kinds;
    for (const NamedValue& key : c.incident.keys) kinds.push_back(plain(key.name));
    const bool over = c.incident.resolved_at || c.quiet;
    return fmt::format("No other {}{} {}.", kinds.size() == 1 ? "" : "combination of ",
                       listed(kinds, kinds.size()),
                       over ? "was flagged at that time" : "is flagged");
  }
  const std::vector<std::string> names(c.others.begin(), c.others.end());
  return fmt::format("{} {} flagged at the same time.", listed(names, kMaxOthersNamed),
                     names.size() == 1 ? "was" : "were");
}

/// Since when nothing has come from whom it is about, while others went on. A rule says nothing
/// about windows that are not there: silence must not pass for recovery.
std::optional<Timestamp> silent_since(const Case& c, const RuleTrack& track,
                                      const EvidenceStore& evidence) {
  const WindowMemory* const memory = evidence.window(track.worst->window);
  if (memory == nullptr || c.incident.keys.empty()) return std::nullopt;
  Timestamp newest = kMinTimestamp;
  for (const Series* const series : memory->matching(c.incident.keys)) {
    newest = std::max(newest, series->newest_end());
  }
  const bool silent = newest != kMinTimestamp && newest <= c.incident.last_seen_at &&
                      memory->newest_start() >= newest;
  return silent ? std::optional(newest) : std::nullopt;
}

std::string end_sentence(const Case& c, const RuleTrack& track, const Times& times,
                         Duration resolve_after, const EvidenceStore& evidence) {
  const Incident& incident = c.incident;
  const bool over = incident.resolved_at || c.quiet;
  if (const auto since = over ? silent_since(c, track, evidence) : std::nullopt) {
    return fmt::format(
        "Nothing at all has come from {} since {}: {}, not because it has recovered.",
        label(incident.keys), times.at(*since),
        incident.resolved_at ? "it is closed for that" : "nothing is flagged for that");
  }
  if (incident.resolved_at) {
    return fmt::format("It was over at {}, after {}.", times.at(incident.last_seen_at),
                       span_in_words(incident.last_seen_at - incident.started_at));
  }
  if (!c.quiet) return {};
  return fmt::format("Nothing has been flagged since {}; if it stays so until {}, it is over.",
                     times.at(incident.last_seen_at),
                     times.at(incident.last_seen_at + resolve_after));
}

std::string rule_fact(const RuleTrack& track, const Incident& incident, const Telling& telling,
                      const Times& times) {
  const Anomaly& worst = *track.worst;
  const std::string part = label(finer(worst, incident));
  std::string out = fmt::format("{}{}: ", worst.rule, part.empty() ? "" : " (" + part + ")");
  if (!track.stands()) {
    out +=
        fmt::format("{} withdrawn, corrected by late events", counted(track.withdrawn, "window"));
    return worst.metric_value ? out + "; " + worst_figures(track, times) : out;
  }
  if (track.since < track.first->window_start) {
    out += fmt::format("true since {}, ", times.at(track.since));
  }
  out += fmt::format("{} flagged {}", counted(track.windows, "window"),
                     times.range(track.first->window_start, track.last->window_end));
  if (worst.metric_value) out += "; " + worst_figures(track, times);
  const std::string description = description_of(track, telling);
  if (!description.empty()) out += fmt::format("; \"{}\"", description);
  if (track.withdrawn != 0) {
    out +=
        fmt::format("; {} withdrawn, corrected by late events", counted(track.withdrawn, "window"));
  }
  return out;
}

std::string title_part(const RuleTrack& track, const Incident& incident) {
  const Anomaly& a = *track.worst;
  const std::string_view fate = track.stands() ? "" : " (withdrawn: corrected by late events)";
  if (!a.metric_value) return fmt::format("rule {}{}", a.rule, fate);
  const MetricWords words = words_of(track);
  const std::string figure =
      fmt::format("{} {}", metric_of(track, incident), quantity(*a.metric_value, words));
  if (!track.stands()) return figure + std::string(fate);
  const auto usual = normal(track);
  if (has_baseline(track) && usual) {
    return fmt::format("{} ({})", figure, against_normal_short(*a.metric_value, *usual, words));
  }
  const Side side = side_of(a);
  if (const auto allowed = limit(track); allowed && side != Side::neither) {
    return fmt::format("{} ({} {})", figure, side == Side::high ? "limit" : "minimum",
                       quantity(*allowed, words));
  }
  return figure + " (unusual)";
}

// Whether a text says whom it is about.
bool names_any(const std::string& text, const std::vector<NamedValue>& keys) {
  return std::any_of(keys.begin(), keys.end(), [&](const NamedValue& key) {
    const std::string value = key.value.to_string();
    return !value.empty() && text.find(value) != std::string::npos;
  });
}

std::string title(const Case& c, const RuleTrack& first, const Telling& telling) {
  const std::string description = description_of(first, telling);
  if (!description.empty()) {
    const bool named = c.incident.keys.empty() || names_any(description, c.incident.keys);
    return named ? description : fmt::format("{}: {}", label(c.incident.keys), description);
  }
  std::string out = title_part(first, c.incident);
  for (const RuleTrack& track : c.rules) {
    if (&track == &first || !track.stands() || same_measure(track, first)) continue;
    out += ", " + title_part(track, c.incident);
    break;
  }
  const std::string who = label(c.incident.keys);
  return who.empty() ? capitalised(std::move(out)) : fmt::format("{}: {}", who, out);
}

// Of the windows that went, where others stand.
std::string withdrawn_sentence(const Case& c) {
  std::uint64_t windows = 0;
  for (const RuleTrack& track : c.rules) windows += track.withdrawn;
  if (windows == 0) return {};
  return fmt::format("Late events have corrected {} that had been flagged; {} no longer.",
                     counted(windows, "window"), windows == 1 ? "it is" : "they are");
}

// Nothing of it stands: all that was flagged has been corrected.
std::string withdrawn_story(const Case& c, const RuleTrack& track, const Times& times,
                            Duration resolve_after) {
  const Anomaly& worst = *track.worst;
  const std::string who = label(c.incident.keys);
  const std::string of = who.empty() ? "" : " of " + who;
  std::string out;
  if (worst.metric_value) {
    const MetricWords words = words_of(track);
    out = fmt::format(
        "The {}{} had been flagged, but late events have corrected it to {} {}: the rule {} does "
        "not hold.",
        metric_of(track, c.incident), of, quantity(*worst.metric_value, words),
        times.in_window(worst), worst.rule);
  } else {
    out = fmt::format("The rule {} had held{} {}, but late events have corrected that.", worst.rule,
                      who.empty() ? "" : " for " + who, times.in_window(worst));
  }
  if (std::count_if(c.rules.begin(), c.rules.end(), [](auto& t) { return t.withdrawn != 0; }) > 1 ||
      track.withdrawn > 1) {
    out += " So it is with all that was flagged.";
  }
  if (!c.incident.resolved_at) {
    out += fmt::format(" If nothing is flagged until {}, it is over.",
                       times.at(c.incident.last_seen_at + resolve_after));
  }
  return out;
}

std::string unknown_parts_fact(const Incident& incident) {
  const std::string who = label(incident.keys);
  return fmt::format("where{} it comes from is not known: [incidents] evidence names no window",
                     who.empty() ? "" : " in " + who);
}

}  // namespace

void tell(Case& c, const EvidenceStore& evidence, const Telling& telling) {
  const RuleTrack& first = headline(c);
  const Times times(c.incident, size_of(*first.worst));
  Incident& incident = c.incident;
  incident.title = title(c, first, telling);
  incident.evidence.clear();
  for (const RuleTrack& track : c.rules) {
    incident.evidence.push_back(rule_fact(track, incident, telling, times));
  }
  if (!first.stands()) {
    c.parts = c.alongside = {};
    incident.explanation = withdrawn_story(c, first, times, telling.resolve_after);
    return;
  }
  Finding parts = find_parts(incident, *first.worst, evidence, telling.evidence_windows);
  if (!parts.sentence.empty()) c.parts = std::move(parts);
  // Of rows that are there what was said before does not count: a rule may have spoken since of
  // what was nothing but a figure beside.
  if (auto found = find_alongside(first, capitalised(times.in_window(*first.worst)), told_stems(c),
                                  evidence)) {
    c.alongside = std::move(*found);
  }

  incident.explanation.clear();
  const auto say = [&](const std::string& sentence) {
    if (sentence.empty()) return;
    if (!incident.explanation.empty()) incident.explanation += ' ';
    incident.explanation += sentence;
  };
  say(headline_sentence(c, first, telling, times));
  const std::string also = also_sentence(c, first, times);
  say(also);
  const bool just_named = first.worst->metric_value && !tells_newest(c, first) && also.empty();
  say(alongside_sentence(c, *first.worst, times, just_named));
  say(c.parts.sentence);
  say(others_sentence(c));
  say(withdrawn_sentence(c));
  say(end_sentence(c, first, times, telling.resolve_after, evidence));

  for (const Finding* finding : {&c.parts, &c.alongside}) {
    incident.evidence.insert(incident.evidence.end(), finding->facts.begin(), finding->facts.end());
  }
  if (telling.evidence_windows.empty()) incident.evidence.push_back(unknown_parts_fact(incident));
  if (!c.others.empty()) {
    const std::vector<std::string> names(c.others.begin(), c.others.end());
    incident.evidence.push_back(fmt::format("flagged at the same time: {}", listed(names, 20)));
  }
}

}  // namespace streamobs::narrate

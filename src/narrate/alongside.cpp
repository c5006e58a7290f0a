#include "narrate/alongside.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "narrate/chance.h"
#include "narrate/words.h"

namespace streamobs::narrate {

namespace {

constexpr std::size_t kMaxMetrics = 3;
constexpr double kNear = 0.15;  // Within this fraction of the mean nothing is said to have moved.

struct Measured {
  std::string column;
  double value = 0;
  const Level* level = nullptr;
  bool counts = false;  ///< It is a number of events.

  bool near() const { return std::abs(value - level->mean) < kNear * std::abs(level->mean); }
  bool moved() const {
    return !near() && level_is_unusual(value, level->mean, level->deviation, counts);
  }
  MetricWords words() const {
    return metric_words(column, std::max(std::abs(value), std::abs(level->mean)));
  }
};

// Of several columns about the same thing, the one that says most to people: p95 of a latency, a
// rate rather than a count that goes with the traffic.
int rank(std::string_view column) {
  const std::string name = " " + metric_words(column, 0).name + " ";
  int place = 0;
  for (const std::string_view word : {" p95 ", " p99 ", " p90 ", " rate ", " ratio "}) {
    if (name.find(word) != std::string::npos) return place;
    ++place;
  }
  return place;
}

std::optional<Measured> measure(const RuleTrack& track, const WindowMemory& memory,
                                const Series::Entry& entry, std::size_t metric) {
  const std::string& column = memory.schema().metrics[metric].name;
  const auto level = std::find_if(track.before.begin(), track.before.end(),
                                  [&](const Level& l) { return l.metric == column; });
  const double value = entry.metrics[metric];
  if (level == track.before.end() || std::isnan(value)) return std::nullopt;
  if (level->mean == 0 && value == 0) return std::nullopt;
  const bool counts = memory.schema().metrics[metric].type.kind == Kind::integer;
  return Measured{column, value, &*level, counts};
}

// "In the minute from 12:34 UTC its request count had doubled (230, normally 115); its p95 latency
// (104 ms) was about normal."
Finding told_of(const std::vector<Measured>& measured, const std::string& when) {
  Finding out;
  std::vector<std::string> moved;
  std::vector<std::string> steady;
  bool many = false;
  for (const Measured& m : measured) {
    const MetricWords words = m.words();
    const std::string value = quantity(m.value, words);
    out.facts.push_back(fmt::format("{}: {}, normally {} (mean of {})", words.name, value,
                                    usual_quantity(m.level->mean, m.value, words),
                                    counted(m.level->windows, "window")));
    if (m.moved()) {
      moved.push_back(
          fmt::format("its {} {}", words.name, how_it_moved(m.value, m.level->mean, words)));
    } else {
      many = !steady.empty() || is_plural(words.name);
      // Away from the mean, but no further than it often is.
      const std::string usual =
          m.near() ? std::string()
                   : fmt::format(", normally {}", usual_quantity(m.level->mean, m.value, words));
      steady.push_back(
          fmt::format("{}{} ({}{})", steady.empty() ? "its " : "", words.name, value, usual));
    }
  }
  out.sentence = when + " " + listed(moved, kMaxMetrics);
  if (!steady.empty()) {
    out.sentence += fmt::format("{}{} {} about normal", moved.empty() ? "" : "; ",
                                listed(steady, kMaxMetrics), many ? "were" : "was");
  }
  out.sentence += ".";
  return out;
}

}  // namespace

std::optional<Finding> find_alongside(const RuleTrack& track, const std::string& when,
                                      const std::set<std::string>& told,
                                      const EvidenceStore& evidence) {
  const Anomaly& worst = *track.worst;
  const WindowMemory* const memory = evidence.window(worst.window);
  if (memory == nullptr) return std::nullopt;
  const auto series = memory->matching(worst.keys);
  const Series::Entry* const entry =
      series.empty() ? nullptr : series.front()->at(worst.window_start);
  if (entry == nullptr) return std::nullopt;

  // One column for each thing there is to speak of, in the schema's order. The volume comes first.
  std::vector<Measured> found;
  std::set<std::string> taken = told;
  const auto volume = memory->volume_metric();
  if (volume && taken.insert(stem(memory->schema().metrics[*volume].name)).second) {
    if (auto m = measure(track, *memory, *entry, *volume)) found.push_back(std::move(*m));
  }
  const bool with_volume = !found.empty();
  for (std::size_t i = 0; i < entry->metrics.size(); ++i) {
    const std::string about = stem(memory->schema().metrics[i].name);
    if (taken.count(about) != 0) continue;
    auto m = measure(track, *memory, *entry, i);
    if (!m) continue;
    const auto same = std::find_if(found.begin(), found.end(),
                                   [&](const Measured& f) { return stem(f.column) == about; });
    if (same == found.end()) {
      found.push_back(std::move(*m));
    } else if (rank(m->column) < rank(same->column)) {
      *same = std::move(*m);
    }
  }
  if (found.empty()) return Finding();
  std::stable_partition(found.begin() + (with_volume ? 1 : 0), found.end(),
                        [](const Measured& m) { return m.moved(); });
  if (found.size() > kMaxMetrics) found.resize(kMaxMetrics);
  return told_of(found, when);
}

}  // namespace streamobs::narrate

#include "narrate/narrator.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string>

#include <fmt/format.h>

#include "base/bytes.h"
#include "event/label.h"
#include "event/record_state.h"
#include "narrate/evidence.h"
#include "narrate/state.h"
#include "narrate/story.h"
#include "narrate/words.h"

namespace streamobs::narrate {

namespace {

constexpr std::size_t kMaxRules = 32;           // Tracked one by one within an incident.
constexpr std::size_t kMaxOthers = 20;          // Remembered like incidents.
constexpr std::size_t kMaxUnresolved = 10'000;  // Anomaly ids an incident waits for.

using Open = OpenIncident;

bool contains(const std::vector<NamedValue>& keys, const NamedValue& key) {
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

bool subset(const std::vector<NamedValue>& inner, const std::vector<NamedValue>& outer) {
  return std::all_of(inner.begin(), inner.end(),
                     [&](const NamedValue& key) { return contains(outer, key); });
}

bool same_names(const std::vector<NamedValue>& a, const std::vector<NamedValue>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const NamedValue& x, const NamedValue& y) { return x.name == y.name; });
}

// What people see of it; the revision is not part of it.
bool same_content(const Incident& a, const Incident& b) {
  return a.severity == b.severity && a.started_at == b.started_at &&
         a.last_seen_at == b.last_seen_at && a.resolved_at == b.resolved_at && a.title == b.title &&
         a.explanation == b.explanation && a.evidence == b.evidence &&
         a.anomaly_count == b.anomaly_count && a.anomaly_ids == b.anomaly_ids;
}

bool any_stands(const std::vector<RuleTrack>& rules) {
  return std::any_of(rules.begin(), rules.end(), [](const RuleTrack& t) { return t.stands(); });
}

std::vector<RuleTrack>::iterator track_of(std::vector<RuleTrack>& rules, const Anomaly& anomaly) {
  return std::find_if(rules.begin(), rules.end(), [&](const RuleTrack& t) {
    return t.worst->rule == anomaly.rule && t.worst->keys == anomaly.keys;
  });
}

// Severity and times, from what still stands.
void refit(Open& incident) {
  const std::vector<RuleTrack>& rules = incident.told.rules;
  // With so many there may be others that are not tracked.
  if (rules.size() == kMaxRules || !any_stands(rules)) return;
  Incident& i = incident.incident();
  i.severity = Severity::low;
  i.started_at = kMaxTimestamp;
  i.last_seen_at = kMinTimestamp;
  for (const RuleTrack& track : rules) {
    if (!track.stands()) continue;
    i.severity = std::max(i.severity, track.worst->severity);
    i.started_at = std::min(i.started_at, track.since);
    i.last_seen_at = std::max(i.last_seen_at, track.last->window_end);
  }
}

}  // namespace

struct Narrator::Impl {
  Impl(IncidentOptions o, std::set<std::string> described) : options(std::move(o)) {
    for (const SourceText& name : options.evidence) telling.evidence_windows.push_back(name.text);
    telling.resolve_after = options.resolve_after;
    telling.described = std::move(described);
  }

  IncidentOptions options;
  Telling telling;
  EvidenceStore evidence;
  std::vector<std::unique_ptr<Open>> open;  ///< In the order of opening.
  std::uint64_t position = 0;               ///< Of the record in hand.

  void take(const WindowBatch& batch, Records& out);
  void take(const AnomalyPtr& anomaly, Records& out);
  void take_resolved(const AnomalyPtr& anomaly, Records& out);
  void correct_resolved(const AnomalyPtr& anomaly);
  Open* holder(const std::string& anomaly_id);
  Open* joinable(const Anomaly& anomaly, const std::string& stream);
  Open& begin(const Anomaly& anomaly, const std::string& stream, Records& out);
  void add(Open& incident, const AnomalyPtr& anomaly);
  static void take_back(Open& incident, const AnomalyPtr& anomaly);
  void meet_others(Open& incident);
  bool due(const Open& incident, Timestamp time) const;
  void resolve_due(const std::string& stream, Timestamp time, Records& out);
  void close(Open& incident, Timestamp at, Records& out);
  void send(Open& incident, Records& out);
  void send_changed(Records& out);
  bool speaks_of(const WindowSchema& schema, const Open& incident) const;
  std::string stream_of(const std::string& window) const;
  std::vector<IncidentPtr> close_orphans(
      const std::vector<std::shared_ptr<const WindowSchema>>& windows);
};

// The stream of a window is known from its rows; an anomaly always follows some.
std::string Narrator::Impl::stream_of(const std::string& window) const {
  const WindowMemory* const memory = evidence.window(window);
  return memory == nullptr ? std::string() : memory->schema().stream;
}

void Narrator::Impl::take(const WindowBatch& batch, Records& out) {
  Timestamp first_start = kMaxTimestamp;
  Timestamp last_end = kMinTimestamp;
  for (const WindowRow& row : batch.rows) {
    if (!row.closed) continue;
    first_start = std::min(first_start, row.start);
    last_end = std::max(last_end, row.end);
  }
  if (last_end == kMinTimestamp) return;
  evidence.add(batch);
  resolve_due(batch.schema->stream, first_start, out);
  // New rows may say more about what is going on just now.
  if (!batch.last) return;
  for (const auto& incident : open) {
    const Incident& i = incident->incident();
    if (i.started_at >= last_end || first_start >= i.last_seen_at) continue;
    incident->changed = incident->changed || speaks_of(*batch.schema, *incident);
  }
}

// Whether rows of that window stand in the incident's story.
bool Narrator::Impl::speaks_of(const WindowSchema& schema, const Open& incident) const {
  const auto& rules = incident.told.rules;
  const std::vector<std::string>& names = telling.evidence_windows;
  return std::find(names.begin(), names.end(), schema.window) != names.end() ||
         std::any_of(rules.begin(), rules.end(),
                     [&](const RuleTrack& t) { return t.worst->window == schema.window; });
}

void Narrator::Impl::take(const AnomalyPtr& anomaly, Records& out) {
  if (anomaly->resolved) {
    take_resolved(anomaly, out);
    return;
  }
  const std::string stream = stream_of(anomaly->window);
  evidence.add_trouble(*anomaly, since_of(*anomaly));
  resolve_due(stream, anomaly->window_start, out);
  if (Open* const known = holder(anomaly->id)) {
    add(*known, anomaly);
    return;
  }
  Open* incident = joinable(*anomaly, stream);
  if (incident == nullptr) incident = &begin(*anomaly, stream, out);
  Incident& i = incident->incident();
  // One that was withdrawn may be raised once more.
  if (std::find(i.anomaly_ids.begin(), i.anomaly_ids.end(), anomaly->id) == i.anomaly_ids.end()) {
    ++i.anomaly_count;
    i.anomaly_ids.push_back(anomaly->id);
    if (i.anomaly_ids.size() > Incident::kMaxAnomalies) i.anomaly_ids.erase(i.anomaly_ids.begin());
  }
  add(*incident, anomaly);
  meet_others(*incident);
}

void Narrator::Impl::take_resolved(const AnomalyPtr& anomaly, Records& out) {
  Open* const incident = holder(anomaly->id);
  if (incident == nullptr) {
    correct_resolved(anomaly);
    return;
  }
  incident->unresolved.erase(anomaly->id);
  const Timestamp at = anomaly->resolved_at.value_or(anomaly->window_end);
  incident->last_resolved_at = std::max(incident->last_resolved_at, at);
  if (anomaly->withdrawn) take_back(*incident, anomaly);
  if (due(*incident, at)) {
    close(*incident,
          std::max(incident->incident().last_seen_at + options.resolve_after,
                   incident->last_resolved_at),
          out);
  } else if (incident->unresolved.empty()) {
    incident->told.quiet = true;
    incident->changed = true;
  }
}

// It was over, and late events have corrected its window since: the rule does not hold in it, or
// does with other figures, or does once more. An incident that is over stays as it was told.
void Narrator::Impl::correct_resolved(const AnomalyPtr& anomaly) {
  // Raised, resolved and said once more at least; else it is but resolved, and nobody waits for it.
  if (anomaly->revision < 2) return;
  const auto incident = std::find_if(open.begin(), open.end(), [&](const auto& candidate) {
    const auto& ids = candidate->incident().anomaly_ids;
    return std::find(ids.begin(), ids.end(), anomaly->id) != ids.end();
  });
  if (incident == open.end()) return;
  auto& rules = (*incident)->told.rules;
  const auto track = track_of(rules, *anomaly);
  if (track == rules.end()) return;
  const bool stood = tells_of(*track, anomaly->id);
  if (anomaly->withdrawn && stood) {
    take_back(**incident, anomaly);
    return;
  }
  if (anomaly->withdrawn) {
    // Once more, with other figures.
    if (track->stands() || track->worst->id != anomaly->id) return;
    track->first = track->worst = track->last = anomaly;
  } else {
    if (!stood && track->withdrawn == 0) return;
    if (!stood) --track->withdrawn;
    continue_track(*track, anomaly, since_of(*anomaly), stood);
    refit(**incident);
  }
  (*incident)->changed = true;
}

Open* Narrator::Impl::holder(const std::string& anomaly_id) {
  for (const auto& incident : open) {
    if (incident->unresolved.count(anomaly_id) != 0) return incident.get();
  }
  return nullptr;
}

Open* Narrator::Impl::joinable(const Anomaly& anomaly, const std::string& stream) {
  const Duration gap = std::max<Duration>(options.gap, 1);
  Open* best = nullptr;
  for (const auto& candidate : open) {
    const Incident& i = candidate->incident();
    const bool fits = i.keys.empty() ? anomaly.keys.empty() && candidate->stream == stream
                                     : subset(i.keys, anomaly.keys);
    const bool near =
        since_of(anomaly) - i.last_seen_at < gap && i.started_at - anomaly.window_end < gap;
    if (!fits || !near) continue;
    // Later ones win among equals: they are the newer.
    if (best == nullptr || i.keys.size() >= best->incident().keys.size()) best = candidate.get();
  }
  return best;
}

Open& Narrator::Impl::begin(const Anomaly& anomaly, const std::string& stream, Records& out) {
  if (open.size() >= kMaxOpen) {
    const auto oldest =
        std::min_element(open.begin(), open.end(), [](const auto& a, const auto& b) {
          return a->incident().last_seen_at < b->incident().last_seen_at;
        });
    close(**oldest, std::max((*oldest)->incident().last_seen_at, anomaly.window_start), out);
  }
  auto incident = std::make_unique<Open>();
  incident->stream = stream;
  Incident& i = incident->incident();
  // What was raised once more, when its first incident was over, is another one.
  i.id = "incident:" + anomaly.id;
  if (anomaly.revision != 0) i.id += fmt::format(":{}", anomaly.revision);
  i.keys = anomaly.keys;
  i.severity = anomaly.severity;
  i.started_at = since_of(anomaly);
  i.last_seen_at = anomaly.window_end;
  open.push_back(std::move(incident));
  return *open.back();
}

void Narrator::Impl::add(Open& incident, const AnomalyPtr& anomaly) {
  Incident& i = incident.incident();
  const Timestamp since = since_of(*anomaly);
  auto& rules = incident.told.rules;
  const bool stood = rules.empty() || any_stands(rules);
  i.severity = std::max(i.severity, anomaly->severity);
  if (since < i.started_at) {
    i.started_at = since;
    for (RuleTrack& track : incident.told.rules) remember_levels(track, since, evidence);
  }
  i.last_seen_at = std::max(i.last_seen_at, anomaly->window_end);
  incident.changed = true;
  incident.told.quiet = false;
  const bool again = incident.unresolved.count(anomaly->id) != 0;
  if (incident.unresolved.size() < kMaxUnresolved) incident.unresolved.insert(anomaly->id);

  const auto track = track_of(rules, *anomaly);
  if (track == rules.end()) {
    if (rules.size() < kMaxRules) {
      rules.push_back({anomaly, anomaly, anomaly, since, 1, {}, 0, {anomaly}});
      remember_levels(rules.back(), i.started_at, evidence);
    }
  } else {
    // Said again though nothing was open of it: it had been withdrawn.
    if (!again && anomaly->revision != 0 && track->withdrawn != 0) --track->withdrawn;
    continue_track(*track, anomaly, since, again);
  }
  if (!stood) refit(incident);
}

// What the rule said of that window does not hold: the track goes on without it, as far as its
// other windows are known.
void Narrator::Impl::take_back(Open& incident, const AnomalyPtr& anomaly) {
  incident.changed = true;
  auto& rules = incident.told.rules;
  const auto track = track_of(rules, *anomaly);
  if (track == rules.end()) return;
  ++track->withdrawn;
  const auto same = [&](const AnomalyPtr& known) { return known->id == anomaly->id; };
  std::erase_if(track->newest, same);
  std::vector<AnomalyPtr> left = track->newest;
  for (const AnomalyPtr& known : {track->first, track->worst, track->last}) {
    if (!same(known)) left.push_back(known);
  }
  if (left.empty()) {
    track->windows = 0;
    track->first = track->worst = track->last = anomaly;
  } else {
    track->windows = std::max<std::uint64_t>(track->windows, 2) - 1;
    const bool began = same(track->first);
    const auto earlier = [](const AnomalyPtr& a, const AnomalyPtr& b) {
      return a->window_start < b->window_start;
    };
    track->first = *std::min_element(left.begin(), left.end(), earlier);
    track->last = *std::max_element(left.begin(), left.end(), earlier);
    track->worst = *std::min_element(left.begin(), left.end(),
                                     [](const auto& a, const auto& b) { return worse(*a, *b); });
    if (began) {
      track->since = std::min(std::max(since_of(*track->first), anomaly->window_end),
                              track->first->window_start);
    }
  }
  refit(incident);
}

// Incidents of the same kind at the same time mention one another.
void Narrator::Impl::meet_others(Open& incident) {
  const Incident& i = incident.incident();
  if (i.keys.empty()) return;
  for (const auto& other : open) {
    const Incident& o = other->incident();
    if (other.get() == &incident || !same_names(i.keys, o.keys)) continue;
    if (o.started_at >= i.last_seen_at || i.started_at >= o.last_seen_at) continue;
    if (incident.told.others.size() < kMaxOthers) incident.told.others.insert(label(o.keys));
    if (other->told.others.size() < kMaxOthers && other->told.others.insert(label(i.keys)).second) {
      other->changed = true;
    }
  }
}

bool Narrator::Impl::due(const Open& incident, Timestamp time) const {
  return incident.unresolved.empty() &&
         time >= incident.incident().last_seen_at + options.resolve_after;
}

void Narrator::Impl::resolve_due(const std::string& stream, Timestamp time, Records& out) {
  for (std::size_t i = 0; i < open.size();) {
    Open& incident = *open[i];
    if (incident.stream != stream || !due(incident, time)) {
      ++i;
      continue;
    }
    close(incident,
          std::max(incident.incident().last_seen_at + options.resolve_after,
                   incident.last_resolved_at),
          out);
  }
}

// Sends it for the last time and forgets it.
void Narrator::Impl::close(Open& incident, Timestamp at, Records& out) {
  incident.incident().resolved_at = at;
  incident.changed = true;
  send(incident, out);
  std::erase_if(open, [&](const auto& o) { return o.get() == &incident; });
}

void Narrator::Impl::send(Open& incident, Records& out) {
  incident.changed = false;
  tell(incident.told, evidence, telling);
  Incident& now = incident.incident();
  if (incident.sent) {
    if (same_content(*incident.sent, now)) return;
    ++now.revision;
  }
  now.position = position;
  incident.sent = now;
  out.emplace_back(std::make_shared<const Incident>(now));
}

void Narrator::Impl::send_changed(Records& out) {
  for (const auto& incident : open) {
    if (incident->changed) send(*incident, out);
  }
}

Narrator::Narrator(IncidentOptions options, std::set<std::string> described)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(described))) {}
Narrator::~Narrator() = default;

void Narrator::process(const Record& record, Records& out) {
  if (const auto* const batch = std::get_if<WindowBatchPtr>(&record)) {
    if (*batch == nullptr) return;
    impl_->position = position_of(record);
    impl_->take(**batch, out);
  } else if (const auto* const anomaly = std::get_if<AnomalyPtr>(&record)) {
    if (*anomaly == nullptr) return;
    impl_->position = position_of(record);
    impl_->take(*anomaly, out);
  }
  impl_->send_changed(out);
}

std::size_t Narrator::open_incidents() const {
  return impl_->open.size();
}

void Narrator::snapshot(std::string& out) const {
  put_u8(out, kStateVersion);
  impl_->evidence.put(out);
  put_varint(out, impl_->open.size());
  for (const auto& incident : impl_->open) put_open(out, *incident);
}

Result<RestoredIncidents> Narrator::restore(
    std::string_view bytes, const std::vector<std::shared_ptr<const WindowSchema>>& windows) {
  const auto corrupt = [] {
    return fail(ErrorCode::corrupt, "the checkpoint's part 'narrate' is not what was written");
  };
  ByteReader in(bytes);
  const std::uint8_t version = in.u8();
  if (in.ok() && (version < kOldestVersion || version > kStateVersion)) {
    return fail(
        ErrorCode::corrupt,
        fmt::format("the checkpoint's part 'narrate' has version {}, and this program reads {} to "
                    "{}: go on with the streamobs that wrote it, or with a new data_dir",
                    version, kOldestVersion, kStateVersion));
  }
  auto impl = std::make_unique<Impl>(impl_->options, impl_->telling.described);
  RestoredIncidents restored;
  if (!impl->evidence.read(in, windows, restored.forgotten_windows)) return corrupt();
  const std::size_t incidents = in.count();
  if (incidents > kMaxOpen) return corrupt();
  for (std::size_t i = 0; i < incidents; ++i) {
    if (!read_open(in, version, *impl->open.emplace_back(std::make_unique<Open>())))
      return corrupt();
  }
  if (!in.ok() || !in.at_end()) return corrupt();
  restored.closed = impl->close_orphans(windows);
  impl_ = std::move(impl);
  return restored;
}

// Incidents whose stream has no window any more: no time passes for them.
std::vector<IncidentPtr> Narrator::Impl::close_orphans(
    const std::vector<std::shared_ptr<const WindowSchema>>& windows) {
  Records out;
  for (std::size_t i = 0; i < open.size();) {
    Open& incident = *open[i];
    const bool alive = incident.stream.empty() ||
                       std::any_of(windows.begin(), windows.end(), [&](const auto& window) {
                         return window->stream == incident.stream;
                       });
    if (alive) {
      ++i;
    } else {
      close(incident, std::max(incident.incident().last_seen_at, incident.last_resolved_at), out);
    }
  }
  std::vector<IncidentPtr> closed;
  for (const Record& record : out) closed.push_back(std::get<IncidentPtr>(record));
  return closed;
}

Records RestoredIncidents::records(std::uint64_t position) const {
  Records out;
  for (const IncidentPtr& incident : closed) {
    auto placed = std::make_shared<Incident>(*incident);
    placed->position = position;
    out.emplace_back(IncidentPtr(std::move(placed)));
  }
  return out;
}

}  // namespace streamobs::narrate

#include "detect/detector.h"

#include <algorithm>
#include <map>
#include <optional>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "base/bytes.h"
#include "detect/plan.h"
#include "detect/rule_run.h"
#include "detect/state.h"
#include "event/record_state.h"

namespace streamobs::detect {

namespace {

Timestamp event_time(const Record& record) {
  const Anomaly& anomaly = *std::get<AnomalyPtr>(record);
  return anomaly.resolved_at.value_or(anomaly.window_end);
}

// By event time, not rule by rule: a batch may hold several windows, corrected ones, and several
// keys have fallen silent at different times.
void sort_by_time(Records& out, std::size_t begin) {
  std::stable_sort(
      out.begin() + static_cast<std::ptrdiff_t>(begin), out.end(),
      [](const Record& left, const Record& right) { return event_time(left) < event_time(right); });
}

std::string_view phase_of(const RuleRun& rule, const RuleRun::Key& key, int history_windows) {
  // Time has resolved what was raised, not a row: the key has sent none since.
  if (key.streak.firing) return key.open.empty() ? "silent" : "firing";
  if (key.streak.first_end) return "pending";
  const RulePlan& plan = rule.plan();
  if (plan.warms_up() && history_windows < plan.options.warmup_windows) return "warming_up";
  return "ok";
}

}  // namespace

struct Detector::Impl {
  explicit Impl(std::shared_ptr<const DetectPlan> p) : plan(std::move(p)) {
    for (const RulePlan& rule : plan->rules) rules.push_back(std::make_unique<RuleRun>(rule));
  }

  std::shared_ptr<const DetectPlan> plan;
  std::vector<std::unique_ptr<RuleRun>> rules;

  // A window in which nothing happened sends no row. That it has closed shows in the batches of the
  // stream's other windows, and in those of windows that are corrected: all that closes before a
  // batch is due has been seen. By its watermark more has closed, of which the rows may be still to
  // come; how much more depends on how events were cut into batches, and must not show.
  void pass_time(const WindowBatch& batch, Records& out) {
    for (const auto& rule : rules) {
      const WindowSchema& schema = *rule->plan().schema;
      if (schema.stream != batch.schema->stream || batch.due == kMinTimestamp) continue;
      rule->pass_time(batch.due - 1 - schema.allowed_lateness, batch.position, out);
    }
  }

  RuleRun* rule(std::string_view name) const {
    for (const auto& rule : rules) {
      if (rule->plan().options.name.text == name) return rule.get();
    }
    return nullptr;
  }

  std::optional<RestoredRules::Lost> take(StoredRule stored);
};

Detector::Detector(std::shared_ptr<const DetectPlan> plan)
    : impl_(std::make_unique<Impl>(std::move(plan))) {}

Detector::~Detector() = default;

void Detector::process(const Record& record, Records& out) {
  const auto* const batch = std::get_if<WindowBatchPtr>(&record);
  if (batch == nullptr || *batch == nullptr) return;
  const WindowBatch& b = **batch;
  // Early results come when a timer says so: they must not decide anything.
  if (std::none_of(b.rows.begin(), b.rows.end(), [](const WindowRow& row) { return row.closed; })) {
    return;
  }
  std::size_t begin = out.size();
  impl_->pass_time(b, out);
  sort_by_time(out, begin);
  // What time has resolved comes before what the rows say of it: a correction may withdraw it.
  begin = out.size();
  for (const auto& rule : impl_->rules) {
    if (rule->plan().schema->window == b.schema->window) rule->judge(b, out);
  }
  sort_by_time(out, begin);
}

std::vector<RuleState> Detector::states(std::size_t limit) const {
  struct Entry {
    const RuleRun* rule;
    const RuleRun::Key* key;
  };
  std::vector<Entry> entries;
  for (const auto& rule : impl_->rules) {
    for (const auto& [bytes, key] : rule->keys()) entries.push_back({rule.get(), &key});
  }
  const auto order = [](const Entry& e) {
    // Firing first, then pending, then the newest; names decide between equals.
    const bool firing = e.key->streak.firing && !e.key->open.empty();
    const bool pending = !e.key->streak.firing && e.key->streak.first_end;
    const int rank = firing ? 0 : pending ? 1 : 2;
    return std::tuple<int, Timestamp, const std::string&, const std::string&>(
        rank, -e.key->end, e.rule->plan().options.name.text, e.key->text);
  };
  const std::size_t count = std::min(limit, entries.size());
  std::partial_sort(entries.begin(), entries.begin() + static_cast<std::ptrdiff_t>(count),
                    entries.end(),
                    [&](const Entry& a, const Entry& b) { return order(a) < order(b); });
  std::vector<RuleState> out;
  out.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const RuleRun& rule = *entries[i].rule;
    const RuleRun::Key& key = *entries[i].key;
    RuleState state;
    state.rule = rule.plan().options.name.text;
    state.window = rule.plan().schema->window;
    state.key = key.text;
    state.history_windows = rule.history_windows(key);
    state.warmup_windows = rule.plan().warms_up() ? rule.plan().options.warmup_windows : 0;
    state.phase = phase_of(rule, key, state.history_windows);
    state.last_window_end = key.end;
    out.push_back(std::move(state));
  }
  return out;
}

std::uint64_t Detector::evicted_keys() const {
  std::uint64_t sum = 0;
  for (const auto& rule : impl_->rules) sum += rule->evicted_keys();
  return sum;
}

void Detector::snapshot(std::string& out) const {
  put_u8(out, kStateVersion);
  // By name: in which order the config has them is no state.
  std::map<std::string_view, const RuleRun*> by_name;
  for (const auto& rule : impl_->rules) by_name[rule->plan().options.name.text] = rule.get();
  put_varint(out, by_name.size());
  for (const auto& [name, rule] : by_name) rule->snapshot(out);
}

// Gives the state to the rule of that name; says what there was no place for.
std::optional<RestoredRules::Lost> Detector::Impl::take(StoredRule stored) {
  RuleRun* const run = rule(stored.name);
  if (run != nullptr && run->plan().definition == stored.definition) {
    run->adopt(std::move(stored));
    return std::nullopt;
  }
  RestoredRules::Lost lost;
  lost.rule = stored.name;
  lost.gone = run == nullptr;
  lost.until = stored.newest_end;
  for (const StoredRule::Key& key : stored.keys) {
    lost.open.insert(lost.open.end(), key.state.open.begin(), key.state.open.end());
  }
  // Keys come by when they were last seen, which says nothing to people.
  std::sort(lost.open.begin(), lost.open.end(), [](const AnomalyPtr& a, const AnomalyPtr& b) {
    return std::tie(a->window_start, a->id) < std::tie(b->window_start, b->id);
  });
  if (run != nullptr) {
    const RulePlan& now = run->plan();
    const auto places = places_of(now.series_text, stored.series);
    // Even without history: which windows have been judged is still known.
    const bool same_window =
        now.schema->window == stored.window && now.schema->definition == stored.window_definition;
    lost.history_kept =
        same_window && std::any_of(places.begin(), places.end(), [](auto& p) { return p; });
    if (same_window) run->adopt(std::move(stored));
  }
  return lost;
}

Result<RestoredRules> Detector::restore(std::string_view bytes) {
  const auto corrupt = [] {
    return fail(ErrorCode::corrupt, "the checkpoint's part 'detect' is not what was written");
  };
  ByteReader in(bytes);
  const std::uint8_t version = in.u8();
  if (in.ok() && (version < kOldestVersion || version > kStateVersion)) {
    return fail(ErrorCode::corrupt,
                fmt::format("the checkpoint's part 'detect' has version {}, and this program reads "
                            "{} to {}: go on with the streamobs that wrote it, or with a new "
                            "data_dir",
                            version, kOldestVersion, kStateVersion));
  }
  auto impl = std::make_unique<Impl>(impl_->plan);
  if (!skip_streams(in, version)) return corrupt();
  RestoredRules restored;
  std::string before;
  for (std::size_t i = 0, rules = in.count(); i < rules; ++i) {
    StoredRule stored;
    if (!read_rule(in, version, stored) || (i > 0 && stored.name <= before)) return corrupt();
    before = stored.name;
    if (auto lost = impl->take(std::move(stored))) restored.lost.push_back(std::move(*lost));
  }
  if (!in.ok() || !in.at_end()) return corrupt();
  impl_ = std::move(impl);
  return restored;
}

Records RestoredRules::withdrawn(std::uint64_t position) const {
  Records out;
  for (const Lost& rule : lost) {
    for (const AnomalyPtr& open : rule.open) {
      auto anomaly = std::make_shared<Anomaly>(*open);
      anomaly->resolved = true;
      anomaly->resolved_at = std::max(rule.until, anomaly->window_end);
      anomaly->position = position;
      ++anomaly->revision;
      out.emplace_back(AnomalyPtr(std::move(anomaly)));
    }
  }
  return out;
}

}  // namespace streamobs::detect

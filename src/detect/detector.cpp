#include "detect/detector.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "detect/plan.h"
#include "detect/rule_run.h"

namespace streamobs::detect {

namespace {

// How far a stream's windows have closed, by what its batches said.
struct StreamTime {
  std::uint64_t position = 0;
  Timestamp watermark = kMinTimestamp;
};

Timestamp event_time(const Record& record) {
  const Anomaly& anomaly = *std::get<AnomalyPtr>(record);
  return anomaly.resolved_at.value_or(anomaly.window_end);
}

std::string_view phase_of(const RuleRun& rule, const RuleRun::Key& key, int history_windows) {
  if (key.streak.firing) return "firing";
  if (key.streak.first_end) return "pending";
  const RulePlan& plan = rule.plan();
  if (plan.warms_up() && history_windows < plan.options.warmup_windows) return "warming_up";
  return "ok";
}

}  // namespace

struct Detector::Impl {
  std::shared_ptr<const DetectPlan> plan;
  std::vector<std::unique_ptr<RuleRun>> rules;
  std::map<std::string, StreamTime> streams;

  // A window in which nothing happened sends no row. That it has closed shows in the watermark of
  // the stream's other batches; but only once the whole round of that watermark has been seen,
  // since the rule's own rows may come later in it.
  void pass_time(const WindowBatch& batch, Records& out) {
    StreamTime& time = streams[batch.schema->stream];
    if (batch.position != time.position) {
      for (const auto& rule : rules) {
        const WindowSchema& schema = *rule->plan().schema;
        if (schema.stream != batch.schema->stream || time.watermark == kMinTimestamp) continue;
        rule->pass_time(time.watermark - schema.allowed_lateness, out);
      }
      time.position = batch.position;
    }
    if (batch.watermark != kMaxTimestamp)
      time.watermark = std::max(time.watermark, batch.watermark);
  }
};

Detector::Detector(std::shared_ptr<const DetectPlan> plan) : impl_(std::make_unique<Impl>()) {
  impl_->plan = std::move(plan);
  for (const RulePlan& rule : impl_->plan->rules) {
    impl_->rules.push_back(std::make_unique<RuleRun>(rule));
  }
}

Detector::~Detector() = default;

void Detector::process(const Record& record, Records& out) {
  const auto* const batch = std::get_if<WindowBatchPtr>(&record);
  if (batch == nullptr || *batch == nullptr) return;
  const WindowBatch& b = **batch;
  // Early results come when a timer says so: they must not decide anything.
  if (std::none_of(b.rows.begin(), b.rows.end(), [](const WindowRow& row) { return row.closed; })) {
    return;
  }
  const auto begin = static_cast<std::ptrdiff_t>(out.size());
  impl_->pass_time(b, out);
  for (const auto& rule : impl_->rules) {
    if (rule->plan().schema->window == b.schema->window) rule->judge(b, out);
  }
  // By event time, not rule by rule: a batch may hold several windows, and what follows must not
  // depend on how many closed at once.
  std::stable_sort(out.begin() + begin, out.end(), [](const Record& left, const Record& right) {
    return event_time(left) < event_time(right);
  });
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
    const int rank = e.key->streak.firing ? 0 : e.key->streak.first_end ? 1 : 2;
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

}  // namespace streamobs::detect

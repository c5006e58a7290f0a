#include "app/results.h"

#include <algorithm>
#include <set>
#include <utility>

#include "app/recovery.h"
#include "base/log.h"
#include "flow/stage.h"

namespace streamobs::app {

namespace {

constexpr std::size_t kOutputsPerLane = 64;
constexpr std::size_t kRecords = 256;
constexpr std::size_t kRuleStates = 1'000;
constexpr Duration kLookEvery = 200 * kMillisecond;

std::set<std::string> described_rules(const config::Config& config) {
  std::set<std::string> names;
  for (const detect::RuleOptions& rule : config.rules) {
    if (!rule.description.empty()) names.insert(rule.name.text);
  }
  return names;
}

/// An operator that hands on what it was given, and what it says about it behind it.
template <class Operator>
struct PassingOn {
  Operator& inner;
  const char* part;  ///< Its name in a checkpoint.

  void process(Record& record, Records& out) {
    if (const auto* cut = std::get_if<CutPtr>(&record)) {
      if ((*cut)->checkpoint != nullptr) inner.snapshot((*cut)->checkpoint->parts[part]);
    }
    out.push_back(record);
    inner.process(record, out);
  }
};

bool must_be_kept(const Record& record) {
  const auto* window = std::get_if<WindowBatchPtr>(&record);
  return window == nullptr || !(*window)->early;
}

}  // namespace

Results::Results(const Plan& plan, asio::io_context& io, std::size_t lanes, const Clock& clock,
                 telemetry::Registry& metrics)
    : plan_(plan),
      clock_(clock),
      metrics_(metrics),
      executor_(asio::make_strand(io)),
      input_(lanes, kOutputsPerLane),
      to_detect_(kRecords),
      to_narrate_(kRecords),
      to_fan_out_(kRecords),
      to_store_(kRecords),
      rounds_(lanes),
      detector_(plan.rules),
      narrator_(plan.config.incidents, described_rules(plan.config)),
      next_look_(executor_, asio::steady_timer::time_point::max()),
      merged_(metrics.counter("streamobs_merged_rounds_total",
                              "Rounds of combining the lanes' parts of closed or open windows.")),
      detected_(metrics.counter("streamobs_detect_records_total", "Records judged by rules.")),
      narrated_(metrics.counter("streamobs_narrate_records_total", "Records seen by narration.")),
      served_(metrics.counter("streamobs_output_records_total",
                              "Records handed to the store and to live readers.")),
      close_lag_(metrics.histogram(
          "streamobs_window_close_lag_seconds",
          "Wall clock when a window's rows came out, less its end: allowed lateness included.",
          {0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 3600})) {
  for (const PlannedStream& stream : plan.streams) {
    mergers_.push_back(stream.windows == nullptr
                           ? nullptr
                           : std::make_unique<window::WindowMerger>(stream.windows));
  }
}

void Results::only(const TimeRange& range) {
  for (const auto& merger : mergers_) {
    if (merger != nullptr) merger->only(range.from, range.to);
  }
}

Result<> Results::restore(const CheckpointParts& checkpoint, std::uint64_t position,
                          const std::vector<Timestamp>& watermarks) {
  for (std::size_t id = 0; id < mergers_.size(); ++id) {
    if (mergers_[id] == nullptr) continue;
    const Result<> restored = mergers_[id]->restore(
        find_text(checkpoint, part::windows(plan_.config.streams[id].name.text)), watermarks[id]);
    if (restored.has_error()) return restored;
  }
  observe_kept();
  if (const std::string* bytes = find_part(checkpoint, part::detect)) {
    const Result<detect::RestoredRules> restored = detector_.restore(*bytes);
    if (restored.has_error()) return restored.error();
    for (const detect::RestoredRules::Lost& lost : restored->lost) {
      log::warn(lost.gone ? "the config has a rule no more; its open anomalies are resolved"
                          : "a rule says something else now; its open anomalies are resolved",
                {{"rule", lost.rule},
                 {"open_anomalies", lost.open.size()},
                 {"history", lost.history_kept ? "kept" : "begins anew"}});
    }
    withdrawn_ = restored->withdrawn(position);
    look_at_rules();
  }
  if (const std::string* bytes = find_part(checkpoint, part::narrate)) {
    const Result<narrate::RestoredIncidents> restored = narrator_.restore(*bytes, plan_.schemas());
    if (restored.has_error()) return restored.error();
    closed_incidents_ = restored->records(position);
  }
  return {};
}

void Results::spawn(flow::TaskGroup& tasks) {
  tasks.spawn(executor_, "merge", run_merge());
  tasks.spawn(executor_, "detect", run_detect());
  tasks.spawn(executor_, "narrate", run_narrate());
  tasks.spawn(executor_, "fan out", run_fan_out());
  tasks.spawn(executor_, "rule states", run_looks());
}

/// Records of a lane's own pass as they come, but never before a line that it has reached.
void Results::take_outputs(std::size_t lane, Records& out) {
  std::deque<LaneOutput>& waiting = rounds_[lane];
  while (!waiting.empty()) {
    auto* const record = std::get_if<Record>(&waiting.front());
    if (record == nullptr) break;
    out.push_back(std::move(*record));
    waiting.pop_front();
  }
}

bool Results::round_complete() const {
  return std::none_of(rounds_.begin(), rounds_.end(),
                      [](const auto& lane) { return lane.empty(); });
}

void Results::merge_round(Records& out) {
  if (std::holds_alternative<LaneCut>(rounds_.front().front())) {
    merge_cut(out);
    return;
  }
  std::vector<window::PartialPtr> partials;
  LanePartial round;
  bool any = false;
  for (auto& lane : rounds_) {
    LanePartial& part = std::get<LanePartial>(lane.front());
    any = any || part.partial != nullptr;
    partials.push_back(std::move(part.partial));
    round = std::move(part);
    lane.pop_front();
  }
  if (any) merged_.add();
  mergers_[round.stream_id]->merge(std::move(partials), round.position, round.watermark, round.kind,
                                   out);
  observe_kept();
}

void Results::observe_kept() {
  window::WindowMerger::Kept all;
  for (const auto& merger : mergers_) {
    if (merger == nullptr) continue;
    const window::WindowMerger::Kept kept = merger->kept();
    all.panes += kept.panes;
    all.keys += kept.keys;
  }
  kept_panes_.store(all.panes, std::memory_order_relaxed);
  kept_keys_.store(all.keys, std::memory_order_relaxed);
}

void Results::merge_cut(Records& out) {
  std::vector<std::vector<window::PartialPtr>> copies(mergers_.size());
  auto cut = std::make_shared<Cut>();
  for (auto& lane : rounds_) {
    LaneCut& reached = std::get<LaneCut>(lane.front());
    cut->position = reached.position;
    cut->checkpoint = std::move(reached.checkpoint);
    for (std::size_t id = 0; id < reached.copies.size(); ++id) {
      copies[id].push_back(std::move(reached.copies[id]));
    }
    lane.pop_front();
  }
  if (cut->checkpoint != nullptr) {
    for (std::size_t id = 0; id < mergers_.size(); ++id) {
      if (mergers_[id] == nullptr) continue;
      const std::string& stream = plan_.config.streams[id].name.text;
      mergers_[id]->snapshot(std::move(copies[id]), cut->checkpoint->parts[part::windows(stream)]);
    }
  }
  out.emplace_back(std::move(cut));
}

asio::awaitable<void> Results::run_merge() {
  std::vector<LaneOutput> outputs;
  Records records;
  while (true) {
    co_await input_.wait();
    // Asked before popping: an item pushed in between must not be missed.
    const bool ended = input_.all_closed();
    std::size_t count = 0;
    for (std::size_t lane = 0; lane < input_.producers(); ++lane) {
      outputs.clear();
      count += input_[lane].try_pop_batch(outputs, 16);
      for (LaneOutput& output : outputs) rounds_[lane].push_back(std::move(output));
      take_outputs(lane, records);
      while (round_complete()) {
        merge_round(records);
        for (std::size_t each = 0; each < rounds_.size(); ++each) take_outputs(each, records);
      }
    }
    for (Record& record : records) {
      const bool taken = co_await to_detect_.push(std::move(record));
      if (!taken) co_return;
    }
    records.clear();
    if (count == 0 && ended) break;
  }
  to_detect_.close();
}

asio::awaitable<void> Results::run_detect() {
  for (Record& record : withdrawn_) {
    const bool taken = co_await to_narrate_.push(std::move(record));
    if (!taken) break;
  }
  withdrawn_.clear();
  PassingOn<detect::Detector> op{detector_, part::detect};
  co_await flow::run_stage<Record, Record>(to_detect_, op, to_narrate_, detected_);
}

asio::awaitable<void> Results::run_narrate() {
  for (Record& record : closed_incidents_) {
    const bool taken = co_await to_fan_out_.push(std::move(record));
    if (!taken) break;
  }
  closed_incidents_.clear();
  PassingOn<narrate::Narrator> op{narrator_, part::narrate};
  co_await flow::run_stage<Record, Record>(to_narrate_, op, to_fan_out_, narrated_);
}

asio::awaitable<void> Results::run_fan_out() {
  std::vector<Record> batch;
  bool store_gone = false;
  while (true) {
    batch.clear();
    const std::size_t popped = co_await to_fan_out_.pop_batch(batch, 64);
    if (popped == 0) break;
    for (Record& record : batch) {
      count(record);
      for (const Listener& listener : listeners_) listener(record);
      if (const auto* cut = std::get_if<CutPtr>(&record)) {
        passed_.store((*cut)->position, std::memory_order_release);
      }
      if (!must_be_kept(record) || store_gone) continue;
      const bool taken = co_await to_store_.push(std::move(record));
      // The store has given up, which ends the engine: what still comes flows past it, so that
      // nobody upstream waits for ever.
      store_gone = !taken;
    }
    served_.add(popped);
    const Timestamp now = clock_.now();
    if (now - states_at_ >= kLookEvery || now < states_at_) {
      look_at_rules();
    } else if (!look_due_) {
      look_due_ = true;
      next_look_.expires_after(std::chrono::microseconds(kLookEvery));
    }
  }
  to_store_.close();
  fanned_out_ = true;
  next_look_.cancel();
}

/// The last of many records must show, too, when nothing comes behind it.
asio::awaitable<void> Results::run_looks() {
  while (!fanned_out_) {
    const auto token = asio::as_tuple(asio::use_awaitable);
    // Another time was set while it waited, if there is an error.
    const auto [error] = co_await next_look_.async_wait(token);
    if (!error && look_due_) look_at_rules();
  }
}

void Results::look_at_rules() {
  states_at_ = clock_.now();
  look_due_ = false;
  next_look_.expires_at(asio::steady_timer::time_point::max());
  std::vector<detect::RuleState> states = detector_.states(kRuleStates);
  const std::lock_guard lock(states_mutex_);
  states_.swap(states);
}

void Results::count_rows(const WindowBatch& rows) {
  if (rows.early || rows.rows.empty() || !rows.rows.front().closed) return;
  const std::string& name = rows.schema->window;
  metrics_.counter("streamobs_window_rows_total", "Rows of closed windows.", {{"window", name}})
      .add(rows.rows.size());
  // Rows come by start, and a window with many keys in several batches. Corrected windows, and
  // those that something late is the first of, have closed before.
  Timestamp& last_start = last_closed_start_[name];
  std::uint64_t closed = 0;
  std::uint64_t revisions = 0;
  for (const WindowRow& row : rows.rows) {
    revisions += row.revision != 0 ? 1 : 0;
    const bool before = row.revision != 0 || (row.start < last_start && rows.schema->gap == 0);
    if (before || row.start == last_start) continue;
    last_start = row.start;
    ++closed;
  }
  if (revisions != 0) {
    metrics_
        .counter("streamobs_window_revisions_total",
                 "Rows of closed windows that came again, corrected by late events.",
                 {{"window", name}})
        .add(revisions);
  }
  metrics_.counter("streamobs_windows_closed_total", "Windows closed.", {{"window", name}})
      .add(closed);
  if (closed != 0) {
    close_lag_.observe(static_cast<double>(clock_.now() - rows.rows.back().end) / kSecond);
  }
}

void Results::count(const Record& record) {
  if (const auto* window = std::get_if<WindowBatchPtr>(&record)) {
    count_rows(**window);
  } else if (const auto* anomaly = std::get_if<AnomalyPtr>(&record)) {
    // What is said again is no new one.
    if ((*anomaly)->resolved || (*anomaly)->revision != 0) return;
    metrics_
        .counter(
            "streamobs_anomalies_total", "Anomalies found.",
            {{"rule", (*anomaly)->rule}, {"severity", std::string(to_text((*anomaly)->severity))}})
        .add();
  } else if (const auto* incident = std::get_if<IncidentPtr>(&record)) {
    metrics_
        .counter("streamobs_narrations_total", "Incident texts written.",
                 {{"source", (*incident)->narrated_by}, {"outcome", "ok"}})
        .add();
  }
}

std::vector<detect::RuleState> Results::rule_states() const {
  const std::lock_guard lock(states_mutex_);
  return states_;
}

Results::Fill Results::fill() const {
  return {input_.fill_ratio(), to_detect_.fill_ratio(), to_narrate_.fill_ratio(),
          to_fan_out_.fill_ratio(), to_store_.fill_ratio()};
}

}  // namespace streamobs::app

#include "app/results.h"

#include <algorithm>
#include <utility>

#include "flow/stage.h"

namespace streamobs::app {

namespace {

constexpr std::size_t kOutputsPerLane = 64;
constexpr std::size_t kRecords = 256;
constexpr std::size_t kRuleStates = 1'000;

/// An operator that hands on what it was given, and what it says about it behind it.
template <class Operator>
struct PassingOn {
  Operator& inner;
  void process(Record& record, Records& out) {
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
    : clock_(clock),
      metrics_(metrics),
      executor_(asio::make_strand(io)),
      input_(lanes, kOutputsPerLane),
      to_detect_(kRecords),
      to_narrate_(kRecords),
      to_fan_out_(kRecords),
      to_store_(kRecords),
      rounds_(lanes),
      detector_(plan.rules),
      narrator_(plan.config.incidents),
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

void Results::spawn(flow::TaskGroup& tasks) {
  tasks.spawn(executor_, "merge", run_merge());
  tasks.spawn(executor_, "detect", run_detect());
  tasks.spawn(executor_, "narrate", run_narrate());
  tasks.spawn(executor_, "fan out", run_fan_out());
}

bool Results::round_complete() const {
  return std::none_of(rounds_.begin(), rounds_.end(),
                      [](const auto& lane) { return lane.empty(); });
}

void Results::merge_round(Records& out) {
  std::vector<window::PartialPtr> partials;
  LanePartial::Kind kind = LanePartial::Kind::closed;
  std::uint32_t stream_id = 0;
  std::uint64_t position = 0;
  Timestamp watermark = 0;
  bool any = false;
  for (auto& lane : rounds_) {
    LanePartial& part = lane.front();
    kind = part.kind;
    stream_id = part.stream_id;
    position = part.position;
    watermark = part.watermark;
    any = any || part.partial != nullptr;
    partials.push_back(std::move(part.partial));
    lane.pop_front();
  }
  if (!any) return;
  merged_.add();
  mergers_[stream_id]->merge(std::move(partials), position, watermark,
                             kind == LanePartial::Kind::closed, out);
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
      for (LaneOutput& output : outputs) {
        if (auto* partial = std::get_if<LanePartial>(&output)) {
          rounds_[lane].push_back(std::move(*partial));
        } else {
          records.emplace_back(std::move(std::get<DeadLettersPtr>(output)));
        }
      }
      while (round_complete()) merge_round(records);
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
  PassingOn<detect::Detector> op{detector_};
  co_await flow::run_stage<Record, Record>(to_detect_, op, to_narrate_, detected_);
}

asio::awaitable<void> Results::run_narrate() {
  PassingOn<narrate::Narrator> op{narrator_};
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
      if (!must_be_kept(record) || store_gone) continue;
      const bool taken = co_await to_store_.push(std::move(record));
      // The store has given up, which ends the engine: what still comes flows past it, so that
      // nobody upstream waits for ever.
      store_gone = !taken;
    }
    served_.add(popped);
    const Timestamp now = clock_.now();
    if (now - states_at_ >= 200 * kMillisecond || now < states_at_) {
      states_at_ = now;
      std::vector<detect::RuleState> states = detector_.states(kRuleStates);
      const std::lock_guard lock(states_mutex_);
      states_.swap(states);
    }
  }
  to_store_.close();
}

void Results::count(const Record& record) {
  if (const auto* window = std::get_if<WindowBatchPtr>(&record)) {
    const WindowBatch& rows = **window;
    if (rows.early || rows.rows.empty() || !rows.rows.front().closed) return;
    const std::string& name = rows.schema->window;
    metrics_.counter("streamobs_window_rows_total", "Rows of closed windows.", {{"window", name}})
        .add(rows.rows.size());
    // Rows come by start, and a window with many keys in several batches.
    Timestamp& last_start = last_closed_start_[name];
    std::uint64_t closed = 0;
    for (const WindowRow& row : rows.rows) {
      if (row.start == last_start) continue;
      last_start = row.start;
      ++closed;
    }
    metrics_.counter("streamobs_windows_closed_total", "Windows closed.", {{"window", name}})
        .add(closed);
    if (closed != 0)
      close_lag_.observe(static_cast<double>(clock_.now() - rows.rows.back().end) / kSecond);
  } else if (const auto* anomaly = std::get_if<AnomalyPtr>(&record)) {
    if ((*anomaly)->resolved) return;
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

#include "app/pipeline_view.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "app/state_merging.h"
#include "app/topology.h"
#include "base/version.h"
#include "window/metric_aggregate.h"

namespace streamobs::app {

namespace {

std::optional<Timestamp> known(Timestamp t) {
  if (t == kMinTimestamp || t == 0) return std::nullopt;
  return t;
}

}  // namespace

PipelineView::PipelineView(Topology& topology) : topology_(topology) {}

PipelineView::~PipelineView() {
  topology_.metrics_.remove_callbacks(this);
}

void PipelineView::register_metrics() {
  Topology& t = topology_;
  telemetry::Registry& r = t.metrics_;
  const auto fill = [&r, this](const char* from, const char* to, std::function<double()> read) {
    r.gauge_callback(this, "streamobs_channel_fill_ratio", "How full a channel is, from 0 to 1.",
                     {{"from", from}, {"to", to}}, std::move(read));
  };
  fill("decode", "sequence", [&t] { return t.sequencing_->input_fill(); });
  fill("sequence", "log", [&t] { return t.journal_->fill(); });
  if (t.history_ != nullptr) {
    const auto of_log = [&r, &t, this](const char* name, const char* help,
                                       std::uint64_t wal::LogStats::* field) {
      r.gauge_callback(this, name, help, {}, [&t, field] {
        return static_cast<double>(t.history_->log().stats().*field);
      });
    };
    of_log("streamobs_wal_disk_bytes", "Log on disk, space taken ahead included.",
           &wal::LogStats::disk_bytes);
    of_log("streamobs_wal_segments", "Segments of the log.", &wal::LogStats::segments);
    of_log("streamobs_wal_durable_position", "Newest record of the log that is on disk.",
           &wal::LogStats::durable_sequence);
  }
  fill("log", "window", [&t] {
    double fullest = 0;
    for (const auto& lane : t.lanes_) fullest = std::max(fullest, lane->work().fill_ratio());
    return fullest;
  });
  fill("window", "merge", [&t] { return t.results_->fill().merge; });
  fill("merge", "detect", [&t] { return t.results_->fill().detect; });
  fill("detect", "narrate", [&t] { return t.results_->fill().narrate; });
  fill("narrate", "fan_out", [&t] { return t.results_->fill().fan_out; });
  fill("fan_out", "store", [&t] { return t.results_->fill().store; });
  for (std::uint32_t id = 0; id < t.plan_->streams.size(); ++id) {
    const std::string& stream = t.plan_->config.streams[id].name.text;
    r.gauge_callback(this, "streamobs_watermark_seconds",
                     "How far event time has come, in seconds since the epoch.",
                     {{"source", stream}}, [&t, id] {
                       const Timestamp w = t.sequencing_->time_of(id).watermark.load();
                       return w == kMinTimestamp ? 0.0 : static_cast<double>(w) / kSecond;
                     });
  }
  r.gauge_callback(this, "streamobs_config_last_reload_successful",
                   "1 where the config was taken over at the last try, 0 where it was refused.", {},
                   [this] { return config().refused ? 0.0 : 1.0; });
  r.gauge_callback(this, "streamobs_config_last_reload_success_timestamp_seconds",
                   "When the config in force was taken over.", {},
                   [this] { return static_cast<double>(config().since) / kSecond; });
  r.gauge_callback(this, "streamobs_window_keys",
                   "Groups held in open windows, and in closed ones that can still be corrected.",
                   {}, [&t] {
                     std::size_t keys = t.results_->kept_keys();
                     for (const auto& lane : t.lanes_) keys += lane->keys();
                     return static_cast<double>(keys);
                   });
  r.gauge_callback(this, "streamobs_windows_open",
                   "Open windows; of hopping ones, the panes held for them.", {},
                   [&t] { return static_cast<double>(windows_open(t)); });
  r.gauge_callback(this, "streamobs_in_flight_bytes", "Decoded events not yet counted, in bytes.",
                   {}, [&t] { return static_cast<double>(t.in_flight_.bytes.load()); });
  r.gauge_callback(this, "streamobs_log_position", "Batches and marks sequenced so far.", {},
                   [&t] { return static_cast<double>(t.sequencing_->position()); });
  r.gauge_callback(this, "streamobs_store_bytes", "Size of the database and its journal.", {},
                   [&t] { return static_cast<double>(t.database_->stats().bytes); });
  r.gauge_callback(this, "streamobs_store_pending_records", "Rows taken but not yet committed.", {},
                   [&t] { return static_cast<double>(t.store_sink_->pending()); });
  register_sink_metrics();
  register_archive_metrics();
  r.gauge("streamobs_build_info", "Always 1; the labels say what is running.",
          {{"version", std::string(kVersion)}})
      .set(1);
}

std::size_t PipelineView::windows_open(const Topology& topology) {
  std::size_t open = 0;
  for (const auto& lane : topology.lanes_) open = std::max(open, lane->open_instances());
  return open + topology.results_->kept_panes();
}

void PipelineView::register_archive_metrics() {
  Topology& t = topology_;
  for (const store::ArchiveState& archive : t.database_->archives()) {
    t.metrics_.gauge_callback(
        this, "streamobs_archive_failures",
        "Tries since the start to write the files that rows go to before they are removed, which "
        "failed.",
        {{"window", archive.window},
         {"resolution", std::string(store::to_text(archive.resolution))}},
        [&t, directory = archive.directory] {
          for (const store::ArchiveState& now : t.database_->archives()) {
            if (now.directory == directory) return static_cast<double>(now.failures);
          }
          return 0.0;
        });
  }
}

void PipelineView::register_sink_metrics() {
  Topology& t = topology_;
  for (const auto& sink : t.sinks_) {
    const std::string& name = sink->options().name.text;
    const auto of_outbox = [&t, &name, this](const char* metric, const char* help, auto read) {
      t.metrics_.gauge_callback(this, metric, help, {{"sink", name}},
                                [&t, name, read] { return read(t.database_->outbox_stats(name)); });
    };
    of_outbox("streamobs_sink_outbox_rows", "Results that a sink has not delivered yet.",
              [](const store::OutboxStats& s) { return static_cast<double>(s.rows); });
    of_outbox("streamobs_sink_outbox_bytes", "The same in bytes.",
              [](const store::OutboxStats& s) { return static_cast<double>(s.bytes); });
    of_outbox("streamobs_sink_dropped_results",
              "Results given up undelivered since the start, the outbox being full.",
              [](const store::OutboxStats& s) { return static_cast<double>(s.dropped); });
    of_outbox("streamobs_sink_oldest_seconds", "Age of the oldest result not delivered yet.",
              [&t](const store::OutboxStats& s) {
                const Timestamp now = t.clock_.now();
                if (s.oldest_at == 0 || now < s.oldest_at) return 0.0;
                return static_cast<double>(now - s.oldest_at) / kSecond;
              });
  }
}

std::vector<serve::LookupState> PipelineView::lookups() const {
  std::vector<serve::LookupState> states;
  const Plan& plan = *topology_.plan_;
  for (std::size_t i = 0; i < plan.lookups.size(); ++i) {
    const Lookups::State now = topology_.sequencing_->lookups().state(i);
    serve::LookupState state;
    state.lookup = plan.lookups[i]->schema.name;
    state.file = plan.lookups[i]->options.path;
    state.rows = now.rows;
    if (now.digest != 0) state.version = fmt::format("{:016x}", now.digest);
    state.since = known(now.since);
    state.error = topology_.lookup_files_.error(i);
    states.push_back(std::move(state));
  }
  return states;
}

std::vector<serve::JoinState> PipelineView::joins() const {
  std::vector<serve::JoinState> states;
  const Plan& plan = *topology_.plan_;
  for (std::size_t i = 0; i < plan.joins.size(); ++i) {
    const window::JoinOptions& options = plan.joins[i].join->options;
    const Joins::State now = topology_.sequencing_->joins().state(i);
    states.push_back({options.name.text, options.streams[0].text, options.streams[1].text, now.rows,
                      now.unmatched[0], now.unmatched[1], now.pushed_out, now.pending,
                      now.pending_bytes});
  }
  return states;
}

std::vector<serve::StreamInfo> PipelineView::stream_infos() const {
  std::vector<serve::StreamInfo> infos;
  const Plan& plan = *topology_.plan_;
  for (std::size_t id = 0; id < plan.streams.size(); ++id) {
    serve::StreamInfo info;
    const StreamSchema& schema = plan.streams[id].decode->schema;
    info.stream = schema.stream;
    info.time_field = schema.time_field;
    info.fields = schema.fields;
    if (!schema.joined) info.paths.push_back("/v1/events/" + schema.stream);
    for (const SourceText& path : plan.config.streams[id].paths) info.paths.push_back(path.text);
    info.format = plan.config.streams[id].format;
    infos.push_back(std::move(info));
  }
  return infos;
}

std::vector<serve::WindowInfo> PipelineView::window_infos() const {
  std::vector<serve::WindowInfo> infos;
  for (const PlannedWindow& window : topology_.plan_->windows) {
    infos.push_back({window.schema,
                     window.options.allowed_lateness,
                     window.options.emit_every,
                     window.options.correct_for,
                     {}});
  }
  for (const PlannedStream& stream : topology_.plan_->streams) {
    if (stream.windows == nullptr) continue;
    const auto aggregates = window::metric_aggregates(*stream.windows);
    for (std::size_t i = 0; i < stream.window_ids.size(); ++i) {
      infos[stream.window_ids[i]].aggregates = aggregates[i];
    }
  }
  return infos;
}

std::vector<serve::RowSource> PipelineView::views() const {
  std::vector<serve::RowSource> views;
  const Plan& plan = *topology_.plan_;
  for (const store::ViewOptions& view : plan.config.store.views) {
    serve::RowSource source;
    source.name = view.name.text;
    source.view = true;
    for (std::size_t i = 0; i < view.windows.size(); ++i) {
      const std::optional<WindowOfPlan> window = find_window(plan, view.windows[i].text);
      source.members.push_back({window->window->schema, view.sizes[i]});
    }
    views.push_back(std::move(source));
  }
  return views;
}

std::vector<serve::StreamState> PipelineView::stream_states() const {
  std::vector<serve::StreamState> states;
  const Topology& t = topology_;
  for (std::uint32_t id = 0; id < t.plan_->streams.size(); ++id) {
    serve::StreamState state;
    state.stream = t.plan_->config.streams[id].name.text;
    for (std::size_t source = 0; source < t.plan_->sources.size(); ++source) {
      if (t.plan_->sources[source].stream_id == id) {
        state.received += t.lane_metrics_.received[source]->value();
      }
    }
    state.accepted = t.lane_metrics_.streams[id].accepted->value();
    for (std::size_t i = 0; i < t.plan_->joins.size(); ++i) {  // Nobody sends it any.
      if (t.plan_->joins[i].stream_id == id) state.accepted = t.sequencing_->joins().state(i).rows;
    }
    state.rejected = t.lane_metrics_.rejected_by_reason(id);
    state.watermark = known(t.sequencing_->time_of(id).watermark.load());
    state.newest_event_at = known(t.sequencing_->time_of(id).newest.load());
    state.idle = t.sequencing_->time_of(id).idle.load();
    states.push_back(std::move(state));
  }
  return states;
}

std::vector<serve::StageState> PipelineView::stages() const {
  const Topology& t = topology_;
  const Results::Fill fill = t.results_->fill();
  const Totals totals = t.totals();
  double blocks = 0;
  double work = 0;
  for (const auto& lane : t.lanes_) {
    blocks = std::max(blocks, lane->blocks().fill_ratio());
    work = std::max(work, lane->work().fill_ratio());
  }
  const auto counted = [&t](const char* name) {
    return static_cast<std::uint64_t>(t.metrics_.value(name));
  };
  return {
      {"source", totals.received, "events", std::nullopt, 0},
      {"decode", totals.accepted, "events", blocks, totals.rejected},
      {"sequence", counted("streamobs_sequenced_batches_total"), "batches",
       t.sequencing_->input_fill(), 0},
      {"window", counted("streamobs_windowed_events_total"), "events", work, totals.late},
      {"merge", totals.window_rows, "rows", fill.merge, 0},
      {"detect", totals.anomalies, "anomalies", fill.detect, 0},
      {"narrate", counted("streamobs_narrate_records_total"), "records", fill.narrate, 0},
      {"store", t.database_->stats().rows_written, "rows", fill.store,
       counted("streamobs_store_retries_total")},
      {"serve", counted("streamobs_output_records_total"), "records", fill.fan_out, 0},
  };
}

std::vector<serve::RuleState> PipelineView::rules() const {
  std::vector<serve::RuleState> states;
  for (const detect::RuleState& state : topology_.results_->rule_states()) {
    states.push_back({state.rule, state.window, state.key, state.phase, state.history_windows,
                      state.warmup_windows, known(state.last_window_end)});
  }
  return states;
}

serve::PipelineState PipelineView::pipeline() const {
  const Topology& t = topology_;
  serve::PipelineState state;
  state.threads = t.threads_;
  state.lanes = t.lanes_.size();
  state.stages = stages();
  state.sources = sources();
  state.sinks = sinks();
  state.lookups = lookups();
  state.joins = joins();
  state.rules = rules();
  state.rules_configured = t.plan_->config.rules.size();
  const store::StoreStats stats = t.database_->stats();
  state.store = {t.plan_->config.store.path,  stats.bytes,
                 stats.rows_written,          t.store_sink_->pending(),
                 known(stats.last_commit_at), {}};
  for (store::ArchiveState& archive : t.database_->archives()) {
    state.store.archives.push_back({std::move(archive.window),
                                    std::string(store::to_text(archive.resolution)),
                                    std::move(archive.directory), archive.failures,
                                    std::move(archive.error), known(archive.since)});
  }
  state.config = config();
  return state;
}

/// Without a reload: since the start.
serve::ConfigState PipelineView::config() const {
  if (topology_.options_.reload != nullptr) return topology_.options_.reload->state();
  serve::ConfigState state;
  state.file = topology_.plan_->config.file;
  state.since = topology_.ready_at_;
  return state;
}

serve::Pulse PipelineView::pulse() {
  const Topology& t = topology_;
  const Totals totals = t.totals();
  const Timestamp now = t.clock_.now();
  serve::Pulse pulse;
  if (pulse_at_ != 0 && now > pulse_at_) {
    pulse.events_per_second = static_cast<double>(totals.received - pulse_events_) * kSecond /
                              static_cast<double>(now - pulse_at_);
  }
  pulse_at_ = now;
  pulse_events_ = totals.received;
  pulse.events_total = totals.received;
  pulse.rejected_total = totals.rejected;
  pulse.late_total = totals.late;
  // How far the slowest stream that is not silent is behind the wall clock.
  for (std::uint32_t id = 0; id < t.plan_->streams.size(); ++id) {
    const Sequencing::StreamTime& time = t.sequencing_->time_of(id);
    const Timestamp watermark = time.watermark.load();
    if (watermark == kMinTimestamp || time.idle.load()) continue;
    const double lag = std::max(0.0, static_cast<double>(now - watermark) / kSecond);
    pulse.watermark_lag_seconds = std::max(pulse.watermark_lag_seconds.value_or(0), lag);
  }
  pulse.windows_open = windows_open(t);
  return pulse;
}

}  // namespace streamobs::app

// The two ends of the pipeline as people see them: sources with their partitions and groups, sinks
// with their outboxes, and what either complains of.
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "app/pipeline_view.h"
#include "app/topology.h"

namespace streamobs::app {

namespace {

std::string describe(const source::Progress& progress) {
  const std::uint64_t read = progress.input_bytes.load(std::memory_order_relaxed);
  const std::uint64_t partitions = progress.partitions.load();
  const std::int32_t generation = progress.group_generation.load(std::memory_order_relaxed);
  if (partitions != 0 || generation != source::Progress::kNoGroup) {
    const std::uint64_t held = progress.partitions_held.load(std::memory_order_relaxed);
    return fmt::format("{} partitions, {} messages, {} behind{}", partitions,
                       progress.messages.load(), progress.messages_behind.load(),
                       held == 0 ? "" : fmt::format(", {} wait for the others", held));
  }
  const std::uint64_t total = progress.input_bytes_total.load(std::memory_order_relaxed);
  const std::uint64_t files = progress.files.load(std::memory_order_relaxed);
  if (total != 0) return fmt::format("{} of {} bytes, {} files", read, total, files);
  return read == 0 ? std::string() : fmt::format("{} bytes", read);
}

/// Of a source in a consumer group, behind that.
std::string describe_group(const source::Progress& progress, const source::SourceOptions& options,
                           const telemetry::Registry& metrics) {
  const std::int32_t generation = progress.group_generation.load(std::memory_order_relaxed);
  const double discarded = metrics.value("streamobs_kafka_group_discarded_ranges_total",
                                         {{"source", options.name.text}});
  return fmt::format(
      "; {} in group {}, {}{}", options.instance, options.group.text,
      generation < 0 ? "waiting for its turn" : fmt::format("generation {}", generation),
      discarded == 0 ? "" : fmt::format(", {} blocks discarded", discarded));
}

std::uint64_t counted(const telemetry::Registry& metrics, std::string_view name,
                      const telemetry::Labels& labels) {
  return static_cast<std::uint64_t>(metrics.total(name, labels));
}

serve::TroubleState trouble_of(const telemetry::Troubles& troubles, std::uint64_t count) {
  serve::TroubleState state;
  state.count = count;
  if (std::optional<telemetry::Troubles::Told> told = troubles.last()) {
    state.error = std::move(told->error);
    state.advice = std::move(told->advice);
    state.at = told->at;
  }
  return state;
}

serve::GroupState group_of(const source::Progress& progress, const source::SourceOptions& options,
                           const telemetry::Registry& metrics) {
  const telemetry::Labels labels{{"source", options.name.text}};
  const std::int32_t generation = progress.group_generation.load(std::memory_order_relaxed);
  serve::GroupState state;
  state.group = options.group.text;
  state.instance = options.instance;
  state.state = generation < 0 ? "joining" : "member";
  if (generation >= 0) state.generation = generation;
  state.rebalances = counted(metrics, "streamobs_kafka_group_rebalances_total", labels);
  state.proposed_ranges = counted(metrics, "streamobs_kafka_group_proposed_ranges_total", labels);
  state.discarded_ranges = counted(metrics, "streamobs_kafka_group_discarded_ranges_total", labels);
  state.discarded_events = counted(metrics, "streamobs_kafka_group_discarded_events_total", labels);
  state.refused_commits = counted(metrics, "streamobs_kafka_group_refused_commits_total", labels);
  return state;
}

serve::TopicsState topics_of(const source::Progress& progress, const source::SourceOptions& options,
                             const telemetry::Registry& metrics) {
  serve::TopicsState state;
  state.messages = progress.messages.load(std::memory_order_relaxed);
  state.lag = progress.messages_behind.load(std::memory_order_relaxed);
  state.brokers_up =
      counted(metrics, "streamobs_kafka_brokers_up", {{"source", options.name.text}});
  const double round_trip = progress.round_trip_seconds.load(std::memory_order_relaxed);
  if (round_trip != 0) state.round_trip_seconds = round_trip;
  for (source::PartitionProgress& row : progress.partition_table.get()) {
    serve::PartitionState partition;
    partition.topic = std::move(row.topic);
    partition.partition = row.partition;
    partition.next = row.next;
    partition.lag = row.lag;
    partition.held = row.held;
    if (row.ahead) partition.ahead_seconds = static_cast<double>(*row.ahead) / kSecond;
    state.partitions.push_back(std::move(partition));
  }
  if (!options.group.empty()) state.group = group_of(progress, options, metrics);
  return state;
}

}  // namespace

std::vector<serve::SourceState> PipelineView::sources() const {
  const Topology& t = topology_;
  std::vector<serve::SourceState> states;
  for (std::size_t id = 0; id < t.plan_->sources.size(); ++id) {
    const PlannedSource& planned = t.plan_->sources[id];
    serve::SourceState state;
    state.source = planned.name;
    state.type = planned.type;
    state.stream = t.plan_->config.streams[planned.stream_id].name.text;
    state.events = t.lane_metrics_.received[id]->value();
    if (planned.configured && !t.sources_made_.load(std::memory_order_acquire)) {
      state.state = "starting";  // Sources are made when recovery is over.
    } else if (planned.configured) {
      const source::Progress& progress = t.sources_[id]->progress();
      state.state = std::string(source::to_text(progress.state.load()));
      state.detail = describe(progress);
      const source::SourceOptions& options = t.plan_->config.sources[id];
      if (!options.group.empty()) state.detail += describe_group(progress, options, t.metrics_);
      std::uint64_t errors = 0;
      if (options.type == source::Type::kafka) {
        state.topics = topics_of(progress, options, t.metrics_);
        errors = counted(t.metrics_, "streamobs_kafka_errors_total", {{"source", planned.name}});
      }
      state.trouble = trouble_of(progress.troubles, errors);
    } else {
      // Those nobody configured are shown once they are used.
      if (state.events == 0 && planned.type == "embedded") continue;
      if (planned.type == "join") continue;
      state.state = t.ingest_->stopping() ? "stopped" : "listening";
    }
    states.push_back(std::move(state));
  }
  return states;
}

std::vector<serve::SinkState> PipelineView::sinks() const {
  const Topology& t = topology_;
  std::vector<serve::SinkState> states;
  for (const auto& sink : t.sinks_) {
    const sink::SinkOptions& options = sink->options();
    const telemetry::Labels labels{{"sink", options.name.text}};
    const store::OutboxStats outbox = t.database_->outbox_stats(options.name.text);
    serve::SinkState state;
    state.sink = options.name.text;
    state.type = "kafka";
    state.from = options.from.text;
    state.topic = options.topic.text;
    state.state = sink::to_text(sink->state());
    state.sent = sink->sent();
    state.dropped = outbox.dropped;
    state.outbox_rows = outbox.rows;
    state.outbox_bytes = outbox.bytes;
    if (outbox.oldest_at != 0) state.oldest_at = outbox.oldest_at;
    state.outbox_bytes_max = options.outbox_bytes_max;
    state.required = options.required;
    state.refused = sink->refused();
    state.brokers_up = counted(t.metrics_, "streamobs_sink_brokers_up", labels);
    if (sink->transaction_seconds() != 0) state.transaction_seconds = sink->transaction_seconds();
    state.trouble =
        trouble_of(sink->troubles(), counted(t.metrics_, "streamobs_sink_errors_total", labels));
    states.push_back(std::move(state));
  }
  return states;
}

}  // namespace streamobs::app

#include "app/health_probe.h"

#include <algorithm>
#include <optional>
#include <sys/statvfs.h>
#include <utility>

#include <fmt/format.h>

#include "app/topology.h"

namespace streamobs::app {

namespace {

health::SourceSeen::State state_of(source::State state) {
  switch (state) {
    case source::State::starting:
      return health::SourceSeen::State::starting;
    case source::State::running:
    case source::State::waiting:
      return health::SourceSeen::State::reading;
    case source::State::ended:
      return health::SourceSeen::State::ended;
    case source::State::failed:
      return health::SourceSeen::State::failed;
  }
  return health::SourceSeen::State::failed;
}

health::BrokersSeen seen_of(std::int64_t brokers_up, const telemetry::Troubles& troubles) {
  health::BrokersSeen seen;
  if (brokers_up >= 0) seen.up = static_cast<std::uint64_t>(brokers_up);
  if (const std::optional<telemetry::Troubles::Told> told = troubles.last()) {
    seen.trouble = told->error;
    seen.advice = told->advice;
    seen.trouble_at = told->at;
  }
  return seen;
}

health::SourceSeen seen_of(const PlannedSource& planned, const source::Progress& progress) {
  health::SourceSeen seen;
  seen.name = planned.name;
  seen.state = state_of(progress.state.load());
  seen.has_backlog = planned.type == "kafka";
  seen.messages = progress.messages.load(std::memory_order_relaxed);
  seen.behind = progress.messages_behind.load(std::memory_order_relaxed);
  seen.partitions_held = progress.partitions_held.load(std::memory_order_relaxed);
  seen.partitions = progress.partitions.load(std::memory_order_relaxed);
  seen.brokers = seen_of(progress.brokers_up.load(std::memory_order_relaxed), progress.troubles);
  const std::int32_t generation = progress.group_generation.load(std::memory_order_relaxed);
  seen.waits_for_group =
      generation == source::Progress::kNoMember || (generation >= 0 && seen.partitions == 0);
  return seen;
}

constexpr const char* kIsABug =
    "It is stuck, which is a bug: keep the engine's log, restart the engine (nothing that was "
    "acknowledged is lost), and report it";

/// Blocks that have come in and have no place in history yet. A group's wait for its verdict.
health::WorkSeen intake_of(const PlannedSource& planned, const InFlight::OfSource& source,
                           std::uint64_t received) {
  std::int64_t blocks = 0;
  for (std::size_t i = 0; i < source.partitions; ++i) {
    blocks += source.of_partition[i].blocks.load(std::memory_order_relaxed);
  }
  return {fmt::format("the intake of {}", planned.name), kIsABug, received, blocks > 0};
}

bool is_in_group(const Plan& plan, const PlannedSource& planned) {
  return planned.configured && !plan.config.sources[*planned.configured].group.empty();
}

}  // namespace

/// What is done is counted finely: one close of millions of rows takes its time, and moves all the
/// while.
std::vector<health::WorkSeen> HealthProbe::look_at_work(const Topology& t) {
  const Plan& plan = *t.plan_;
  std::vector<health::WorkSeen> work;
  const bool full = t.journal_->disk_full();  // Then they wait for space, as the engine says.
  const std::uint64_t handed_out = t.dispatcher_->handed_out();
  for (std::size_t id = 0; id < t.in_flight_.sources.size(); ++id) {
    // What a join makes of one batch may take long, and goes on its way in pieces.
    const std::uint64_t done =
        t.lane_metrics_.received[id]->value() + (plan.joins.empty() ? 0 : handed_out);
    work.push_back(intake_of(plan.sources[id], t.in_flight_.sources[id], done));
    if (full || is_in_group(plan, plan.sources[id])) work.back().waits = false;
  }
  if (t.history_ != nullptr) {
    // What is synced by the clock is in the log before it is durable.
    const bool by_clock = plan.config.wal.durability == wal::Durability::interval;
    const wal::Log& log = t.history_->log();
    const std::uint64_t logged = by_clock ? log.next_sequence() - 1 : log.durable_sequence();
    work.push_back({"the log",
                    "Its disk does not write: look at the kernel's messages (dmesg), and whether "
                    "the disk is overloaded or a network one that is gone",
                    logged, !full && t.sequencing_->position() > logged});
  }
  std::uint64_t windowed = 0;
  for (std::size_t id = 0; id < plan.streams.size(); ++id) {
    windowed += t.in_flight_.work_done[id].load(std::memory_order_relaxed);
  }
  work.push_back({"the counting of windows", kIsABug, windowed, handed_out > windowed});
  const std::uint64_t passed = t.results_->passed();
  std::uint64_t results = passed;
  for (const char* stage : {"streamobs_merged_rounds_total", "streamobs_detect_records_total",
                            "streamobs_narrate_records_total", "streamobs_output_records_total"}) {
    results += static_cast<std::uint64_t>(t.metrics_.value(stage));
  }
  work.push_back({"what comes behind the windows (merge, detect, narrate)", kIsABug, results,
                  t.dispatcher_->cut_at_position() > passed});
  const std::uint64_t settled = t.store_sink_->settled();
  const std::uint64_t pending = t.store_sink_->pending();
  work.push_back({"the store",
                  "See the check \"store\": does another program hold the database, is the disk "
                  "slow or full, is the outbox of a required sink full?",
                  settled + pending + t.database_->stats().transactions,
                  passed > settled || pending != 0 || t.results_->fill().store > 0});
  return work;
}

health::Observation HealthProbe::look(const Topology& t) {
  health::Observation seen;
  seen.now = t.clock_.now();
  seen.ready_at = t.ready_at_.load(std::memory_order_acquire);
  seen.not_ready = t.not_ready().value_or("");
  const Plan& plan = *t.plan_;
  const bool sources_made = t.sources_made_.load(std::memory_order_acquire);
  for (std::uint32_t id = 0; id < plan.streams.size(); ++id) {
    if (plan.config.streams[id].joined) continue;  // Its sides are looked at.
    health::StreamSeen stream;
    stream.name = plan.config.streams[id].name.text;
    const Timestamp newest = t.sequencing_->time_of(id).newest.load();
    if (newest != kMinTimestamp && newest != 0) stream.newest_event_at = newest;
    const Timestamp watermark = t.sequencing_->time_of(id).watermark.load();
    const bool idle = t.sequencing_->time_of(id).idle.load();
    if (watermark != kMinTimestamp && !idle) stream.watermark = watermark;
    stream.accepted = t.lane_metrics_.streams[id].accepted->value();
    std::size_t configured = 0;
    bool all_ended = true;
    for (std::size_t source = 0; source < plan.sources.size(); ++source) {
      if (plan.sources[source].stream_id != id) continue;
      const std::uint64_t received = t.lane_metrics_.received[source]->value();
      stream.received += received;
      if (!plan.sources[source].configured) {
        all_ended = all_ended && received == 0;  // Whoever sends over HTTP has not ended.
        continue;
      }
      ++configured;
      all_ended = all_ended && sources_made &&
                  t.sources_[source]->progress().state.load() == source::State::ended;
    }
    stream.input_over = configured != 0 && all_ended;
    seen.streams.push_back(std::move(stream));
  }
  for (std::size_t i = 0; sources_made && i < t.sources_.size(); ++i) {
    seen.sources.push_back(seen_of(plan.sources[i], t.sources_[i]->progress()));
  }

  double fullest_work = 0;
  for (const auto& lane : t.lanes_)
    fullest_work = std::max(fullest_work, lane->work().fill_ratio());
  const Results::Fill fill = t.results_->fill();
  seen.channels = {{"decode", "sequence", t.sequencing_->input_fill()},
                   {"sequence", "log", t.journal_->fill()},
                   {"log", "window", fullest_work},
                   {"window", "merge", fill.merge},
                   {"merge", "detect", fill.detect},
                   {"detect", "narrate", fill.narrate},
                   {"narrate", "fan_out", fill.fan_out},
                   {"fan_out", "store", fill.store}};
  seen.work = look_at_work(t);
  const auto counted = [&t](const char* name) {
    return static_cast<std::uint64_t>(t.metrics_.value(name));
  };
  seen.has_rules = !plan.config.rules.empty();
  seen.detection = {counted("streamobs_detect_records_total"), fill.detect, fill.narrate};
  seen.narration = {counted("streamobs_narrate_records_total"), fill.narrate, fill.fan_out};
  seen.store = {std::string(t.store_sink_->held_up()), t.store_sink_->pending(),
                t.database_->stats().transactions, counted("streamobs_checkpoints_failed_total"),
                t.store_sink_->tidied_at()};
  for (const auto& sink : t.sinks_) {
    const store::OutboxStats outbox = t.database_->outbox_stats(sink->options().name.text);
    health::SinkSeen one;
    one.name = sink->options().name.text;
    one.stopped = sink->state() == sink::KafkaSink::State::stopped;
    one.rows_waiting = outbox.rows;
    one.dropped = outbox.dropped;
    if (outbox.oldest_at != 0) one.oldest_at = outbox.oldest_at;
    one.brokers = seen_of(sink->brokers_up(), sink->troubles());
    seen.sinks.push_back(std::move(one));
  }
  for (std::size_t i = 0; i < plan.lookups.size(); ++i) {
    const decode::LookupOptions& options = plan.lookups[i]->options;
    seen.lookups.push_back({options.name.text, t.lookup_files_.error(i),
                            t.sequencing_->lookups().state(i).digest != 0});
  }
  for (const store::ArchiveState& archive : t.database_->archives()) {
    seen.archives.push_back(
        {fmt::format("{} {}", archive.window, store::to_text(archive.resolution)),
         archive.directory, archive.error});
  }
  seen.disk.log_full = t.journal_->disk_full();
  return seen;
}

health::DiskSeen HealthProbe::look_at_disk(const std::string& path) {
  health::DiskSeen seen;
  seen.path = path;
  struct statvfs info{};
  if (::statvfs(path.c_str(), &info) != 0) return seen;
  seen.free_bytes = static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
  seen.bytes = static_cast<std::uint64_t>(info.f_blocks) * info.f_frsize;
  return seen;
}

}  // namespace streamobs::app

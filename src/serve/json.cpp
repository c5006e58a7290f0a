#include "serve/json.h"

#include <string>

#include "base/time_format.h"
#include "serve/window_query.h"

namespace streamobs::serve {

namespace {

void write_columns(JsonWriter& json, std::string_view name,
                   const std::vector<ResultColumn>& columns) {
  json.key(name).begin_array();
  for (const ResultColumn& column : columns) {
    json.begin_object().field("name", column.name).field("type", to_text(column.type)).end_object();
  }
  json.end_array();
}

void write_metrics(JsonWriter& json, const WindowInfo& info) {
  const std::vector<ResultColumn>& metrics = info.schema->metrics;
  json.key("metrics").begin_array();
  for (std::size_t i = 0; i < metrics.size(); ++i) {
    json.begin_object().field("name", metrics[i].name).field("type", to_text(metrics[i].type));
    const bool known = i < info.aggregates.size() && !info.aggregates[i].empty();
    json.key("aggregate");
    known ? json.value(info.aggregates[i]) : json.null();
    json.end_object();
  }
  json.end_array();
}

/// `errors` and `last_error` of a source or a sink.
void write_members(JsonWriter& json, const TroubleState& trouble) {
  json.field("errors", trouble.count).key("last_error");
  if (!trouble.at) {
    json.null();
    return;
  }
  json.begin_object();
  json.key("at").time(*trouble.at);
  json.field("error", trouble.error).field("advice", trouble.advice).end_object();
}

void write(JsonWriter& json, const GroupState& group) {
  json.begin_object().field("group", group.group).field("instance", group.instance);
  json.field("state", group.state).key("generation");
  if (group.generation) {
    json.value(static_cast<std::int64_t>(*group.generation));
  } else {
    json.null();
  }
  json.field("rebalances", group.rebalances).field("proposed_ranges", group.proposed_ranges);
  json.field("discarded_ranges", group.discarded_ranges);
  json.field("discarded_events", group.discarded_events);
  json.field("refused_commits", group.refused_commits).end_object();
}

void write(JsonWriter& json, const TopicsState& topics) {
  json.begin_object().field("messages", topics.messages).field("lag", topics.lag);
  json.field("brokers_up", topics.brokers_up);
  number_or_null(json, "round_trip_seconds", topics.round_trip_seconds);
  json.key("partitions").begin_array();
  for (const PartitionState& partition : topics.partitions) {
    json.begin_object().field("topic", partition.topic);
    json.field("partition", static_cast<std::int64_t>(partition.partition));
    json.field("next", partition.next).key("lag");
    if (partition.lag) {
      json.value(*partition.lag);
    } else {
      json.null();
    }
    json.field("held", partition.held);
    number_or_null(json, "ahead_seconds", partition.ahead_seconds);
    json.end_object();
  }
  json.end_array().key("group");
  if (topics.group) {
    write(json, *topics.group);
  } else {
    json.null();
  }
  json.end_object();
}

void write(JsonWriter& json, const SourceState& source) {
  json.begin_object().field("source", source.source).field("type", source.type);
  json.field("stream", source.stream).field("state", source.state);
  json.field("events", source.events).field("detail", source.detail);
  write_members(json, source.trouble);
  json.key("topics");
  if (source.topics) {
    write(json, *source.topics);
  } else {
    json.null();
  }
  json.end_object();
}

void write(JsonWriter& json, const SinkState& sink) {
  json.begin_object().field("sink", sink.sink).field("type", sink.type);
  json.field("from", sink.from).field("topic", sink.topic).field("state", sink.state);
  json.field("sent", sink.sent).field("dropped", sink.dropped);
  json.field("outbox_rows", sink.outbox_rows).field("outbox_bytes", sink.outbox_bytes);
  time_or_null(json, "oldest_at", sink.oldest_at);
  json.field("outbox_bytes_max", sink.outbox_bytes_max).field("required", sink.required);
  json.field("refused", sink.refused).field("brokers_up", sink.brokers_up);
  number_or_null(json, "transaction_seconds", sink.transaction_seconds);
  write_members(json, sink.trouble);
  json.end_object();
}

}  // namespace

void write(JsonWriter& json, const store::StoredDeadLetter& stored) {
  json.begin_object().field("id", static_cast<std::int64_t>(stored.id));
  write_members(json, stored.letter);
  json.key("replayed_at");
  if (stored.letter.replayed_at == 0) {
    json.null();
  } else {
    json.time(stored.letter.replayed_at);
  }
  json.end_object();
}

void write(JsonWriter& json, const ReplayReport& report) {
  json.begin_object().field("accepted", report.accepted).field("rejected", report.rejected);
  json.field("repeated", report.repeated).field("passed_over", report.passed_over);
  json.field("more", report.more).key("stopped");
  if (report.stopped.empty()) {
    json.null();
  } else {
    json.value(report.stopped);
  }
  json.key("errors").begin_array();
  for (const ReplayReport::Failure& failure : report.failures) {
    json.begin_object().field("id", failure.id).key("reason");
    if (failure.reason.empty()) {
      json.null();
    } else {
      json.value(failure.reason);
    }
    json.field("detail", failure.detail).end_object();
  }
  json.end_array().end_object();
}

void write(JsonWriter& json, const StreamInfo& info, const StreamState& state) {
  json.begin_object().field("stream", info.stream).field("time_field", info.time_field);
  json.key("fields").begin_array();
  for (const Field& field : info.fields) {
    json.begin_object().field("name", field.name).field("path", field.path);
    json.field("type", to_text(field.type)).field("required", field.required).end_object();
  }
  json.end_array();
  write_strings(json, "paths", info.paths);
  json.field("format", to_text(info.format));
  json.field("received", state.received).field("accepted", state.accepted);
  json.key("rejected").begin_object();
  for (const auto& [reason, count] : state.rejected) json.field(reason, count);
  json.end_object();
  time_or_null(json, "watermark", state.watermark);
  time_or_null(json, "newest_event_at", state.newest_event_at);
  json.field("idle", state.idle).end_object();
}

void write(JsonWriter& json, const WindowInfo& info) {
  const WindowSchema& schema = *info.schema;
  json.begin_object().field("window", schema.window).field("stream", schema.stream);
  json.field("size", to_text(schema.size));
  json.field("size_seconds", static_cast<double>(schema.size) / kSecond);
  const auto span_or_null = [&json](std::string_view name, Duration span) {
    json.key(name);
    span == 0 ? json.null() : json.value(to_text(span));
  };
  span_or_null("hop", schema.step() == schema.size ? 0 : schema.hop);
  span_or_null("gap", schema.gap);
  json.field("allowed_lateness", to_text(info.allowed_lateness));
  span_or_null("correct_for", info.correct_for);
  json.field("emit_every", to_text(info.emit_every));
  write_columns(json, "keys", schema.keys);
  write_metrics(json, info);
  write_strings(json, "sketches", sketches_of(schema));
  json.end_object();
}

void write(JsonWriter& json, const RowSource& view) {
  json.begin_object().field("view", view.name).field("stream", view.columns().stream);
  json.key("windows").begin_array();
  for (const RowSource::Member& member : view.members) {
    json.begin_object().field("window", member.schema->window);
    json.field(store::kViewColumn, member.size).end_object();
  }
  json.end_array();
  write_columns(json, "keys", view.columns().keys);
  write_columns(json, "metrics", view.columns().metrics);
  json.end_object();
}

void write(JsonWriter& json, const Pulse& pulse) {
  json.begin_object().field("events_per_second", pulse.events_per_second);
  json.field("events_total", pulse.events_total).field("rejected_total", pulse.rejected_total);
  json.field("late_total", pulse.late_total);
  number_or_null(json, "watermark_lag_seconds", pulse.watermark_lag_seconds);
  json.field("windows_open", pulse.windows_open).end_object();
}

void write_members(JsonWriter& json, const PipelineState& state) {
  json.field("threads", static_cast<std::uint64_t>(state.threads));
  json.field("lanes", static_cast<std::uint64_t>(state.lanes));
  json.key("rows").begin_array();
  for (const StageState& stage : state.stages) {
    json.begin_object().field("stage", stage.stage).field("items", stage.items);
    json.field("unit", stage.unit);
    number_or_null(json, "fill", stage.fill);
    json.field("errors", stage.errors).end_object();
  }
  json.end_array().key("sources").begin_array();
  for (const SourceState& source : state.sources) write(json, source);
  json.end_array().key("sinks").begin_array();
  for (const SinkState& sink : state.sinks) write(json, sink);
  json.end_array().key("lookups").begin_array();
  for (const LookupState& lookup : state.lookups) {
    json.begin_object().field("lookup", lookup.lookup).field("file", lookup.file);
    json.field("rows", static_cast<std::uint64_t>(lookup.rows)).field("version", lookup.version);
    time_or_null(json, "since", lookup.since);
    json.field("error", lookup.error).end_object();
  }
  json.end_array().key("joins").begin_array();
  for (const JoinState& join : state.joins) {
    json.begin_object().field("join", join.join).field("left", join.left);
    json.field("right", join.right).field("rows", join.rows);
    json.field("unmatched_left", join.unmatched_left);
    json.field("unmatched_right", join.unmatched_right).field("pushed_out", join.pushed_out);
    json.field("pending", static_cast<std::uint64_t>(join.pending));
    json.field("pending_bytes", static_cast<std::uint64_t>(join.pending_bytes)).end_object();
  }
  json.end_array().key("rules").begin_array();
  for (const RuleState& rule : state.rules) {
    json.begin_object().field("rule", rule.rule).field("window", rule.window);
    json.field("key", rule.key).field("phase", rule.phase);
    json.field("history_windows", rule.history_windows);
    json.field("warmup_windows", rule.warmup_windows);
    time_or_null(json, "last_window_end", rule.last_window_end);
    json.end_object();
  }
  json.end_array();
  json.field("rules_configured", static_cast<std::uint64_t>(state.rules_configured));
  json.key("store").begin_object();
  json.field("path", state.store.path).field("bytes", state.store.bytes);
  json.field("rows_written", state.store.rows_written).field("outbox", state.store.outbox);
  time_or_null(json, "last_commit_at", state.store.last_commit_at);
  json.key("archives").begin_array();
  for (const ArchiveState& archive : state.store.archives) {
    json.begin_object().field("window", archive.window).field("resolution", archive.resolution);
    json.field("directory", archive.directory).field("failures", archive.failures);
    json.field("error", archive.error);
    time_or_null(json, "since", archive.since);
    json.end_object();
  }
  json.end_array().end_object();
}

}  // namespace streamobs::serve

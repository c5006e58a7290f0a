#include "app/explain.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "app/explain_page.h"
#include "base/time_format.h"
#include "base/wording.h"
#include "store/archive.h"

namespace streamobs::app {
namespace {

std::string bytes_in_words(std::uint64_t bytes) {
  constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
  if (bytes % kMiB == 0) return fmt::format("{} MiB", bytes / kMiB);
  if (bytes % 1'000'000 == 0) return fmt::format("{} MB", bytes / 1'000'000);
  return fmt::format("{} bytes", bytes);
}

// --- where things are

void explain_place(const Plan& plan, Page& page) {
  const config::Config& config = plan.config;
  page.heading("Where things are");
  page.line(1, fmt::format("Everything is kept in {}: the log of all events, checkpoints, and the "
                           "results in {} (SQLite).",
                           config.data_dir, config.store.path));
  const wal::WalOptions& wal = config.wal;
  if (wal.durability == wal::Durability::sync) {
    page.line(1,
              "An event that was acknowledged is on disk: neither a crash nor a power cut loses "
              "it.");
  } else {
    page.line(1, fmt::format("An event that was acknowledged survives a crash; a power cut may "
                             "cost the last {}.",
                             span_in_words(wal.sync_every)));
  }
  if (wal.keep_age != 0) {
    page.line(1, fmt::format("Beyond what a restart needs, the log is kept for {} and up to {}, "
                             "for replay.",
                             span_in_words(wal.keep_age), bytes_in_words(wal.keep_bytes)));
  }
  const http::HttpOptions& http = config.http;
  if (!http.enabled) {
    page.line(1, "There is no HTTP: no dashboard, no API, no posted events.");
    return;
  }
  page.line(
      1, fmt::format("Dashboard, API and posted events: {}, {}.", http.listen.text,
                     http.token.empty() ? "open to whoever reaches it" : "for who has the token"));
}

// --- what is computed

/// "minute", "5 minutes".
std::string each(Duration span) {
  std::string out = span_in_words(span);
  if (out.starts_with("1 ") && out.find(' ', 2) == std::string::npos) out.erase(0, 2);
  return out;
}

std::string shape_of(const window::WindowOptions& window) {
  if (window.gap != 0) {
    std::string out = fmt::format("each session: events that follow one another within {}",
                                  span_in_words(window.gap));
    if (window.cut_every != 0) {
      out += fmt::format(", and at the latest until the next full {}", each(window.cut_every));
    }
    return out;
  }
  std::string out = "each " + each(window.size);
  if (window.hop != 0 && window.hop != window.size) {
    out += fmt::format(" (a new one every {})", each(window.hop));
  }
  if (!window.timezone.empty()) out += fmt::format(" of the calendar of {}", window.timezone);
  return out;
}

void explain_keep(const Plan& plan, const std::string& window, Page& page) {
  const auto found = plan.config.store.keep.find(window);
  if (found == plan.config.store.keep.end()) {
    page.line(2, "Its rows are kept for ever.");
    return;
  }
  std::vector<std::string> kept = {
      fmt::format("{} as they closed", span_in_words(found->second.raw))};
  if (found->second.hourly != 0) {
    kept.push_back(fmt::format("{} merged to hours", span_in_words(found->second.hourly)));
  }
  if (found->second.daily != 0) {
    kept.push_back(fmt::format("{} merged to days", span_in_words(found->second.daily)));
  }
  page.line(2, fmt::format("Its rows are kept for {}.", listed(kept)));
  if (found->second.archive.empty()) return;
  std::string also;
  if (found->second.hourly != 0) also += ", and so for hourly";
  if (found->second.daily != 0) also += also.empty() ? ", and so for daily" : " and daily";
  page.line(2, fmt::format("What is older goes into files, one for each day: {}/{}/raw/"
                           "YYYY-MM-DD.ndjson.gz{}.",
                           store::archive_directory(plan.config.store.path, found->second.archive),
                           window, also));
}

/// How long silence must last until the stream's time goes on by the clock: of what is joined, that
/// of the more patient side.
Duration idle_timeout_of(const Plan& plan, std::uint32_t stream_id) {
  for (const PlannedJoin& join : plan.joins) {
    if (join.stream_id != stream_id) continue;
    const auto& sides = join.join->sides;
    return std::max(plan.config.streams[sides[0].stream_id].idle_timeout,
                    plan.config.streams[sides[1].stream_id].idle_timeout);
  }
  return plan.config.streams[stream_id].idle_timeout;
}

void explain_window(const Plan& plan, const PlannedWindow& planned, Page& page) {
  const window::WindowOptions& window = planned.options;
  std::vector<std::string> keys;
  for (const window::NamedExpression& key : window.by) {
    const std::string expression = on_one_line(key.expression.text);
    keys.push_back(expression == key.name.text
                       ? key.name.text
                       : fmt::format("{} (= {})", key.name.text, expression));
  }
  std::string what =
      fmt::format("{}: of {}, for {}", window.name.text, window.from.text, shape_of(window));
  if (!keys.empty()) what += " and each " + listed(keys);
  if (!window.where.empty()) what += ", where " + on_one_line(window.where.text);
  page.line(1, what);
  for (const window::NamedExpression& metric : window.select) {
    page.line(2, fmt::format("{} = {}", metric.name.text, on_one_line(metric.expression.text)));
  }
  const std::string late = "what comes later is late: set aside and counted.";
  page.line(
      2, fmt::format("It closes once event time has passed its end{}, or after {} without "
                     "events once the clock has; {}",
                     window.allowed_lateness == 0 ? std::string()
                                                  : " by " + span_in_words(window.allowed_lateness),
                     span_in_words(idle_timeout_of(plan, planned.stream_id)),
                     window.correct_for == 0
                         ? late
                         : fmt::format("what comes within {} behind that corrects it: its rows "
                                       "come again with a higher revision; {}",
                                       span_in_words(window.correct_for), late)));
  if (!keys.empty()) {
    page.line(2, fmt::format("Beyond {} keys in one window, further ones are counted together as "
                             "__overflow__.",
                             number_in_words(static_cast<double>(window.max_keys))));
  }
  explain_keep(plan, window.name.text, page);
}

// --- what is made of it

void explain_rules(const Plan& plan, Page& page) {
  page.heading("What counts as an anomaly");
  if (plan.config.rules.empty()) {
    page.line(1, "Nothing: there is no [rule.NAME].");
    return;
  }
  for (const detect::RuleOptions& rule : plan.config.rules) {
    page.line(1, fmt::format("{} ({}): a closed row of {} where {}", rule.name.text,
                             to_text(rule.severity), rule.on.text, on_one_line(rule.when.text)));
    if (rule.hold != 0) {
      page.line(2, fmt::format("It must hold for {} without a break.", span_in_words(rule.hold)));
    }
    if (rule.when.text.find("baseline") != std::string::npos) {
      page.line(2, fmt::format("A baseline says nothing before {} windows have closed.",
                               rule.warmup_windows));
    }
    if (rule.keep_firing_for != 0) {
      page.line(2, fmt::format("It is over once it has been quiet for {}.",
                               span_in_words(rule.keep_firing_for)));
    }
  }
  const narrate::IncidentOptions& incidents = plan.config.incidents;
  page.line(1, fmt::format("Anomalies of one key within {} are one incident; it is resolved when "
                           "its rules have been quiet for {}.",
                           span_in_words(incidents.gap), span_in_words(incidents.resolve_after)));
  if (!incidents.evidence.empty()) {
    page.line(1,
              fmt::format("What moved is looked up in {}.", listed(texts_of(incidents.evidence))));
  }
}

void explain_sinks(const Plan& plan, Page& page) {
  const config::Config& config = plan.config;
  if (config.sinks.empty()) return;
  page.heading("Where results go besides");
  for (const sink::SinkOptions& sink : config.sinks) {
    page.line(1, fmt::format("{}: {} to Kafka's topic {} at {}, each once for who reads "
                             "read_committed.",
                             sink.name.text, sink.from.text, sink.topic.text,
                             sink.kafka.client.brokers.text));
    page.line(
        2, fmt::format("While its brokers are away, up to {} wait here; then {}.",
                       bytes_in_words(sink.outbox_bytes_max),
                       sink.required ? "ingest waits, too" : "the oldest are dropped and counted"));
  }
}

void explain_lookup(const decode::LookupPlan& plan, Page& page) {
  const decode::LookupOptions& lookup = plan.options;
  std::vector<std::string> columns;
  for (const decode::FieldOptions& column : lookup.columns) columns.push_back(column.name.text);
  page.line(
      1, fmt::format("{}: the rows of {} ({}), found by {}{}. The file is looked at every {}; "
                     "events see another version of it from the moment it is taken over.",
                     lookup.name.text, lookup.path, listed(columns), listed(texts_of(lookup.key)),
                     lookup.valid_from.empty()
                         ? std::string()
                         : fmt::format(", the newest whose {} is not after the event's time",
                                       lookup.valid_from.text),
                     span_in_words(lookup.reload_every)));
  if (const std::string times = plan.idle_times(); !times.empty()) {
    page.line(2, fmt::format("Nothing goes by its column {0}: each row holds for all time. If rows "
                             "hold from then on, say valid_from = \"{0}\".",
                             times));
  }
}

void explain_lookups(const Plan& plan, Page& page) {
  if (plan.lookups.empty()) return;
  page.heading("What events are looked up in");
  for (const auto& lookup : plan.lookups) explain_lookup(*lookup, page);
  const wal::WalOptions& wal = plan.config.wal;
  page.line(1, fmt::format("What was counted by an earlier version stays as it was. `streamobs "
                           "replay --from-log` counts it anew, as far back as the log reaches: {}.",
                           wal.keep_age == 0
                               ? std::string("without [wal] keep not beyond what a restart needs")
                               : fmt::format("for {} and up to {}", span_in_words(wal.keep_age),
                                             bytes_in_words(wal.keep_bytes))));
}

void explain_health(const Plan& plan, Page& page) {
  const health::HealthOptions& health = plan.config.health;
  page.heading("What the engine checks by itself");
  page.line(1,
            fmt::format("Every {}: whether streams are fresh, what waits to be read, stored or "
                        "delivered ({} is too long), detection, narration, and the disk ({} must "
                        "be free).",
                        each(health.quick_every), span_in_words(health.lag),
                        bytes_in_words(health.disk_free_bytes)));
  for (const decode::StreamOptions& stream : plan.config.streams) {
    if (stream.joined) continue;
    const Duration freshness = health.freshness_of(stream.name.text);
    page.line(2, freshness == 0
                     ? fmt::format("{} may be silent for as long as it likes.", stream.name.text)
                     : fmt::format("{} is fresh while its newest event is less than {} old.",
                                   stream.name.text, span_in_words(freshness)));
  }
  page.line(1, fmt::format("Every {}: null and unusual values of each stream's fields, against the "
                           "time before; more than {} % refused or {} % late events; whether the "
                           "database is sound, and its statistics fresh.",
                           each(health.deep_every), number_in_words(100 * health.refused_max),
                           number_in_words(100 * health.late_max)));
  for (const auto& [stream, bounds] : health.streams) {
    for (const auto& [field, most] : bounds.nulls_max) {
      page.line(2, fmt::format("Of {}, {} may be null in {} % of the events.", stream, field,
                               number_in_words(100 * most)));
    }
  }
  if (!plan.config.http.enabled) return;
  page.line(1, "What was found: on the page, by GET /api/v1/health, and by `streamobs doctor`.");
}

void explain_asking(const Plan& plan, Page& page) {
  const config::Config& config = plan.config;
  page.heading("Where to look");
  for (const PlannedWindow& window : plan.windows) {
    const std::string& name = window.options.name.text;
    page.line(1, fmt::format("SQL view {}{}", name,
                             config.http.enabled ? ", GET /api/v1/windows/" + name : ""));
  }
  for (const store::ViewOptions& view : config.store.views) {
    page.line(1, fmt::format("SQL view {}: {}, told apart by window_size", view.name.text,
                             listed(texts_of(view.windows))));
  }
  if (!config.http.enabled) return;
  for (const serve::EndpointOptions& endpoint : config.endpoints) {
    std::vector<std::string> parameters;
    for (const serve::EndpointParameter& parameter : endpoint.parameters) {
      parameters.push_back(parameter.name.text + (parameter.required ? " (required)" : ""));
    }
    page.line(1, fmt::format("{}: rows of {}{}{}", endpoint.name.text, endpoint.window.text,
                             parameters.empty() ? "" : " by ", listed(parameters)));
  }
}

}  // namespace

std::string explain(const Plan& plan) {
  Page page;
  explain_place(plan, page);
  explain_streams(plan, page);
  explain_joins(plan, page);
  explain_lookups(plan, page);
  page.heading("What is computed");
  if (plan.windows.empty()) page.line(1, "Nothing: there is no [window.NAME].");
  for (const PlannedWindow& window : plan.windows) explain_window(plan, window, page);
  explain_rules(plan, page);
  explain_sinks(plan, page);
  explain_health(plan, page);
  explain_asking(plan, page);
  return page.take();
}

}  // namespace streamobs::app

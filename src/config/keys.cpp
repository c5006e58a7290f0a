#include "config/keys.h"

#include <algorithm>
#include <cctype>
#include <vector>

#include <fmt/format.h>

#include "base/wording.h"

namespace streamobs::config {

namespace {

constexpr std::string_view kTopLevelKeys[] = {
    "data_dir", "instance",  "threads",  "lanes",   "log",    "http", "store",
    "wal",      "incidents", "source",   "stream",  "window", "rule", "sink",
    "topic",    "view",      "endpoint", "include", "lookup", "join", "health"};
constexpr std::string_view kLogKeys[] = {"level", "format"};
constexpr std::string_view kHttpKeys[] = {"listen",
                                          "token",
                                          "insecure",
                                          "allowed_hosts",
                                          "header_bytes_max",
                                          "header_timeout",
                                          "body_bytes_max",
                                          "inflated_bytes_max",
                                          "all_bodies_bytes_max",
                                          "body_rate_min",
                                          "keep_alive_timeout",
                                          "connections_max",
                                          "live_connections_max"};
constexpr std::string_view kStoreKeys[] = {"rows_per_transaction", "busy_timeout",
                                           "keep_dead_letters", "keep_incidents"};
constexpr std::string_view kWalKeys[] = {"durability", "sync_every", "checkpoint_every",
                                         "checkpoint_bytes", "keep"};
constexpr std::string_view kWalKeepKeys[] = {"age", "bytes"};
constexpr std::string_view kIncidentsKeys[] = {"gap", "resolve_after", "evidence"};
constexpr std::string_view kHealthKeys[] = {"quick_every", "deep_every",   "freshness",
                                            "lag",         "disk_free",    "refused_max",
                                            "late_max",    "unmatched_max"};
constexpr std::string_view kSourceKeys[] = {
    "type",  "stream", "format",        "path",     "paths",   "follow", "scenario",
    "rate",  "seed",   "anomaly_share", "history",  "brokers", "topics", "group",
    "start", "on_gap", "options",       "max_skew", "fields"};
constexpr std::string_view kStreamKeys[] = {
    "time",   "fields",   "required",   "derive",       "filter",
    "check",  "timezone", "max_future", "idle_timeout", "max_event_bytes",
    "paths",  "id",       "id_horizon", "max_ids",      "keep",
    "format", "pattern",  "template",   "freshness",    "nulls_max"};
constexpr std::string_view kTemplateKeys[] = {"from", "as", "max", "learn"};
constexpr std::string_view kFieldKeys[] = {"type", "path", "aliases", "required"};
constexpr std::string_view kLookupKeys[] = {"file",       "format",   "columns",     "key",
                                            "valid_from", "timezone", "reload_every"};
constexpr std::string_view kJoinKeys[] = {"left",   "right",  "on",        "within",
                                          "kind",   "time",   "match",     "hold",
                                          "filter", "derive", "unmatched", "max_pending_bytes"};
constexpr std::string_view kWindowKeys[] = {
    "from",     "size",        "hop",      "gap",        "cut_every",
    "timezone", "by",          "where",    "select",     "allowed_lateness",
    "late",     "correct_for", "max_keys", "emit_every", "keep"};
constexpr std::string_view kWindowKeepKeys[] = {"raw", "hourly", "daily", "archive"};
constexpr std::string_view kViewKeys[] = {"windows"};
constexpr std::string_view kRuleKeys[] = {"on",       "when",          "for",
                                          "severity", "metric",        "description",
                                          "warmup",   "baseline_over", "keep_firing_for"};
constexpr std::string_view kSinkKeys[] = {"type",    "from",        "brokers",    "topic",
                                          "key",     "compression", "outbox_max", "required",
                                          "markers", "options"};
constexpr std::string_view kTopicKeys[] = {"partitions", "replication", "retention", "cleanup"};
constexpr std::string_view kEndpointKeys[] = {"window", "required", "optional", "shape",
                                              "order",  "windows",  "limit"};

/// What people call a key elsewhere, and what is not there yet.
struct Alias {
  const Section* section;
  std::string_view unknown;
  std::string_view hint;
  std::string_view means = {};  ///< The key it is called here, where its value is written alike.
};

const Alias kAliases[] = {
    {&kTopLevel, "checks", "the engine's checks of itself are set in [health]", "health"},
    {&kTopLevel, "monitoring", "the engine's checks of itself are set in [health]", "health"},
    {&kHealth, "every", "quick_every is for the light checks, deep_every for those that read"},
    {&kHealth, "stale_after", R"(it is called "freshness" here: freshness = "5m")", "freshness"},
    {&kTopLevel, "lookups", "here it is called [lookup.NAME]", "lookup"},
    {&kTopLevel, "tables", "here it is called [lookup.NAME]"},
    {&kTopLevel, "table", "here it is called [lookup.NAME]"},
    {&kLookup, "path", R"(it is called "file" here)", "file"},
    {&kLookup, "fields", R"(it is called "columns" here)", "columns"},
    {&kLookup, "keys", R"(it is called "key" here)", "key"},
    {&kLookup, "reload", R"(it is called "reload_every" here: reload_every = "10s")",
     "reload_every"},
    {&kTopLevel, "sinks", "here it is called [sink.NAME]", "sink"},
    {&kTopLevel, "topics", "here it is called [topic.NAME]", "topic"},
    {&kTopLevel, "kafka",
     "a topic is a source or a sink: [source.NAME] or [sink.NAME] with type = \"kafka\""},
    {&kTopLevel, "llm",
     "the LLM narrator comes with a later release; incidents are explained by template"},
    {&kTopLevel, "server", "the server's section is called [http]", "http"},
    {&kTopLevel, "logging", "here it is called [log]", "log"},
    {&kTopLevel, "sources", "here it is called [source.NAME]", "source"},
    {&kTopLevel, "streams", "here it is called [stream.NAME]", "stream"},
    {&kTopLevel, "windows", "here it is called [window.NAME]", "window"},
    {&kTopLevel, "views", "here it is called [view.NAME]", "view"},
    {&kView, "from", R"(it is called "windows" here)", "windows"},
    {&kView, "window", R"(it takes a list: windows = ["per_minute", "per_hour"])"},
    {&kTopLevel, "rules", "here it is called [rule.NAME]", "rule"},
    {&kTopLevel, "listen", "it belongs to [http]"},
    {&kHttp, "host", "the address and the port go into one key: listen = \"127.0.0.1:8080\""},
    {&kHttp, "port", "the address and the port go into one key: listen = \"127.0.0.1:8080\""},
    {&kHttp, "address", R"(it is called "listen" here: listen = "127.0.0.1:8080")", "listen"},
    {&kHttp, "bind", R"(it is called "listen" here: listen = "127.0.0.1:8080")", "listen"},
    {&kHttp, "tls", "TLS comes with a later release; put a proxy in front, or stay on loopback"},
    {&kHttp, "cors", "other origins are never let in: there is no CORS"},
    {&kSource, "file", R"(it is called "path" here)", "path"},
    {&kSource, "bootstrap_servers", R"(it is called "brokers" here)", "brokers"},
    {&kSource, "topic", R"(it is called "topics" here: topics = ["requests"])"},
    {&kSource, "group_id", R"(it is called "group" here)", "group"},
    {&kSource, "instance",
     "it belongs to the top level, above the first section: all of a "
     "process's groups go by it"},
    {&kSink, "bootstrap_servers", R"(it is called "brokers" here)", "brokers"},
    {&kSink, "topics", R"(a sink writes to one: topic = "service-metrics")"},
    {&kSink, "window", R"(it is called "from" here)", "from"},
    {&kSink, "stream", R"(it is called "from" here)", "from"},
    {&kSink, "partitions", "it belongs to the topic: [topic.NAME] partitions = 3"},
    {&kSink, "retention", "it belongs to the topic: [topic.NAME] retention = \"7d\""},
    {&kTopic, "replication_factor", R"(it is called "replication" here)", "replication"},
    {&kTopic, "retention_ms", R"(it is called "retention" here: retention = "7d")"},
    {&kTopic, "brokers", "the sources and sinks that use the topic say where it is"},
    {&kStream, "patterns", R"(it is called "pattern" here; several stand in a list)", "pattern"},
    {&kStream, "grok",
     R"(there are no regular expressions: pattern = '{time} [{level}] {message}')"},
    {&kStream, "where", R"(it is called "filter" here)", "filter"},
    {&kStream, "timestamp", R"(it is called "time" here: time = "timestamp")", "time"},
    {&kStream, "schema", R"(it is called "fields" here)", "fields"},
    {&kStream, "allowed_lateness", "each window has its own: put it under [window.NAME]"},
    {&kStream, "dedup", R"(name the field that tells events apart: id = "event_id")"},
    {&kStream, "unique", R"(it is called "id" here: id = "event_id")", "id"},
    {&kStream, "event_id", R"(id = "event_id" makes this field the id)"},
    {&kTopLevel, "log_dir", "the log is kept in DATA_DIR/wal; [log] is about log lines"},
    {&kTopLevel, "checkpoint", "it belongs to [wal]: checkpoint_every, checkpoint_bytes"},
    {&kTopLevel, "durability", "it belongs to [wal]"},
    {&kWal, "fsync", R"(it is called "durability" here: "sync" or "interval")"},
    {&kWal, "sync", R"(it is called "durability" here: durability = "sync")"},
    {&kWal, "enabled", "the log cannot be switched off"},
    {&kWal, "dir", "the log is kept in DATA_DIR/wal: set data_dir"},
    {&kWal, "path", "the log is kept in DATA_DIR/wal: set data_dir"},
    {&kWal, "segment_bytes", "segments are 64 MiB; this cannot be set"},
    {&kWal, "retention", R"(it is called "keep" here: keep = { age = "7d", bytes = "10GB" })",
     "keep"},
    {&kWal, "keep_age", R"(write keep = { age = "7d", bytes = "10GB" })"},
    {&kWal, "keep_bytes", R"(write keep = { age = "7d", bytes = "10GB" })"},
    {&kWindow, "filter", R"(it is called "where" here)", "where"},
    {&kWindow, "stream", R"(it is called "from" here)", "from"},
    {&kWindow, "group_by", R"(it is called "by" here)", "by"},
    {&kWindow, "keys", R"(it is called "by" here)", "by"},
    {&kWindow, "metrics", R"(it is called "select" here)", "select"},
    {&kWindow, "slide", R"(it is called "hop" here: hop = "10s")", "hop"},
    {&kWindow, "every", R"(it is called "hop" here: hop = "10s")", "hop"},
    {&kWindow, "session", R"(sessions of a key are made by gap = "30m", in place of size)"},
    {&kWindow, "session_gap", R"(it is called "gap" here: gap = "30m")", "gap"},
    {&kWindow, "join", R"(a join has a section: [join.NAME]; the window then says from = "NAME")"},
    {&kTopLevel, "joins", "here it is called [join.NAME]", "join"},
    {&kJoin, "streams", R"(name them one by one: left = "…", right = "…")"},
    {&kJoin, "key", R"(it is called "on" here: on = "request_id")", "on"},
    {&kJoin, "by", R"(it is called "on" here: on = "request_id")", "on"},
    {&kJoin, "type", R"(it is called "kind" here: "inner" or "left")", "kind"},
    {&kJoin, "timeout", R"(it is called "within" here: within = "5m")", "within"},
    {&kJoin, "window", R"(it is called "within" here: within = "5m")", "within"},
    {&kTopLevel, "endpoints", R"(here it is called [endpoint."GET /PATH"])", "endpoint"},
    {&kTopLevel, "route", R"(here it is called [endpoint."GET /PATH"])"},
    {&kEndpoint, "from", R"(it is called "window" here)", "window"},
    {&kEndpoint, "parameters", "say which are required and which are optional"},
    {&kEndpoint, "filters", "say which are required and which are optional"},
    {&kRule, "window", R"(it is called "on" here)", "on"},
    {&kRule, "from", R"(it is called "on" here)", "on"},
    {&kRule, "expr", R"(it is called "when" here)", "when"},
    {&kRule, "condition", R"(it is called "when" here)", "when"},
    {&kRule, "notify", "alerts come with a later release"},
};

std::string normalised(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c == '_' || c == '-' || c == ' ') continue;
    out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return out;
}

/// Insertions, deletions, changes and swaps of neighbours that turn `a` into `b` (the restricted
/// Damerau-Levenshtein distance).
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({change, last[j] + 1, row[j - 1] + 1});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

constexpr std::size_t kNameCharsMax = 64;  // Longer ones are no slips of the finger.

/// The known name that differs in the fewest letters: at most a third of them wrong, and at least
/// one right.
std::string_view nearest_in_letters(std::string_view unknown,
                                    std::span<const std::string_view> known) {
  if (unknown.empty() || unknown.size() > kNameCharsMax) return {};
  const std::string wanted = normalised(unknown);
  std::string_view best;
  std::size_t best_distance =
      std::min(std::max<std::size_t>(1, wanted.size() / 3) + 1, wanted.size());
  for (const std::string_view name : known) {
    if (name.size() > kNameCharsMax) continue;
    const std::size_t d = distance(wanted, normalised(name));
    if (d < best_distance) {
      best_distance = d;
      best = name;
    }
  }
  return best;
}

}  // namespace

constinit const Section kTopLevel{"the top level", kTopLevelKeys};
constinit const Section kLog{"[log]", kLogKeys};
constinit const Section kHttp{"[http]", kHttpKeys};
constinit const Section kStore{"[store]", kStoreKeys};
constinit const Section kWal{"[wal]", kWalKeys};
constinit const Section kWalKeep{"[wal.keep]", kWalKeepKeys};
constinit const Section kIncidents{"[incidents]", kIncidentsKeys};
constinit const Section kHealth{"[health]", kHealthKeys};
constinit const Section kSource{"[source.NAME]", kSourceKeys};
constinit const Section kStream{"[stream.NAME]", kStreamKeys};
constinit const Section kTemplate{"template", kTemplateKeys};
constinit const Section kField{"a field", kFieldKeys};
constinit const Section kLookup{"[lookup.NAME]", kLookupKeys};
constinit const Section kJoin{"[join.NAME]", kJoinKeys};
constinit const Section kWindow{"[window.NAME]", kWindowKeys};
constinit const Section kWindowKeep{"[window.NAME.keep]", kWindowKeepKeys};
constinit const Section kView{"[view.NAME]", kViewKeys};
constinit const Section kRule{"[rule.NAME]", kRuleKeys};
constinit const Section kSink{"[sink.NAME]", kSinkKeys};
constinit const Section kTopic{"[topic.NAME]", kTopicKeys};
constinit const Section kEndpoint{"[endpoint.NAME]", kEndpointKeys};

std::span<const Section* const> sections() {
  static constexpr const Section* kSections[] = {
      &kTopLevel, &kLog,   &kHttp,     &kStore,      &kWal,    &kWalKeep, &kSource,
      &kStream,   &kField, &kWindow,   &kWindowKeep, &kView,   &kRule,    &kIncidents,
      &kSink,     &kTopic, &kEndpoint, &kTemplate,   &kLookup, &kJoin,    &kHealth};
  return kSections;
}

std::string_view nearest(std::string_view unknown, std::span<const std::string_view> known) {
  const std::string_view best = nearest_in_letters(unknown, known);
  const std::string wanted = normalised(unknown);
  if (!best.empty() || wanted.size() < 4 || unknown.size() > kNameCharsMax) return best;
  // "lateness" for "allowed_lateness", "log_level" for "log".
  for (const std::string_view name : known) {
    const std::string other = normalised(name);
    if (other.find(wanted) != std::string::npos ||
        (other.size() >= 4 && wanted.find(other) != std::string::npos)) {
      return name;
    }
  }
  return {};
}

std::string did_you_mean(std::string_view unknown, std::span<const std::string_view> known,
                         std::string otherwise) {
  const std::string_view near = nearest(unknown, known);
  return near.empty() ? otherwise : fmt::format("did you mean \"{}\"?", near);
}

std::string_view key_meant(const Section& section, std::string_view key) {
  for (const Alias& alias : kAliases) {
    if (alias.section == &section && alias.unknown == key) return alias.means;
  }
  return nearest_in_letters(key, section.keys);
}

std::string unknown_key_hint(const Section& section, std::string_view key) {
  for (const Alias& alias : kAliases) {
    if (alias.section == &section && alias.unknown == key) return std::string(alias.hint);
  }
  return did_you_mean(key, section.keys,
                      fmt::format("{} knows {}", section.name, listed(section.keys)));
}

}  // namespace streamobs::config

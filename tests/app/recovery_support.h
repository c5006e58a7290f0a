// What the tests of recovery share: a config, one life after the other in one data directory, and
// everything that a user can ask for of what came out.
#pragma once

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "app/engine_run.h"
#include "base/posix_file_system.h"
#include "store/database.h"
#include "support/catch.h"
#include "wal/checkpoint.h"

namespace streamobs::testing {

inline constexpr Timestamp kBegin = kHour * 24 * 365 * 56;

/// `variant` changes what some of the windows and rules say.
inline std::string toml_of(int lanes, int variant) {
  return fmt::format(R"toml(
lanes = {}
threads = 2
[http]
listen = "127.0.0.1:0"
[wal]
checkpoint_every = "1h"
[stream.requests]
time = "at"
id = "id"
id_horizon = "10m"
idle_timeout = "10s"
fields = {{ id = "string", service = "string", user = "int", latency_ms = "float" }}
[window.per_minute]
from = "requests"
size = "1m"
by = ["service"]
allowed_lateness = "5s"
max_keys = 4
emit_every = "10ms"
[window.per_minute.select]
requests = "count(*)"
total_ms = "sum(latency_ms)"
p90 = "quantile(latency_ms, 0.9)"
users = "count(distinct user)"
newest = "last(user)"
[window.five]
from = "requests"
size = "{}"
[window.five.select]
requests = "count(*)"
slow = "count(*) filter (where latency_ms > 800)"
[rule.slow]
on = "per_minute"
when = "p90 > {} and requests >= 2"
[rule.surge]
on = "per_minute"
when = "requests > 2 * baseline(requests, '1h')"
warmup = 2
)toml",
                     lanes, variant == 1 ? "10m" : "5m", variant == 2 ? 500 : 700);
}

/// Everything a user can ask for of what came out.
inline std::vector<std::string> results(const std::string& toml, const std::string& data_dir) {
  const auto plan = plan_of(toml, data_dir);
  store::StoreOptions options = plan->config.store;
  options.path = data_dir + "/streamobs.db";
  const auto database = store::Database::open(options, plan->schemas());
  REQUIRE(database.has_value());
  std::vector<std::string> all;
  for (const auto& schema : plan->schemas()) {
    store::WindowQuery query;
    query.window = schema->window;
    query.limit = 1'000'000;
    const auto rows = (*database)->window_rows(query);
    REQUIRE(rows.has_value());
    for (const WindowRow& row : *rows) {
      std::string text =
          fmt::format("{} {} {} {} ", schema->window, row.start, row.closed, row.revision);
      for (const Value& v : row.keys) text += v.to_string() + " ";
      for (const Value& v : row.metrics) text += v.to_string() + " ";
      all.push_back(text);
    }
  }
  store::ListQuery list;
  list.limit = 1'000'000;
  const auto anomalies = (*database)->anomalies(list);
  REQUIRE(anomalies.has_value());
  for (const Anomaly& a : *anomalies) {
    all.push_back(fmt::format("anomaly {} {} {}", a.id, a.resolved, a.description));
  }
  const auto incidents = (*database)->incidents(list);
  REQUIRE(incidents.has_value());
  for (const Incident& i : *incidents) {
    all.push_back(fmt::format("incident {} {} {} {}", i.id, i.revision, i.title, i.explanation));
  }
  const auto letters = (*database)->dead_letter_counts();
  REQUIRE(letters.has_value());
  for (const auto& l : *letters) {
    all.push_back(fmt::format("dead {} {} {}", l.stream, l.reason, l.count));
  }
  std::sort(all.begin(), all.end());
  return all;
}

inline CheckpointParts newest_checkpoint(const std::string& data_dir) {
  auto store = wal::CheckpointStore::open(posix_file_system(), data_dir + "/checkpoint");
  REQUIRE(store.has_value());
  auto loaded = store->load_newest(1);
  REQUIRE(loaded.has_value());
  REQUIRE(loaded->has_value());
  return (*loaded)->state;
}

inline std::vector<std::string> names_of(const CheckpointParts& checkpoint) {
  std::vector<std::string> names;
  for (const auto& [name, bytes] : checkpoint.parts) names.push_back(name);
  return names;
}

inline void push(EngineRun& engine, const std::string& body) {
  const source::IngestOutcome outcome = engine->push(0, body);
  REQUIRE(outcome.status == source::IngestOutcome::Status::taken);
}

inline void copy(const std::string& from, const std::string& to) {
  std::filesystem::copy(from, to, std::filesystem::copy_options::recursive);
}

inline void lose_database(const std::string& data_dir) {
  for (const char* name : {"streamobs.db", "streamobs.db-wal", "streamobs.db-shm"}) {
    std::filesystem::remove(data_dir + "/" + name);
  }
}

/// As after a crash: the newest checkpoints are not there, or none is.
inline void lose_checkpoints(const std::string& data_dir, bool all) {
  std::vector<std::filesystem::path> manifests;
  for (const auto& entry : std::filesystem::directory_iterator(data_dir + "/checkpoint")) {
    if (entry.path().extension() == ".manifest") manifests.push_back(entry.path());
  }
  std::sort(manifests.begin(), manifests.end());
  for (std::size_t i = 0; i < manifests.size(); ++i) {
    if (all || i + 1 == manifests.size()) std::filesystem::remove(manifests[i]);
  }
}

}  // namespace streamobs::testing

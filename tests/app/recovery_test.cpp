#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "app/engine_run.h"
#include "base/posix_file_system.h"
#include "base/time_format.h"
#include "store/database.h"
#include "support/catch.h"
#include "wal/checkpoint.h"

namespace {

using namespace streamobs;  // NOLINT
using testing::EngineRun;
using testing::plan_of;
using testing::TemporaryDirectory;

constexpr Timestamp kBegin = kHour * 24 * 365 * 56;

/// `variant` changes what some of the windows and rules say.
std::string toml_of(int lanes, int variant) {
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
std::vector<std::string> results(const std::string& toml, const std::string& data_dir) {
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

CheckpointParts newest_checkpoint(const std::string& data_dir) {
  auto store = wal::CheckpointStore::open(posix_file_system(), data_dir + "/checkpoint");
  REQUIRE(store.has_value());
  auto loaded = store->load_newest(1);
  REQUIRE(loaded.has_value());
  REQUIRE(loaded->has_value());
  return (*loaded)->state;
}

class Traffic {
 public:
  explicit Traffic(std::uint64_t seed) : random_(seed) {}

  std::string batch(const ManualClock& clock) {
    std::string text;
    const int events = 1 + static_cast<int>(random_() % 30);
    for (int i = 0; i < events; ++i) {
      Timestamp at = clock.now() - static_cast<Duration>(random_() % (20 * kSecond));
      if (random_() % 15 == 0) at -= 20 * kMinute;  // Late, or too old for its id.
      std::string id = fmt::format("e{}", next_id_++);
      if (random_() % 8 == 0 && next_id_ > 3) {
        id = fmt::format("e{}", random_() % static_cast<std::uint64_t>(next_id_));
      }
      // One draw a line: in which order arguments are evaluated is the compiler's choice.
      const std::uint64_t service = random_() % 6;
      const std::uint64_t user = random_() % 50;
      const bool refused = random_() % 20 == 0;
      const std::string latency = refused ? "\"slow\"" : std::to_string(random_() % 1000);
      text += fmt::format(
          "{{\"id\":\"{}\",\"at\":\"{}\",\"service\":\"s{}\",\"user\":{},\"latency_ms\":{}}}\n", id,
          to_rfc3339(at), service, user, latency);
    }
    return text;
  }
  std::uint64_t draw(std::uint64_t below) { return random_() % below; }

 private:
  std::mt19937_64 random_;
  int next_id_ = 0;
};

void push(EngineRun& engine, const std::string& body) {
  const source::IngestOutcome outcome = engine->push(0, body);
  REQUIRE(outcome.status == source::IngestOutcome::Status::taken);
}

/// As after a crash: the newest checkpoints are not there, or none is.
void lose_checkpoints(const std::string& data_dir, bool all) {
  std::vector<std::filesystem::path> manifests;
  for (const auto& entry : std::filesystem::directory_iterator(data_dir + "/checkpoint")) {
    if (entry.path().extension() == ".manifest") manifests.push_back(entry.path());
  }
  std::sort(manifests.begin(), manifests.end());
  for (std::size_t i = 0; i < manifests.size(); ++i) {
    if (all || i + 1 == manifests.size()) std::filesystem::remove(manifests[i]);
  }
}

void live_and_die(std::uint64_t seed, const std::string& data_dir, std::string& last_config) {
  Traffic traffic(seed);
  ManualClock clock(kBegin);
  int variant = 0;
  const int lives = 2 + static_cast<int>(traffic.draw(3));
  for (int life = 0; life < lives; ++life) {
    if (traffic.draw(4) == 0) variant = static_cast<int>(traffic.draw(3));
    const int lanes = 1 + static_cast<int>(traffic.draw(3));
    last_config = toml_of(lanes, variant);
    {
      EngineRun engine(plan_of(last_config, data_dir), clock);
      const int steps = 1 + static_cast<int>(traffic.draw(12));
      for (int step = 0; step < steps; ++step) {
        push(engine, traffic.batch(clock));
        clock.advance(static_cast<Duration>(traffic.draw(40 * kSecond)));
        if (traffic.draw(10) == 0) {  // Silence: a few ticks find it.
          for (int i = 0; i < 12; ++i) {
            clock.advance(2 * kSecond);
            std::this_thread::sleep_for(std::chrono::milliseconds(12));
          }
        }
      }
      REQUIRE(engine.stop() == 0);
    }
    if (traffic.draw(3) == 0) {
      const bool all = traffic.draw(2) == 0;
      lose_checkpoints(data_dir, all);
    }
  }
}

}  // namespace

TEST_CASE("a checkpoint and the tail give the very state that the whole log gives", "[recovery]") {
  const char* const more = std::getenv("STREAMOBS_RECOVERY_SEEDS");
  const int seeds = more != nullptr ? std::atoi(more) : 12;
  for (int seed = 1; seed <= seeds; ++seed) {
    INFO("seed " << seed);
    TemporaryDirectory directory;
    const std::string lived = directory.file("lived");
    const std::string replayed = directory.file("replayed");
    std::string toml;
    live_and_die(static_cast<std::uint64_t>(seed), lived, toml);
    std::filesystem::copy(lived, replayed, std::filesystem::copy_options::recursive);
    std::filesystem::remove_all(replayed + "/checkpoint");
    for (const char* name : {"streamobs.db", "streamobs.db-wal", "streamobs.db-shm"}) {
      std::filesystem::remove(replayed + "/" + name);
    }
    // One more life each: what the one remembers is what the other works out anew.
    const ManualClock clock(kBegin);
    for (const std::string& data_dir : {lived, replayed}) {
      EngineRun engine(plan_of(toml, data_dir), clock);
      REQUIRE(engine.stop() == 0);
    }
    const CheckpointParts a = newest_checkpoint(lived);
    const CheckpointParts b = newest_checkpoint(replayed);
    CHECK(a.position == b.position);
    for (const auto& [name, bytes] : a.parts) {
      INFO("part " << name);
      REQUIRE(b.parts.count(name) == 1);
      CHECK((bytes == b.parts.at(name)));
    }
    CHECK(a.parts.size() == b.parts.size());
    CHECK(results(toml, lived) == results(toml, replayed));
  }
}

TEST_CASE("a window that is open when the engine ends goes on after the restart", "[recovery]") {
  TemporaryDirectory directory;
  const std::string data_dir = directory.file("data");
  ManualClock clock(kBegin);
  const auto event = [&](int second, const char* id) {
    return fmt::format(R"({{"id":"{}","at":"{}","service":"a","user":1,"latency_ms":5}})", id,
                       to_rfc3339(clock.now() - clock.now() % kMinute + second * kSecond));
  };
  {
    EngineRun engine(plan_of(toml_of(2, 0), data_dir), clock);
    push(engine, event(1, "x"));
    push(engine, event(2, "y"));
  }
  CHECK(results(toml_of(2, 0), data_dir).empty());
  {
    EngineRun engine(plan_of(toml_of(1, 0), data_dir), clock);
    push(engine, event(3, "x"));  // Sent again: counted already.
    push(engine, event(4, "z"));
    clock.advance(2 * kMinute);
    push(engine, event(10, "later"));
  }
  const std::vector<std::string> rows = results(toml_of(1, 0), data_dir);
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].find(" a 3 15") != std::string::npos);
}

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
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

std::vector<std::string> names_of(const CheckpointParts& checkpoint) {
  std::vector<std::string> names;
  for (const auto& [name, bytes] : checkpoint.parts) names.push_back(name);
  return names;
}

void push(EngineRun& engine, const std::string& body) {
  const source::IngestOutcome outcome = engine->push(0, body);
  REQUIRE(outcome.status == source::IngestOutcome::Status::taken);
}

void copy(const std::string& from, const std::string& to) {
  std::filesystem::copy(from, to, std::filesystem::copy_options::recursive);
}

void lose_database(const std::string& data_dir) {
  for (const char* name : {"streamobs.db", "streamobs.db-wal", "streamobs.db-shm"}) {
    std::filesystem::remove(data_dir + "/" + name);
  }
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
    copy(lived, replayed);
    std::filesystem::remove_all(replayed + "/checkpoint");
    lose_database(replayed);
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
    CHECK(names_of(a) == names_of(b));
    CHECK(names_of(a) == std::vector<std::string>{"config", "deduplication/requests", "detect",
                                                  "narrate", "request_keys", "sequencer",
                                                  "windows/requests"});
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

namespace {

/// One event of a service for each entry, all at `at`.
std::string events_at(Timestamp at, const std::string& service, int count, int latency_ms) {
  std::string text;
  for (int i = 0; i < count; ++i) {
    text += fmt::format(
        "{{\"id\":\"{}-{}-{}\",\"at\":\"{}\",\"service\":\"{}\",\"user\":{},\"latency_ms\":{}}}\n",
        service, at, i, to_rfc3339(at), service, i, latency_ms);
  }
  return text;
}

/// Half an hour of calm with two bad stretches in it. Nobody is ever silent for long enough to be
/// called idle, so that what comes out follows from the events alone.
std::string live_half_an_hour(const std::string& data_dir, bool with_restarts) {
  std::string toml = toml_of(2, 0);
  const std::string timeout = "idle_timeout = \"10s\"";
  toml.replace(toml.find(timeout), timeout.size(), "idle_timeout = \"1h\"");
  ManualClock clock(kBegin);
  auto engine = std::make_unique<EngineRun>(plan_of(toml, data_dir), clock);
  for (int minute = 0; minute < 30; ++minute) {
    const bool bad = minute == 12 || minute == 13 || (minute >= 20 && minute < 25);
    push(*engine, events_at(clock.now(), "a", bad ? 40 : 4, bad ? 900 : 20));
    push(*engine, events_at(clock.now() + kSecond, "b", 5, 30));
    clock.advance(kMinute);
    if (!with_restarts || minute % 3 != 0) continue;
    REQUIRE(engine->stop() == 0);
    engine = std::make_unique<EngineRun>(plan_of(toml, data_dir), clock);
  }
  REQUIRE(engine->stop() == 0);
  return toml;
}

std::size_t count_of(const std::vector<std::string>& all, const std::string& beginning) {
  return static_cast<std::size_t>(
      std::count_if(all.begin(), all.end(),
                    [&](const std::string& each) { return each.starts_with(beginning); }));
}

std::uint64_t applied_position(const std::string& toml, const std::string& data_dir) {
  const auto plan = plan_of(toml, data_dir);
  store::StoreOptions options = plan->config.store;
  options.path = data_dir + "/streamobs.db";
  const auto database = store::Database::open(options, plan->schemas());
  REQUIRE(database.has_value());
  return (*database)->applied_position();
}

/// Why an engine does not start there.
std::string refusal(const std::string& data_dir) {
  app::TopologyOptions options;
  options.handle_signals = false;
  const ManualClock clock(kBegin);
  app::Topology topology(plan_of(toml_of(1, 0), data_dir), options, clock);
  const Result<> started = topology.start();
  if (started.has_error()) return started.error().message;
  topology.request_stop();
  topology.run();
  return "it started";
}

}  // namespace

TEST_CASE("rules and incidents go on over restarts as if there had been none", "[recovery]") {
  TemporaryDirectory directory;
  const std::string once = directory.file("once");
  const std::string often = directory.file("often");
  const std::string toml = live_half_an_hour(once, false);
  live_half_an_hour(often, true);
  const std::vector<std::string> expected = results(toml, once);
  CHECK(count_of(expected, "anomaly") >= 2);
  CHECK(count_of(expected, "incident") >= 1);
  CHECK(results(toml, often) == expected);
}

TEST_CASE("recovery has ended when all has passed, and no cut lies within a position",
          "[recovery]") {
  for (const bool carefully : {false, true}) {
    INFO("carefully " << carefully);
    TemporaryDirectory directory;
    const std::string data_dir = directory.file("data");
    const std::string toml = toml_of(2, 0);
    ManualClock clock(kBegin);
    {
      EngineRun engine(plan_of(toml, data_dir), clock);
      for (int i = 0; i < 20; ++i) {
        push(engine, events_at(clock.now(), "a", 5, 10));
        clock.advance(30 * kSecond);
      }
    }
    const std::vector<std::string> expected = results(toml, data_dir);
    const std::uint64_t end = newest_checkpoint(data_dir).position;
    std::filesystem::remove_all(data_dir + "/checkpoint");
    lose_database(data_dir);
    // The mark of a replay that did not get to its end.
    if (carefully) std::ofstream(data_dir + "/replaying") << "cut short";

    std::atomic<std::uint64_t> cut{0};
    std::atomic<int> behind_their_cut{0};
    std::atomic<int> rows{0};
    const auto look = [&](const Record& record) {
      // A store that is slow: whoever does not wait for it is well ahead.
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      if (std::holds_alternative<CutPtr>(record)) {
        cut = std::max(cut.load(), position_of(record));
        return;
      }
      const auto* window = std::get_if<WindowBatchPtr>(&record);
      if (window != nullptr && (*window)->early) return;
      ++rows;
      const std::uint64_t position = position_of(record);
      if (position != 0 && position <= cut) ++behind_their_cut;
    };
    EngineRun engine(plan_of(toml, data_dir), clock, look);
    // What of the tail is no session's record: that one brings nothing that could pass.
    CHECK(cut + 1 >= end);
    CHECK(rows > 5);
    CHECK(behind_their_cut == 0);
    REQUIRE(engine.stop() == 0);
    CHECK(behind_their_cut == 0);
    CHECK(results(toml, data_dir) == expected);
  }
}

TEST_CASE("a file is read on from where the replayed log says, not from where a checkpoint does",
          "[recovery]") {
  TemporaryDirectory directory;
  const std::string data_dir = directory.file("data");
  std::string lines;
  for (int i = 0; i < 50; ++i) lines += events_at(kBegin + i * 7 * kSecond, "a", 2, 10);
  std::ofstream(directory.file("in.ndjson")) << lines;
  // Without ids: a line that is read again would be counted, or be late.
  std::string toml = toml_of(2, 0);
  const std::string ids = "id = \"id\"\nid_horizon = \"10m\"\n";
  toml.replace(toml.find(ids), ids.size(), "");
  toml += fmt::format("[source.lines]\ntype = \"file\"\nstream = \"requests\"\npaths = [\"{}\"]\n",
                      directory.file("in.ndjson"));
  const ManualClock clock(kBegin + kHour);
  const auto read_all = [&] {
    EngineRun engine(plan_of(toml, data_dir), clock);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (results(toml, data_dir).size() < 6 && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    REQUIRE(engine.stop() == 0);
  };
  read_all();
  const std::vector<std::string> expected = results(toml, data_dir);
  REQUIRE(expected.size() >= 6);
  for (const bool all : {false, true}) {
    lose_checkpoints(data_dir, all);
    read_all();
    CHECK(results(toml, data_dir) == expected);
  }
}

TEST_CASE("a database is never behind the newest checkpoint, also where a config has changed",
          "[recovery]") {
  TemporaryDirectory directory;
  const std::string data_dir = directory.file("data");
  ManualClock clock(kBegin);
  {
    EngineRun engine(plan_of(toml_of(2, 0), data_dir), clock);
    push(engine, events_at(clock.now(), "a", 5, 10));
  }
  // The log ends with a record that nothing follows from: the session's of the last checkpoint.
  lose_checkpoints(data_dir, true);
  lose_database(data_dir);
  const std::string changed = toml_of(2, 1);
  EngineRun engine(plan_of(changed, data_dir), clock);
  // As a kill would leave it now: the past has been replayed, nothing new has come.
  const std::string killed = directory.file("killed");
  copy(data_dir, killed);
  CHECK(newest_checkpoint(killed).position > 2);
  CHECK(applied_position(changed, killed) >= newest_checkpoint(killed).position);
}

TEST_CASE("log, checkpoints and database that do not belong together are refused", "[recovery]") {
  TemporaryDirectory directory;
  const std::string data_dir = directory.file("data");
  const std::string early = directory.file("early");
  const std::string other = directory.file("other");
  ManualClock clock(kBegin);
  const auto live = [&](const std::string& where, int minutes) {
    EngineRun engine(plan_of(toml_of(1, 0), where), clock);
    for (int i = 0; i < minutes; ++i) {
      push(engine, events_at(clock.now(), "a", 5, 10));
      clock.advance(kMinute);
    }
  };
  live(data_dir, 4);
  copy(data_dir, early);
  live(data_dir, 4);
  live(other, 2);
  const auto put = [&](const std::string& name, const std::string& from) {
    std::filesystem::remove_all(data_dir + "/" + name);
    copy(from + "/" + name, data_dir + "/" + name);
  };
  SECTION("as they are") {
    CHECK(refusal(data_dir) == "it started");
  }
  SECTION("the log has lost its end, and a checkpoint knows") {
    put("wal", early);
    lose_database(data_dir);
    CHECK(refusal(data_dir).find("checkpoint or database have got to record") != std::string::npos);
  }
  SECTION("the log has lost its end, and the database knows") {
    put("wal", early);
    put("checkpoint", early);
    CHECK(refusal(data_dir).find("records that were acknowledged are missing") !=
          std::string::npos);
  }
  SECTION("a checkpoint of another engine") {
    put("checkpoint", other);
    CHECK(refusal(data_dir).find("they are not of one engine") != std::string::npos);
  }
  SECTION("a database of another engine") {
    lose_database(data_dir);
    put("streamobs.db", other);
    CHECK(refusal(data_dir).find("holds the results of log") != std::string::npos);
  }
}

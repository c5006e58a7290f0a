// What a restart must not change, and what must not be started with.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "app/coherence.h"
#include "app/offline_checks.h"
#include "app/recovery_support.h"
#include "base/time_format.h"
#include "support/catch.h"

namespace {

using namespace streamobs;           // NOLINT
using namespace streamobs::testing;  // NOLINT

/// So many events of a service, all at `at`.
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
    engine.reset();
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

/// What doctor says of it without starting any.
health::CheckResult told(const std::string& data_dir, const std::string& check) {
  for (const health::CheckResult& found : app::check_offline(data_dir, {}, {}).checks) {
    if (found.check == check) return found;
  }
  FAIL("there is no check " << check);
  return {};
}

/// All files below, with when they were changed last and how large they are.
std::vector<std::string> files_of(const std::string& directory) {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    if (!entry.is_regular_file()) continue;
    files.push_back(fmt::format("{} {} {}", entry.path().string(), entry.file_size(),
                                entry.last_write_time().time_since_epoch().count()));
  }
  std::sort(files.begin(), files.end());
  return files;
}

/// A file of the newest checkpoint.
std::string newest_part_of(const std::string& data_dir) {
  std::string newest;
  for (const auto& entry : std::filesystem::directory_iterator(data_dir + "/checkpoint")) {
    if (entry.path().string() > newest) newest = entry.path().string();
  }
  return newest;
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

namespace {

/// Looks at what comes out of a life: how far the cuts have come, and rows that came behind the cut
/// they belong before, so that a crash between the two would lose them.
struct Passing {
  std::atomic<std::uint64_t> cut{0};
  std::atomic<int> rows{0};
  std::atomic<int> behind_their_cut{0};

  void look(const Record& record) {
    const std::uint64_t position = position_of(record);
    if (std::holds_alternative<CutPtr>(record)) {
      cut = std::max(cut.load(), position);
      return;
    }
    const auto* window = std::get_if<WindowBatchPtr>(&record);
    if (window != nullptr && (*window)->early) return;
    ++rows;
    if (position != 0 && position <= cut) ++behind_their_cut;
  }
};

}  // namespace

TEST_CASE("recovery has ended when all has passed, and no cut lies within a position",
          "[recovery]") {
  TemporaryDirectory directory;
  const std::string data_dir = directory.file("data");
  const std::string toml = toml_of(2, 0);
  ManualClock clock(kBegin);
  constexpr int kMinutes = 240;
  {
    // The first batch of each minute closes the window before it; now and then a second one puts
    // the pairs of batch and mark elsewhere in the groups in which the dispatcher takes them.
    Passing passing;
    EngineRun engine(plan_of(toml, data_dir), clock, [&](const Record& r) { passing.look(r); });
    for (int i = 0; i < kMinutes; ++i) {
      push(engine, events_at(clock.now() + 10 * kSecond, "a", 2, 10));
      if (i % 3 == 0) push(engine, events_at(clock.now() + 10 * kSecond, "b", 1, 10));
      clock.advance(kMinute);
    }
    REQUIRE(engine.stop() == 0);
    CHECK(passing.rows >= kMinutes - 1);
    CHECK(passing.behind_their_cut == 0);
  }
  const std::vector<std::string> expected = results(toml, data_dir);
  for (const bool carefully : {false, true}) {
    INFO("carefully " << carefully);
    const std::uint64_t end = newest_checkpoint(data_dir).position;
    std::filesystem::remove_all(data_dir + "/checkpoint");
    lose_database(data_dir);
    // The note of a replay that did not get to its end.
    if (carefully) std::ofstream(data_dir + "/replaying") << "cut short";
    Passing passing;
    const auto slowly = [&](const Record& record) {
      // As if the store were slow: whoever does not wait for it is well ahead.
      std::this_thread::sleep_for(std::chrono::microseconds(200));
      passing.look(record);
    };
    EngineRun engine(plan_of(toml, data_dir), clock, slowly);
    CHECK(passing.cut >= end);
    CHECK(passing.rows >= kMinutes - 1);
    REQUIRE(engine.stop() == 0);
    CHECK(passing.behind_their_cut == 0);
    CHECK(results(toml, data_dir) == expected);
  }
}

TEST_CASE("a file is read on from where the replayed log says, not from where a checkpoint does",
          "[recovery]") {
  TemporaryDirectory directory;
  const std::string data_dir = directory.file("data");
  const std::string file = directory.file("in.ndjson");
  // Without ids: a line that is read again would be counted, or be late.
  std::string toml = toml_of(2, 0);
  const std::string ids = "id = \"id\"\nid_horizon = \"10m\"\n";
  toml.replace(toml.find(ids), ids.size(), "");
  toml += fmt::format("[source.lines]\ntype = \"file\"\nstream = \"requests\"\npaths = [\"{}\"]\n",
                      file);
  const ManualClock clock(kBegin + kHour);
  store::WindowQuery query;
  query.window = "per_minute";
  const auto read_on = [&](const std::string& where, std::size_t minutes) {
    EngineRun engine(plan_of(toml, where), clock);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    const auto closed = [&] {  // Those that are still open are rows, too.
      const auto rows = engine->window_rows(query);
      return static_cast<std::size_t>(std::count_if(
          rows->begin(), rows->end(), [](const WindowRow& row) { return row.closed; }));
    };
    while (closed() < minutes && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    REQUIRE(engine.stop() == 0);
    return results(toml, where);
  };
  // What is there when it is read to its end closes all windows: five minutes of each.
  for (int part = 0; part < 4; ++part) {
    INFO("part " << part);
    std::ofstream lines(file, std::ios::app);
    for (int i = 0; i < 40; ++i) {
      lines << events_at(kBegin + part * 5 * kMinute + i * 7 * kSecond, "a", 2, 10);
    }
    lines.close();
    const std::size_t minutes = 5 * static_cast<std::size_t>(part + 1);
    const std::vector<std::string> all_at_once = read_on(directory.file("at once"), minutes);
    CHECK(count_of(all_at_once, "per_minute") == minutes);
    CHECK(read_on(data_dir, minutes) == all_at_once);
    std::filesystem::remove_all(directory.file("at once"));
    lose_checkpoints(data_dir, part % 2 == 1);
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
  std::filesystem::create_directory(killed);
  for (const char* name : {"checkpoint", "streamobs.db", "streamobs.db-wal"}) {
    copy(data_dir + "/" + name, killed + "/" + name);
  }
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
  // Doctor says it beforehand in the words of the start, and leaves no trace.
  const auto refused = [&](const std::string& why) {
    const std::vector<std::string> before = files_of(data_dir);
    const health::CheckResult said = told(data_dir, "recovery");
    CHECK(files_of(data_dir) == before);
    const std::string words = refusal(data_dir);
    INFO(words);
    CHECK(words.find(why) != std::string::npos);
    CHECK(said.state == health::State::failing);
    CHECK(said.detail == "the next start is refused: " + words);
  };
  SECTION("as they are") {
    const health::CheckResult said = told(data_dir, "recovery");
    CHECK(said.state == health::State::ok);
    CHECK(said.detail.find("belong together") != std::string::npos);
    CHECK(told(data_dir, "checkpoint").state == health::State::ok);
    CHECK(refusal(data_dir) == "it started");
  }
  SECTION("the log has lost its end, and a checkpoint knows") {
    put("wal", early);
    lose_database(data_dir);
    refused("checkpoint or database have got to record");
  }
  SECTION("the log has lost its end, and the database knows") {
    put("wal", early);
    put("checkpoint", early);
    refused("records that were acknowledged are missing");
  }
  SECTION("a checkpoint of another engine") {
    put("checkpoint", other);
    refused("they are not of one engine");
  }
  SECTION("a database of another engine") {
    lose_database(data_dir);
    put("streamobs.db", other);
    refused("holds the results of log");
  }
  SECTION("a database without log and checkpoint") {
    std::filesystem::remove_all(data_dir + "/wal");
    std::filesystem::remove_all(data_dir + "/checkpoint");
    const health::CheckResult said = told(data_dir, "recovery");
    CHECK(said.state == health::State::failing);
    CHECK(said.detail.find("holds no log") != std::string::npos);
    // Each time in these words: no log is made, beside which it would be another refusal.
    for (int i = 0; i < 2; ++i) {
      CHECK(said.detail == "the next start is refused: " + refusal(data_dir));
    }
    CHECK(told(data_dir, "log").state == health::State::no_data);
  }
  SECTION("a database that is older than the checkpoint") {
    lose_database(data_dir);
    put("streamobs.db", early);
    const health::CheckResult said = told(data_dir, "recovery");
    CHECK(said.state == health::State::warning);
    CHECK(said.detail.find("from an earlier one") != std::string::npos);
    CHECK(refusal(data_dir) == "it started");
  }
  SECTION("no database") {
    lose_database(data_dir);
    const health::CheckResult said = told(data_dir, "recovery");
    CHECK(said.state == health::State::warning);
    CHECK(said.detail.find("rebuilds what is missing from the whole log") != std::string::npos);
    CHECK(refusal(data_dir) == "it started");
  }
  SECTION("the newest checkpoint is damaged") {
    const std::string newest = newest_part_of(data_dir);
    std::filesystem::resize_file(newest, std::filesystem::file_size(newest) / 2);
    const health::CheckResult said = told(data_dir, "checkpoint");
    CHECK(said.state == health::State::warning);
    CHECK(said.detail.find(newest) != std::string::npos);
    CHECK(said.detail.find("The one before it") != std::string::npos);
    CHECK(told(data_dir, "recovery").state == health::State::ok);
    CHECK(refusal(data_dir) == "it started");
  }
}

TEST_CASE("what a start makes of log, checkpoint and database", "[recovery]") {
  wal::LogState log;
  log.log_id = 7;
  log.first_sequence = 1;
  log.next_sequence = 101;
  const auto judged = [&](std::uint64_t id, std::uint64_t applied, std::uint64_t checkpoint) {
    return app::judge_coherence({id, applied}, "/data", log, checkpoint);
  };
  using app::GoingOn;
  CHECK(judged(7, 100, 100).value() == GoingOn::from_the_checkpoint);
  CHECK(judged(7, 90, 90).value() == GoingOn::from_the_checkpoint);
  CHECK(judged(7, 89, 90).value() == GoingOn::from_the_beginning);
  CHECK(judged(0, 0, 0).value() == GoingOn::from_the_checkpoint);
  CHECK(judged(0, 0, 90).value() == GoingOn::from_the_beginning);
  CHECK(judged(7, 101, 90).error().code == ErrorCode::corrupt);
  CHECK(judged(8, 90, 90).error().code == ErrorCode::invalid);
  // Once it has been trimmed, the log cannot make good what the database lacks.
  log.first_sequence = 50;
  CHECK(judged(7, 89, 90).value() == GoingOn::with_a_gap);
  CHECK(judged(7, 90, 90).value() == GoingOn::from_the_checkpoint);
  log = {};
  CHECK(judged(0, 0, 0).value() == GoingOn::from_the_checkpoint);
  CHECK(judged(7, 1, 0).error().message.find("holds no log") != std::string::npos);
}

TEST_CASE("a start that fails after recovery leaves no trace of its config", "[recovery]") {
  TemporaryDirectory directory;
  const std::string data_dir = directory.file("data");
  ManualClock clock(kBegin);
  {
    EngineRun engine(plan_of(toml_of(1, 0), data_dir), clock);
    push(engine, events_at(clock.now(), "a", 5, 10));
  }
  const std::vector<std::string> before = names_of(newest_checkpoint(data_dir));
  const std::uint64_t position = newest_checkpoint(data_dir).position;
  // Another size of a window, and a table that is not there: that is found out when all is
  // restored.
  const std::string other = toml_of(1, 1) + "[lookup.prices]\nfile = \"" +
                            directory.file("none.csv") +
                            "\"\nkey = [\"model\"]\ncolumns = { model = \"string\" }\n";
  {
    app::TopologyOptions options;
    options.handle_signals = false;
    app::Topology failing(plan_of(other, data_dir), options, clock);
    REQUIRE(failing.start().has_value());
    CHECK(failing.run() == 78);
    CHECK(failing.failure().find("none.csv") != std::string::npos);
  }
  CHECK(newest_checkpoint(data_dir).position == position);
  CHECK(names_of(newest_checkpoint(data_dir)) == before);
  // Nor in the log, whose tail would have to be replayed under it.
  EngineRun engine(plan_of(toml_of(1, 0), data_dir), clock);
  CHECK(engine.stop() == 0);
  CHECK(newest_checkpoint(data_dir).position == position + 2);  // Two sessions: its start, its end.
}

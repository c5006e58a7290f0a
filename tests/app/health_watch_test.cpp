// The checks of a running engine follow its clock, and end with it.
#include <chrono>
#include <string>
#include <thread>

#include <sqlite3.h>

#include "app/engine_run.h"
#include "base/time_format.h"
#include "support/catch.h"

namespace {

using namespace streamobs;           // NOLINT
using namespace streamobs::testing;  // NOLINT

constexpr Timestamp kBegin = 1'800'000'000 * kSecond;
constexpr const char* kConfig = R"~(
[http]
listen = "127.0.0.1:0"
[health]
quick_every = "5m"
[stream.requests]
time = "at"
freshness = "7m"
[window.w]
from = "requests"
size = "1m"
select = { n = "count(*)" }
)~";

double state_of(EngineRun& engine, const std::string& check, const std::string& of = "") {
  return engine->metrics().value("streamobs_check_state", {{"check", check}, {"of", of}});
}

template <class Condition>
bool comes_true(const Condition& condition) {
  for (int i = 0; i < 3'000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

TEST_CASE("checks are made when the engine's clock says so, and joined at the end", "[app]") {
  const TemporaryDirectory directory;
  ManualClock clock(kBegin);
  EngineRun engine(plan_of(kConfig, directory.file("data")), clock);
  REQUIRE(engine->push(0, "{\"at\":\"" + to_rfc3339(kBegin) + "\"}").accepted == 1);
  CHECK(engine->metrics()
            .render(telemetry::Registry::Exposition::prometheus)
            .find("streamobs_check_state{") == std::string::npos);
  clock.advance(5 * kMinute);
  REQUIRE(comes_true([&] { return state_of(engine, "backlog") == -1; }));
  CHECK(state_of(engine, "freshness", "requests") == 0);
  clock.advance(5 * kMinute);
  CHECK(comes_true([&] { return state_of(engine, "freshness", "requests") == 2; }));
  // What is over is told soon, not only when the checks are due again.
  REQUIRE(engine->push(0, "{\"at\":\"" + to_rfc3339(clock.now()) + "\"}").accepted == 1);
  clock.advance(15 * kSecond);
  CHECK(comes_true([&] { return state_of(engine, "freshness", "requests") == 0; }));
  CHECK(engine.stop() == 0);
}

TEST_CASE("statistics that something kept from being renewed are tried again soon", "[app]") {
  const TemporaryDirectory directory;
  ManualClock clock(kBegin);
  const std::string config = std::string("[store]\nbusy_timeout = \"100ms\"\n") + kConfig;
  EngineRun engine(plan_of(config, directory.file("data")), clock);
  sqlite3* other = nullptr;
  const std::string path = directory.file("data") + "/streamobs.db";
  REQUIRE(sqlite3_open(path.c_str(), &other) == SQLITE_OK);
  REQUIRE(sqlite3_exec(other, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr) == SQLITE_OK);
  clock.advance(10 * kMinute);
  CHECK(comes_true([&] { return state_of(engine, "database") == 0; }));
  CHECK(comes_true([&] { return state_of(engine, "statistics") == -1; }));
  CHECK(sqlite3_exec(other, "ROLLBACK", nullptr, nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(other);
  // Not only when the deep checks are due again, which is in six hours.
  clock.advance(kMinute);
  CHECK(comes_true([&] { return state_of(engine, "statistics") == 0; }));
  CHECK(engine.stop() == 0);
}

}  // namespace

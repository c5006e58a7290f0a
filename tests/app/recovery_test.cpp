#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "app/recovery_support.h"
#include "base/time_format.h"
#include "support/catch.h"

namespace {

using namespace streamobs;           // NOLINT
using namespace streamobs::testing;  // NOLINT

/// A window whose closed rows come again, and a rule that hears of it.
const char* const kCorrected = R"toml(
[window.corrected]
from = "requests"
size = "2m"
hop = "1m"
by = ["service"]
late = "update"
correct_for = "4m"
[window.corrected.select]
requests = "count(*)"
p90 = "quantile(latency_ms, 0.9)"
[rule.slow_corrected]
on = "corrected"
when = "p90 > 600 and requests >= 2"
)toml";

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

void live_and_die(std::uint64_t seed, const std::string& data_dir, std::string& last_config) {
  Traffic traffic(seed);
  ManualClock clock(kBegin);
  int variant = 0;
  const int lives = 2 + static_cast<int>(traffic.draw(3));
  for (int life = 0; life < lives; ++life) {
    if (traffic.draw(4) == 0) variant = static_cast<int>(traffic.draw(3));
    const int lanes = 1 + static_cast<int>(traffic.draw(3));
    last_config = toml_of(lanes, variant) + kCorrected;
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
  int corrected = 0;
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
    for (const std::string& row : results(toml, lived)) {
      corrected += row.starts_with("corrected ") && row.find(" true 0 ") == std::string::npos;
    }
  }
  CHECK(corrected > 0);
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

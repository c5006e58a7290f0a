// Look-up tables in a running engine: which version an event sees is part of history.
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
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

std::string toml_with(const std::string& file, int lanes, const std::string& size = "1m") {
  return fmt::format(R"toml(
lanes = {}
threads = 2
[http]
listen = "127.0.0.1:0"
[wal]
checkpoint_every = "1h"
[lookup.prices]
file = "{}"
columns = {{ model = "string", since = "timestamp", usd = "int" }}
key = ["model"]
valid_from = "since"
reload_every = "100ms"
[stream.calls]
time = "at"
idle_timeout = "1h"
fields = {{ id = "string", model = "string", tokens = "int" }}
derive = {{ cost = "tokens * lookup('prices', 'usd', model)" }}
[window.spent]
from = "calls"
size = "{}"
by = ["model"]
allowed_lateness = "30m"
[window.spent.select]
calls = "count(*)"
cost = "sum(cost)"
unpriced = "count(*) filter (where cost is null)"
)toml",
                     lanes, file, size);
}

/// Replaced at once, as a careful writer does.
void write_file(const std::string& path, const std::string& text) {
  std::ofstream(path + ".new") << text;
  std::filesystem::rename(path + ".new", path);
}

double loads(EngineRun& engine) {
  return engine->metrics().value("streamobs_lookup_loads_total", {{"lookup", "prices"}});
}

double failures(EngineRun& engine) {
  return engine->metrics().value("streamobs_lookup_load_failures_total", {{"lookup", "prices"}});
}

template <class Condition>
void wait_for(Condition condition) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    REQUIRE(std::chrono::steady_clock::now() < until);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

/// Prices by model and by the second from which they hold.
using Prices = std::map<std::string, std::map<Timestamp, std::int64_t>>;

std::string csv_of(const Prices& prices) {
  std::string text = "model,since,usd\n";
  for (const auto& [model, rows] : prices) {
    for (const auto& [since, usd] : rows) {
      text += fmt::format("{},{},{}\n", model, to_rfc3339(since), usd);
    }
  }
  return text;
}

Prices draw_prices(std::mt19937_64& random) {
  Prices prices;
  prices["always"][0] = static_cast<std::int64_t>(random() % 100'000);
  for (int i = 0; i < 6; ++i) {
    const std::string model = fmt::format("m{}", random() % 3);
    const auto since = kBegin + static_cast<Duration>(random() % 600) * kSecond;
    prices[model][since] = static_cast<std::int64_t>(random() % 1000);
  }
  return prices;
}

/// What the rows must say: by minute and model.
struct Spent {
  std::int64_t calls = 0;
  std::int64_t cost = 0;
  std::int64_t unpriced = 0;
};
using Oracle = std::map<std::pair<Timestamp, std::string>, Spent>;

std::string draw_events(std::mt19937_64& random, Timestamp now, const Prices& prices,
                        Oracle& oracle) {
  std::string text;
  for (int i = 0; i < 40; ++i) {
    const Timestamp at = now + static_cast<Duration>(random() % 10) * kSecond;
    const std::string model = fmt::format("m{}", random() % 4);
    const auto tokens = static_cast<std::int64_t>(random() % 50);
    text += fmt::format(R"({{"id":"x","at":"{}","model":"{}","tokens":{}}})"
                        "\n",
                        to_rfc3339(at), model, tokens);
    Spent& spent = oracle[{at - at % kMinute, model}];
    ++spent.calls;
    const auto rows = prices.find(model);
    const bool known = rows != prices.end() && rows->second.upper_bound(at) != rows->second.begin();
    if (known) spent.cost += tokens * std::prev(rows->second.upper_bound(at))->second;
    if (!known) ++spent.unpriced;
  }
  return text;
}

std::vector<std::string> rows_of(const std::string& toml, const std::string& data_dir) {
  std::vector<std::string> rows;
  for (const std::string& row : results(toml, data_dir)) rows.push_back(row);
  return rows;
}

std::vector<std::string> rows_of(const Oracle& oracle, Timestamp before) {
  std::vector<std::string> rows;
  for (const auto& [key, spent] : oracle) {
    if (key.first + kMinute > before) continue;
    const std::string cost = spent.unpriced == spent.calls ? "" : std::to_string(spent.cost);
    rows.push_back(fmt::format("spent {} true 0 {} {} {} {} ", key.first, key.second, spent.calls,
                               cost, spent.unpriced));
  }
  std::sort(rows.begin(), rows.end());
  return rows;
}

}  // namespace

TEST_CASE("events see the version of a table that was in force at their place", "[lookup]") {
  for (const std::uint64_t seed : {1, 2, 3, 4}) {
    INFO("seed " << seed);
    std::mt19937_64 random(seed);
    TemporaryDirectory directory;
    const std::string data_dir = directory.file("data");
    const std::string file = directory.file("prices.csv");
    Prices prices = draw_prices(random);
    write_file(file, csv_of(prices));
    ManualClock clock(kBegin);
    Oracle oracle;
    std::string toml;
    for (int life = 0; life < 4; ++life) {
      toml = toml_with(file, 1 + static_cast<int>(random() % 3));
      {
        EngineRun engine(plan_of(toml, data_dir), clock);
        for (int step = 0; step < 4; ++step) {
          push(engine, draw_events(random, clock.now(), prices, oracle));
          clock.advance(static_cast<Duration>(random() % 40) * kSecond);
          if (random() % 2 != 0) continue;
          prices = draw_prices(random);
          const double before = loads(engine);
          write_file(file, csv_of(prices));
          wait_for([&] { return loads(engine) > before; });
        }
        REQUIRE(engine.stop() == 0);
      }
      // The next life knows another version from its start on; the tail has its own.
      if (random() % 2 == 0) {
        prices = draw_prices(random);
        write_file(file, csv_of(prices));
      }
      if (random() % 2 == 0) lose_checkpoints(data_dir, random() % 2 == 0);
    }
    // One more event closes what comes before it.
    const std::string replayed = directory.file("replayed");
    copy(data_dir, replayed);
    std::filesystem::remove_all(replayed + "/checkpoint");
    lose_database(replayed);
    clock.advance(2 * kHour);
    for (const std::string& dir : {data_dir, replayed}) {
      EngineRun engine(plan_of(toml, dir), clock);
      push(engine, fmt::format(R"({{"id":"x","at":"{}","model":"always","tokens":1}})",
                               to_rfc3339(clock.now())));
      REQUIRE(engine.stop() == 0);
    }
    const std::vector<std::string> wanted = rows_of(oracle, clock.now());
    CHECK(wanted.size() > 10);
    CHECK(rows_of(toml, data_dir) == wanted);
    CHECK(rows_of(toml, replayed) == wanted);
  }
}

TEST_CASE("a file that cannot be taken over leaves the version before in force", "[lookup]") {
  TemporaryDirectory directory;
  const std::string data_dir = directory.file("data");
  const std::string file = directory.file("prices.csv");
  write_file(file, "model,since,usd\na,,7\n");
  const std::string toml = toml_with(file, 2);
  ManualClock clock(kBegin);
  const auto event = [&] {
    return fmt::format(R"({{"id":"x","at":"{}","model":"a","tokens":1}})", to_rfc3339(clock.now()));
  };
  const auto state = [](EngineRun& engine) {
    return engine->metrics().value("streamobs_lookup_rows", {{"lookup", "prices"}});
  };
  {
    EngineRun engine(plan_of(toml, data_dir), clock);
    wait_for([&] { return state(engine) == 1; });
    push(engine, event());
    write_file(file, "model,since,usd\na,,7\na,,8\n");
    wait_for([&] { return failures(engine) == 1; });
    push(engine, event());
    std::filesystem::remove(file);
    wait_for([&] { return failures(engine) == 2; });
    push(engine, event());
    CHECK(loads(engine) == 1);
    REQUIRE(engine.stop() == 0);
  }
  // Neither is a reason not to start while the log has a version.
  {
    EngineRun engine(plan_of(toml, data_dir), clock);
    CHECK(state(engine) == 1);
    push(engine, event());
    REQUIRE(engine.stop() == 0);
  }
  clock.advance(2 * kHour);
  write_file(file, "model,since,usd\na,,9\n");
  {
    EngineRun engine(plan_of(toml, data_dir), clock);
    wait_for([&] { return loads(engine) == 1; });
    push(engine, event());
    REQUIRE(engine.stop() == 0);
  }
  CHECK(rows_of(toml, data_dir) ==
        std::vector<std::string>{fmt::format("spent {} true 0 a 4 28 0 ", kBegin)});
}

TEST_CASE("an engine does not start without a table it has never seen", "[lookup]") {
  TemporaryDirectory directory;
  const std::string file = directory.file("prices.csv");
  app::TopologyOptions options;
  options.handle_signals = false;
  const ManualClock clock(kBegin);
  app::Topology topology(plan_of(toml_with(file, 1), directory.file("data")), options, clock);
  REQUIRE(topology.start().has_value());
  CHECK(topology.run() == 78);
}

// Joins in a running engine: the same rows for every number of lanes, every cut into batches and
// across restarts, and those that a join of another make has.
#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "app/recovery_support.h"
#include "base/time_format.h"
#include "support/catch.h"
#include "window/join_oracle.h"

namespace {

using namespace streamobs;           // NOLINT
using namespace streamobs::testing;  // NOLINT
using window_test::JoinedRow;
using window_test::JoinMoment;
using window_test::JoinOracle;
using window_test::JoinPromise;
using window_test::JoinRow;

constexpr Duration kLateness = 5 * kSecond;

std::string toml_of(const window::JoinOptions& join, int lanes, Duration lateness) {
  return fmt::format(
      R"toml(
lanes = {}
threads = 2
[http]
listen = "127.0.0.1:0"
[wal]
checkpoint_every = "1h"
[stream.asked]
time = "at"
id = "id"
idle_timeout = "1h"
fields = {{ id = "string", call = "string", who = "string", n = "int" }}
filter = "who <> 'nobody'"
derive = {{ twice = "2 * n" }}
[stream.answered]
time = "at"
idle_timeout = "1h"
fields = {{ ref = "string", n = "int" }}
[join.calls]
left = "asked"
right = "answered"
on = "call = ref"
within = "{}s"
hold = "{}s"
kind = "{}"
time = "{}"
match = "{}"
derive = {{ sum = "twice + coalesce(answered.n, 0)" }}
[window.per_ten]
from = "calls"
size = "10s"
by = ["who"]
allowed_lateness = "{}s"
emit_every = "50ms"
[window.per_ten.select]
calls = "count(*)"
answered = "count(answered.n)"
total = "sum(sum)"
)toml",
      lanes, join.within / kSecond, join.hold / kSecond, join.keep_left ? "left" : "inner",
      join.time == window::Side::left ? "left" : "right", join.one_to_one ? "one" : "all",
      lateness / kSecond);
}

/// An event, as the oracle and as the engine sees it.
struct Sent {
  JoinMoment moment;
  std::string line;
};

std::string who_of(std::int64_t number) {
  return number % 11 == 0 ? "nobody" : fmt::format("w{}", number % 3);
}

/// Of both streams in one course of time and out of order, or each in order at its own pace.
std::vector<Sent> draw_events(std::mt19937_64& random, bool in_order) {
  std::vector<Sent> all;
  std::vector<std::string> ids;
  Timestamp paces[2] = {kBegin, kBegin};
  const std::uint64_t keys = 2 + random() % 60;
  for (std::int64_t number = 0; number < 300; ++number) {
    const bool is_left = random() % 2 == 0;
    Timestamp& now = paces[in_order && !is_left ? 1 : 0];
    now += static_cast<Duration>(random() % (in_order ? 4 : 2)) * kSecond;
    JoinRow row;
    row.time = now - (in_order ? 0 : static_cast<Duration>(random() % 12) * kSecond);
    row.number = number;
    if (random() % 25 != 0) row.key = static_cast<std::int64_t>(random() % keys);
    const std::string key = row.key ? fmt::format("\"k{}\"", *row.key) : "null";
    Sent sent;
    if (is_left) {
      sent.moment.side = window::Side::left;
      std::string id = fmt::format("e{}", number);
      if (!ids.empty() && random() % 10 == 0) id = ids[random() % ids.size()];
      row.excluded = std::find(ids.begin(), ids.end(), id) != ids.end();
      row.filtered = number % 11 == 0;
      ids.push_back(id);
      sent.line = fmt::format(R"({{"at":"{}","id":"{}","call":{},"who":"{}","n":{}}})"
                              "\n",
                              to_rfc3339(row.time), id, key, who_of(number), number);
    } else {
      sent.moment.side = window::Side::right;
      sent.line = fmt::format(R"({{"at":"{}","ref":{},"n":{}}})"
                              "\n",
                              to_rfc3339(row.time), key, number);
    }
    sent.moment.row = row;
    all.push_back(std::move(sent));
  }
  // What closes everything before it.
  const Timestamp end = kBegin + kHour;
  for (const window::Side side : {window::Side::left, window::Side::right}) {
    Sent last;
    last.moment.side = side;
    last.moment.row = JoinRow{end, -1, 0, false, side == window::Side::left};
    const std::string rest = side == window::Side::left
                                 ? R"("id":"last","call":"last","who":"nobody","n":0)"
                                 : R"("ref":"last","n":0)";
    last.line = fmt::format(R"({{"at":"{}",{}}})", to_rfc3339(end), rest);
    all.push_back(std::move(last));
  }
  return all;
}

struct Wanted {
  std::vector<std::string> all;
  std::size_t joined = 0;
};

/// What a user must find of these rows and letters.
Wanted wanted_of(const std::vector<JoinedRow>& rows,
                 const std::vector<std::pair<window::Side, std::int64_t>>& alone,
                 Duration lateness) {
  struct Group {
    std::int64_t calls = 0;
    std::int64_t answered = 0;
    std::int64_t total = 0;
  };
  std::map<std::pair<Timestamp, std::string>, Group> groups;
  std::size_t late = 0;
  for (const JoinedRow& row : rows) {
    const Timestamp start = row.time - row.time % (10 * kSecond);
    if (start + 10 * kSecond + lateness <= row.watermark) {
      ++late;
      continue;
    }
    Group& group = groups[{start, who_of(row.left)}];
    ++group.calls;
    group.answered += row.right ? 1 : 0;
    group.total += 2 * row.left + row.right.value_or(0);
  }
  Wanted wanted;
  wanted.joined = rows.size();
  for (const auto& [key, group] : groups) {
    wanted.all.push_back(fmt::format("per_ten {} true 0 {} {} {} {} ", key.first, key.second,
                                     group.calls, group.answered, group.total));
  }
  std::map<std::string, std::size_t> letters;
  if (late != 0) letters["calls late"] = late;
  for (const auto& [side, number] : alone) {
    ++letters[side == window::Side::left ? "asked unmatched" : "answered unmatched"];
  }
  for (const auto& [what, count] : letters)
    wanted.all.push_back(fmt::format("dead {} {}", what, count));
  std::sort(wanted.all.begin(), wanted.all.end());
  return wanted;
}

Wanted wanted_of_oracle(const window::JoinOptions& options, const std::vector<Sent>& events) {
  JoinOracle oracle(options);
  std::map<std::size_t, Timestamp> newest;
  for (const Sent& sent : events) {
    JoinMoment before = sent.moment;
    const auto side = static_cast<std::size_t>(before.side);
    if (newest.contains(side)) before.watermark = newest[side];
    oracle.feed(before);
    newest[side] =
        std::max(newest.contains(side) ? newest[side] : kMinTimestamp, sent.moment.row->time);
    JoinMoment behind;
    behind.side = sent.moment.side;
    behind.watermark = newest[side];
    oracle.feed(behind);
  }
  return wanted_of(oracle.rows, oracle.letters, kLateness);
}

/// All events in their order, cut and interrupted as chance will have it.
void run(const std::string& data_dir, const window::JoinOptions& options,
         const std::vector<Sent>& events, std::mt19937_64& random, bool interrupted,
         Duration lateness = kLateness) {
  const ManualClock clock(kBegin + kHour);
  std::size_t i = 0;
  while (i < events.size()) {
    EngineRun engine(
        plan_of(toml_of(options, 1 + static_cast<int>(random() % 3), lateness), data_dir), clock);
    std::size_t left = interrupted ? 20 + random() % 150 : events.size();
    while (i < events.size() && left != 0) {
      const window::Side side = events[i].moment.side;
      std::string body;
      do {
        body += events[i].line;
        ++i;
        --left;
      } while (i < events.size() && left != 0 && events[i].moment.side == side &&
               random() % 4 != 0);
      const auto outcome = engine->push(static_cast<std::uint32_t>(side), body);
      REQUIRE(outcome.status == source::IngestOutcome::Status::taken);
    }
    REQUIRE(engine.stop() == 0);
    if (interrupted && i < events.size() && random() % 2 == 0) {
      lose_checkpoints(data_dir, random() % 2 == 0);
    }
  }
}

}  // namespace

TEST_CASE("joined rows are the same whatever the engine was through", "[join]") {
  const char* const more = std::getenv("STREAMOBS_RECOVERY_SEEDS");
  const std::uint64_t seeds = more == nullptr ? 6 : std::strtoull(more, nullptr, 10);
  std::size_t joined = 0;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    INFO("seed " << seed);
    std::mt19937_64 random(seed);
    window::JoinOptions options;
    options.within = (1 + static_cast<Duration>(random() % 30)) * kSecond;
    options.hold = random() % 2 == 0 ? options.within : 0;
    options.keep_left = random() % 2 == 0;
    options.time = static_cast<window::Side>(random() % 2);
    options.one_to_one = random() % 2 == 0;
    const std::vector<Sent> events = draw_events(random, false);
    const Wanted wanted = wanted_of_oracle(options, events);
    joined += wanted.joined;
    for (const bool interrupted : {false, true}) {
      TemporaryDirectory directory;
      const std::string data_dir = directory.file("data");
      run(data_dir, options, events, random, interrupted);
      const std::string toml = toml_of(options, 1, kLateness);
      REQUIRE(results(toml, data_dir) == wanted.all);
      if (!interrupted) continue;
      // From the log alone, too.
      std::filesystem::remove_all(data_dir + "/checkpoint");
      lose_database(data_dir);
      const ManualClock clock(kBegin + kHour);
      EngineRun engine(plan_of(toml, data_dir), clock);
      REQUIRE(engine.stop() == 0);
      REQUIRE(results(toml, data_dir) == wanted.all);
    }
  }
  CHECK(joined > seeds * 50);
}

TEST_CASE("every pair within the bound of streams in order is counted", "[join]") {
  std::size_t joined = 0;
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    INFO("seed " << seed);
    std::mt19937_64 random(seed);
    window::JoinOptions options;
    options.within = (5 + static_cast<Duration>(random() % 30)) * kSecond;
    options.hold = options.within;
    options.keep_left = random() % 2 == 0;
    options.time = static_cast<window::Side>(random() % 2);
    const std::vector<Sent> events = draw_events(random, true);
    // But for those that close the rest: they still wait.
    std::vector<JoinMoment> moments;
    for (const Sent& sent : events) moments.push_back(sent.moment);
    moments.resize(moments.size() - 2);
    const JoinPromise promise(options, moments);
    const Wanted wanted = wanted_of(promise.rows, promise.letters, 0);
    joined += wanted.joined;
    TemporaryDirectory directory;
    const std::string data_dir = directory.file("data");
    run(data_dir, options, events, random, true, 0);
    REQUIRE(results(toml_of(options, 1, 0), data_dir) == wanted.all);
  }
  CHECK(joined > 1'000);
}

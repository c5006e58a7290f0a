// Each verdict on both sides of its edge.
#include "health/quick_checks.h"

#include <string>
#include <utility>

#include "support/catch.h"

namespace {

using namespace streamobs;          // NOLINT
using namespace streamobs::health;  // NOLINT

constexpr Timestamp kNoon = 1'704'801'600 * kSecond;
constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

/// An engine that has been taking events for an hour, and is well.
Observation well() {
  Observation seen;
  seen.now = kNoon;
  seen.ready_at = kNoon - kHour;
  StreamSeen stream;
  stream.name = "requests";
  stream.newest_event_at = kNoon - kSecond;
  stream.watermark = kNoon - kSecond;
  stream.received = stream.accepted = 1'000;
  seen.streams = {stream};
  seen.channels = {{"decode", "sequence", 0}, {"fan_out", "store", 0}};
  seen.has_rules = true;
  seen.detection = {10, 0, 0};
  seen.narration = {10, 0, 0};
  seen.store.transactions = 5;
  seen.store.tidied_at = kNoon - kMinute;
  seen.disk.path = "/data";
  seen.disk.bytes = 100 * kGiB;
  seen.disk.free_bytes = 50 * kGiB;
  return seen;
}

CheckResult find(const std::vector<CheckResult>& results, const std::string& check) {
  for (const CheckResult& result : results) {
    if (result.check == check) return result;
  }
  FAIL("there is no check " << check);
  return {};
}

CheckResult judge(const QuickChecks& checks, const Observation& seen, const std::string& check) {
  return find(checks.judge(seen), check);
}

State judged(const Observation& seen, const std::string& check, HealthOptions options = {}) {
  return judge(QuickChecks(std::move(options)), seen, check).state;
}

bool mentions(const std::string& text, const std::string& part) {
  INFO(text);
  return text.find(part) != std::string::npos;
}

TEST_CASE("of an engine that is well nothing warns", "[health]") {
  QuickChecks checks{HealthOptions()};
  Observation seen = well();
  for (int i = 0; i < 20; ++i) checks.look(seen);
  for (const CheckResult& result : checks.judge(seen)) {
    INFO(result.check << ": " << result.detail);
    CHECK(result.state == State::ok);
    CHECK(result.advice.empty());
    CHECK(result.checked_at == kNoon);
  }
}

TEST_CASE("freshness: the newest event is younger than the bound", "[health]") {
  Observation seen = well();
  seen.streams[0].newest_event_at = kNoon - 5 * kMinute + 1;
  CHECK(judged(seen, "freshness") == State::ok);
  seen.streams[0].newest_event_at = kNoon - 5 * kMinute;
  CHECK(judged(seen, "freshness") == State::failing);
  seen.streams[0].newest_event_at = kNoon + kMinute;
  CHECK(judged(seen, "freshness") == State::ok);

  HealthOptions options;
  options.streams["requests"].freshness = kHour;
  seen.streams[0].newest_event_at = kNoon - 30 * kMinute;
  CHECK(judged(seen, "freshness", options) == State::ok);
  options.streams["requests"].freshness = 0;
  const std::vector<CheckResult> none = QuickChecks(options).judge(seen);
  for (const CheckResult& result : none) CHECK(result.check != "freshness");
}

TEST_CASE("freshness: a stream without events is no failure, one whose events are refused is",
          "[health]") {
  Observation seen = well();
  seen.streams[0] = StreamSeen();
  seen.streams[0].name = "requests";
  CHECK(judged(seen, "freshness") == State::no_data);
  seen.streams[0].received = 3;
  const CheckResult refused = judge(QuickChecks({}), seen, "freshness");
  CHECK(refused.state == State::failing);
  CHECK(mentions(refused.detail, "3 events came since the start, and every one was refused"));
  CHECK(mentions(refused.advice, "stream=requests"));
}

TEST_CASE("freshness: after a start nobody has had the time to send", "[health]") {
  Observation seen = well();
  seen.streams[0].newest_event_at = kNoon - kDay;
  seen.streams[0].received = seen.streams[0].accepted = 0;
  seen.ready_at = kNoon - 5 * kMinute + 1;
  CHECK(judged(seen, "freshness") == State::no_data);
  seen.ready_at = kNoon - 5 * kMinute;
  CHECK(judged(seen, "freshness") == State::failing);
  // What has been read to its end stays as old as it is.
  seen.streams[0].input_over = true;
  CHECK(judged(seen, "freshness") == State::no_data);
}

TEST_CASE("freshness: silence is told from old events", "[health]") {
  QuickChecks checks{HealthOptions()};
  Observation seen = well();
  checks.begin_period(seen);
  seen.now += 5 * kMinute;
  CheckResult stale = judge(checks, seen, "freshness");
  CHECK(stale.state == State::failing);
  CHECK(mentions(stale.detail, "5 minutes 1 second old; nothing has come in 5 minutes"));
  CHECK(mentions(stale.advice, "[stream.requests] freshness"));
  CHECK(*stale.value == 301);
  CHECK(*stale.bound == 300);
  seen.streams[0].received += 7;
  seen.streams[0].accepted += 7;
  CHECK(mentions(judge(checks, seen, "freshness").detail, "7 events came in 5 minutes, with old"));
  seen.streams[0].accepted -= 7;
  CHECK(mentions(judge(checks, seen, "freshness").detail, "every one was refused"));
}

TEST_CASE("watermark: event time keeps up with the newest event", "[health]") {
  Observation seen = well();
  seen.streams[0].newest_event_at = kNoon;
  seen.streams[0].watermark = kNoon - 5 * kMinute + 1;
  CHECK(judged(seen, "watermark") == State::ok);
  seen.streams[0].watermark = kNoon - 5 * kMinute;
  const CheckResult behind = judge(QuickChecks({}), seen, "watermark");
  CHECK(behind.state == State::warning);
  CHECK(mentions(behind.detail, "5 minutes behind the newest event, and its windows wait"));
  seen.streams[0].watermark = kNoon + kHour;
  CHECK(judged(seen, "watermark") == State::ok);
  seen.streams[0].watermark.reset();
  CHECK(judged(seen, "watermark") == State::no_data);
}

TEST_CASE("before it takes events the engine only says so", "[health]") {
  Observation seen = well();
  seen.ready_at = 0;
  seen.not_ready = "recovering, 45 %";
  const std::vector<CheckResult> results = QuickChecks({}).judge(seen);
  REQUIRE(results.size() == 2);
  CHECK(results[0].check == "engine");
  CHECK(results[0].state == State::warning);
  CHECK(results[0].detail == "recovering, 45 %");
  CHECK(results[1].check == "disk");
  seen.ready_at = kNoon - kHour;
  CHECK(judged(seen, "engine") == State::failing);
}

SourceSeen topic(std::uint64_t messages, std::uint64_t behind) {
  SourceSeen source;
  source.name = "orders";
  source.has_backlog = true;
  source.messages = messages;
  source.behind = behind;
  source.partitions = 1;
  source.brokers.up = 1;
  return source;
}

TEST_CASE("source: what waits is measured by the pace of reading", "[health]") {
  QuickChecks checks{HealthOptions()};
  Observation seen = well();
  seen.sources = {topic(1'000, 0)};
  CHECK(judged(seen, "source") == State::ok);
  seen.sources = {topic(1'000, 50)};
  CHECK(judged(seen, "source") == State::no_data);  // Nobody knows how fast yet.
  checks.begin_period(seen);
  seen.now += 5 * kMinute;
  // 300 in 300 seconds: 59 that wait are 59 seconds, a second below the bound.
  seen.sources = {topic(1'300, 59)};
  CHECK(judge(checks, seen, "source").state == State::ok);
  CHECK(*judge(checks, seen, "source").value == 59);
  seen.sources = {topic(1'300, 60)};
  CHECK(judge(checks, seen, "source").state == State::warning);
  seen.sources = {topic(1'300, 599)};
  CHECK(judge(checks, seen, "source").state == State::warning);
  seen.sources = {topic(1'300, 600)};
  CHECK(judge(checks, seen, "source").state == State::failing);
  seen.sources = {topic(1'000, 600)};
  const CheckResult none = judge(checks, seen, "source");
  CHECK(none.state == State::failing);
  CHECK(mentions(none.detail, "600 messages wait, and none was read in 5 minutes"));
}

TEST_CASE("source: what has just come may wait, and a group may have no turn for it", "[health]") {
  QuickChecks checks{HealthOptions()};
  Observation seen = well();
  seen.sources = {topic(1'000, 0)};
  checks.begin_period(seen);
  seen.now += 5 * kMinute;
  seen.sources = {topic(1'000, 5)};
  CHECK(judge(checks, seen, "source").state == State::warning);
  seen.sources[0].waits_for_group = true;
  CHECK(judge(checks, seen, "source").state == State::warning);
  seen.sources[0].state = SourceSeen::State::failed;
  CHECK(judge(checks, seen, "source").state == State::failing);
  seen.sources[0].state = SourceSeen::State::ended;
  CHECK(judge(checks, seen, "source").state == State::ok);
}

TEST_CASE("source: one that cannot reach its brokers, or finds nothing, does not pass for well",
          "[health]") {
  QuickChecks checks{HealthOptions()};
  Observation seen = well();
  SourceSeen source = topic(0, 0);
  source.partitions = 0;
  source.brokers.up = std::nullopt;
  seen.sources = {source};
  CHECK(judge(checks, seen, "source").state == State::no_data);  // It looks for its topics.
  seen.sources[0].brokers.up = 0;
  seen.sources[0].brokers.trouble = "Authentication failed";
  seen.sources[0].brokers.advice = "check the password";
  seen.sources[0].brokers.trouble_at = seen.now;
  const CheckResult refused = judge(checks, seen, "source");
  CHECK(refused.state == State::warning);
  CHECK(mentions(refused.detail, "Authentication failed"));
  CHECK(refused.advice == "Check the password");
  // Still so at the next check.
  checks.begin_period(seen);
  seen.now += 5 * kMinute;
  CHECK(judge(checks, seen, "source").state == State::failing);
  // It had read all there was, and then they went.
  seen.sources = {topic(10, 0)};
  CHECK(judge(checks, seen, "source").state == State::ok);
  seen.sources[0].brokers.up = 0;
  CHECK(judge(checks, seen, "source").state == State::failing);
}

TEST_CASE("sink: what cannot be delivered is known before there is something to deliver",
          "[health]") {
  QuickChecks checks{HealthOptions()};
  Observation seen = well();
  SinkSeen sink;
  sink.name = "out";
  sink.brokers.up = 0;  // Let go for idleness, for all we know.
  seen.sinks = {sink};
  CHECK(judge(checks, seen, "sink").state == State::ok);
  seen.sinks[0].brokers.trouble = "Broker transport failure";
  seen.sinks[0].brokers.trouble_at = seen.now;
  CHECK(judge(checks, seen, "sink").state == State::warning);
  seen.sinks[0].brokers.up = 1;
  CHECK(judge(checks, seen, "sink").state == State::ok);
}

TEST_CASE("a look just after the last one counts from the one before", "[health]") {
  QuickChecks checks{HealthOptions()};
  Observation seen = well();
  seen.sources = {topic(1'000, 60)};
  checks.begin_period(seen);
  seen.now += 5 * kMinute;
  seen.sources = {topic(1'300, 30)};
  checks.begin_period(seen);
  seen.now += kSecond;
  CHECK(judge(checks, seen, "source").state == State::ok);
  CHECK(*judge(checks, seen, "source").value == Approx(30.1));
}

TEST_CASE("backlog: a channel that is full again and again, the last of them is the cause",
          "[health]") {
  QuickChecks checks{HealthOptions()};
  Observation seen = well();
  CHECK(judge(checks, seen, "backlog").state == State::no_data);
  for (int i = 0; i < 100; ++i) {
    seen.channels[0].fill = i < 80 ? 1 : 0;
    seen.channels[1].fill = i < 50 ? 0.9 : 0.89;
    checks.look(seen);
  }
  const CheckResult full = judge(checks, seen, "backlog");
  CHECK(full.state == State::warning);
  CHECK(*full.value == Approx(0.8));
  CHECK(mentions(full.detail, "from fan_out to store was full in 50 % of 100 looks"));
  // A new period forgets it.
  checks.begin_period(seen);
  seen.now += 5 * kMinute;
  seen.channels[0].fill = seen.channels[1].fill = 0;
  for (int i = 0; i < 10; ++i) checks.look(seen);
  CHECK(judge(checks, seen, "backlog").state == State::ok);
  seen.channels[0].fill = 1;
  for (int i = 0; i < 9; ++i) checks.look(seen);
  CHECK(judge(checks, seen, "backlog").state == State::ok);
  for (int i = 0; i < 81; ++i) checks.look(seen);
  CHECK(judge(checks, seen, "backlog").state == State::failing);
}

TEST_CASE("backlog: also where periods are shorter than what it takes to tell", "[health]") {
  HealthOptions options;
  options.quick_every = kSecond;
  QuickChecks checks{options};
  Observation seen = well();
  seen.channels[0].fill = 1;
  const auto second = [&] {
    seen.now += kSecond;
    checks.look(seen);
    const State state = judge(checks, seen, "backlog").state;
    checks.begin_period(seen);
    return state;
  };
  for (int i = 1; i < 10; ++i) CHECK(second() == State::no_data);
  for (int i = 0; i < 30; ++i) CHECK(second() == State::failing);
  // What was is forgotten after twice that.
  seen.channels[0].fill = 0;
  for (int i = 0; i < 20; ++i) second();
  for (int i = 0; i < 30; ++i) CHECK(second() == State::ok);
}

TEST_CASE("progress: whoever has work does some of it within lag", "[health]") {
  QuickChecks checks{HealthOptions()};
  Observation seen = well();
  seen.work = {{"the log", "look at its disk", 10, true}, {"the store", "see store", 10, true}};
  const auto pass = [&](int seconds, bool log_moves, bool store_moves) {
    for (int i = 0; i < seconds; ++i) {
      seen.now += kSecond;
      if (log_moves) ++seen.work[0].done;
      if (store_moves) ++seen.work[1].done;
      checks.look(seen);
    }
    return judge(checks, seen, "progress");
  };
  CHECK(pass(300, true, true).state == State::ok);
  // 60 s from the look that first saw it stand.
  CHECK(pass(60, true, false).state == State::ok);
  const CheckResult stands = pass(1, true, false);
  CHECK(stands.state == State::failing);
  CHECK(mentions(stands.detail, "the store has work and has done none of it for 1 minute"));
  CHECK(stands.advice == "see store");
  CHECK(*stands.value == 60);
  CHECK(*stands.bound == 60);
  // Those before it come to stand, too: it stays the cause.
  CHECK(mentions(pass(100, false, false).detail, "the store has work"));
  CHECK(pass(1, false, true).state == State::failing);
  CHECK(mentions(judge(checks, seen, "progress").detail, "the log has work"));
  CHECK(pass(1, true, true).state == State::ok);
  // Nothing to do is no standstill, however long.
  seen.work[0].waits = seen.work[1].waits = false;
  CHECK(pass(1'000, false, false).state == State::ok);
  // And what begins to wait then has its time from then on.
  seen.work[1].waits = true;
  CHECK(pass(60, false, false).state == State::ok);
  CHECK(pass(1, false, false).state == State::failing);
}

TEST_CASE("progress: nobody knows what was while nobody looked", "[health]") {
  HealthOptions options;
  options.lag = kSecond;
  QuickChecks checks{options};
  Observation seen = well();
  seen.work = {{"the store", "", 10, true}};
  const auto look = [&](Duration later) {
    seen.now += later;
    checks.look(seen);
    return judge(checks, seen, "progress").state;
  };
  look(kSecond);
  look(kSecond);  // It stands, as far as one can tell between two looks.
  // The machine slept for an hour with something on its way.
  CHECK(look(kHour) == State::ok);
  // However short the lag, less than this is nothing.
  for (Duration passed = kSecond; passed < QuickChecks::kStandsMin; passed += kSecond) {
    CHECK(look(kSecond) == State::ok);
  }
  CHECK(look(kSecond) == State::failing);
  // A clock that is set back begins anew.
  CHECK(look(-kHour) == State::ok);
}

TEST_CASE("progress: before the engine takes events there is none to judge", "[health]") {
  Observation seen = well();
  seen.ready_at = 0;
  for (const CheckResult& result : QuickChecks({}).judge(seen)) CHECK(result.check != "progress");
}

TEST_CASE("detection and narration: alive unless they have work and do none", "[health]") {
  QuickChecks checks{HealthOptions()};
  Observation seen = well();
  seen.detection.input_fill = 0.1;
  checks.look(seen);
  checks.look(seen);
  for (Duration passed = kSecond; passed < QuickChecks::kStill; passed += kSecond) {
    seen.now += kSecond;
    checks.look(seen);
  }
  seen.now += kSecond - 1;
  CHECK(judge(checks, seen, "detection").state == State::ok);
  seen.now += 1;
  CHECK(judge(checks, seen, "detection").state == State::failing);
  CHECK(judge(checks, seen, "narration").state == State::ok);
  // It waits for the next one: not its own fault.
  seen.detection.output_fill = 1;
  CHECK(judge(checks, seen, "detection").state == State::warning);
  seen.detection.output_fill = 0;
  seen.detection.records += 1;
  checks.look(seen);
  CHECK(judge(checks, seen, "detection").state == State::ok);
  seen.has_rules = false;
  CHECK(judge(checks, seen, "detection").state == State::no_data);
}

TEST_CASE("store: held up, or with rows and no commit", "[health]") {
  QuickChecks checks{HealthOptions()};
  Observation seen = well();
  seen.store.rows_waiting = 3;
  checks.look(seen);
  checks.look(seen);
  seen.now += kMinute - 1;
  CHECK(judge(checks, seen, "store").state == State::ok);
  seen.now += 1;
  CHECK(judge(checks, seen, "store").state == State::failing);
  seen.store.transactions += 1;
  checks.look(seen);
  CHECK(judge(checks, seen, "store").state == State::ok);
  seen.store.checkpoints_failed = 1;
  CHECK(judge(checks, seen, "store").state == State::warning);
  seen.store.held_up = "the store cannot take results";
  CHECK(judge(checks, seen, "store").state == State::failing);
  CHECK(judge(checks, seen, "store").detail == "the store cannot take results");
}

TEST_CASE("clean-up: what is too old was removed not long ago", "[health]") {
  Observation seen = well();
  seen.store.tidied_at = kNoon - QuickChecks::kUntidy + 1;
  CHECK(judged(seen, "clean_up") == State::ok);
  seen.store.tidied_at = kNoon - QuickChecks::kUntidy;
  CHECK(judged(seen, "clean_up") == State::failing);
  seen.store.tidied_at = 0;
  seen.ready_at = kNoon - kMinute;
  CHECK(judged(seen, "clean_up") == State::ok);
}

TEST_CASE("sink: delivered in time, or late, or given up", "[health]") {
  QuickChecks checks{HealthOptions()};
  Observation seen = well();
  SinkSeen sink;
  sink.name = "out";
  sink.rows_waiting = 2;
  const auto with_age = [&](Duration age) {
    sink.oldest_at = kNoon - age;
    seen.sinks = {sink};
    return judge(checks, seen, "sink").state;
  };
  CHECK(with_age(kMinute - 1) == State::ok);
  CHECK(with_age(kMinute) == State::warning);
  CHECK(with_age(10 * kMinute - 1) == State::warning);
  CHECK(with_age(10 * kMinute) == State::failing);
  CHECK(with_age(0) == State::ok);
  seen.sinks[0].dropped = 4;
  CHECK(judge(checks, seen, "sink").state == State::failing);
  checks.begin_period(seen);
  seen.now += 5 * kMinute;
  seen.sinks[0].oldest_at.reset();
  CHECK(judge(checks, seen, "sink").state == State::ok);
  seen.sinks[0].stopped = true;
  CHECK(judge(checks, seen, "sink").state == State::failing);
}

TEST_CASE("look-up tables: a bad file warns while an older version holds", "[health]") {
  Observation seen = well();
  seen.lookups = {{"prices", "", true}};
  CHECK(judged(seen, "lookup") == State::ok);
  seen.lookups[0].error = "line 3: no number";
  CHECK(judged(seen, "lookup") == State::warning);
  seen.lookups[0].loaded = false;
  CHECK(judged(seen, "lookup") == State::failing);
}

TEST_CASE("archive: rows can be written before they are removed", "[health]") {
  Observation seen = well();
  seen.archives = {{"per_minute raw", "/data/old", ""}};
  CHECK(judged(seen, "archive") == State::ok);
  seen.archives[0].error = "no such directory";
  CHECK(judged(seen, "archive") == State::failing);
}

TEST_CASE("disk: free space against the bound", "[health]") {
  Observation seen = well();
  seen.disk.free_bytes = 4 * kGiB;
  CHECK(judged(seen, "disk") == State::ok);
  seen.disk.free_bytes = 4 * kGiB - 1;
  CHECK(judged(seen, "disk") == State::warning);
  seen.disk.free_bytes = kGiB;
  CHECK(judged(seen, "disk") == State::warning);
  seen.disk.free_bytes = kGiB - 1;
  CHECK(judged(seen, "disk") == State::failing);
  seen.disk.free_bytes = 50 * kGiB;
  seen.disk.log_full = true;
  CHECK(judged(seen, "disk") == State::failing);
  seen.disk.log_full = false;
  seen.disk.free_bytes.reset();
  CHECK(judged(seen, "disk") == State::warning);
}

}  // namespace

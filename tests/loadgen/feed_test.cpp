#include "loadgen/feed.h"

#include "loadgen/outputs.h"
#include "loadgen/report.h"
#include "support.h"
#include "support/catch.h"

using namespace streamobs;
using namespace streamobs::loadgen;
using namespace streamobs::loadgen::test;

namespace {

std::uint64_t drain(Feed& feed, Timestamp now, std::string* text = nullptr) {
  std::vector<Lines> lines;
  std::uint64_t total = 0;
  while (const std::uint64_t count = feed.generate(7, now, lines)) total += count;
  if (text != nullptr) *text += lines[0].text;
  return total;
}

}  // namespace

TEST_CASE("a rate decides how many events are due") {
  const auto scenario = std::move(*make_scenario("services", {}));
  FeedPlan plan;
  plan.rate = plan.event_rate = 100;
  Feed feed(*scenario, plan, kStart);
  CHECK(drain(feed, kStart - 1) == 0);
  CHECK(drain(feed, kStart) == 1);
  CHECK(feed.due() == kStart + 10 * kMillisecond);
  CHECK(feed.due(9) == kStart + 100 * kMillisecond);
  CHECK(drain(feed, kStart + 999 * kMillisecond) == 99);
  CHECK(drain(feed, kStart + kSecond) == 1);
  CHECK(drain(feed, kStart + 11 * kSecond) == 1'000);
  CHECK(!feed.done(kStart + kHour));
}

TEST_CASE("a number of events ends the feed, and event times hang on the plan alone") {
  FeedPlan plan;
  plan.rate = 0;
  plan.event_rate = 50;
  plan.events = 1'000;
  plan.start = kStart;
  std::string texts[2];
  const Timestamp wall_starts[] = {kStart + kDay, kStart - 5 * kDay};
  for (int i = 0; i < 2; ++i) {
    const auto scenario = std::move(*make_scenario("services", {}));
    Feed feed(*scenario, plan, wall_starts[i]);
    CHECK(drain(feed, wall_starts[i], &texts[i]) == 1'000);
    CHECK(feed.done(wall_starts[i]));
  }
  CHECK(texts[0] == texts[1]);
  const auto lines = lines_of(texts[0]);
  CHECK(parse_time(field(lines.front(), "event_time")) == kStart);
  CHECK(parse_time(field(lines.back(), "event_time")) <= kStart + 20 * kSecond);
  CHECK(parse_time(field(lines.back(), "event_time")) >= kStart + 17 * kSecond);
}

TEST_CASE("without a start, a bounded run at full speed lies in the past") {
  const auto scenario = std::move(*make_scenario("services", {}));
  FeedPlan plan;
  plan.rate = 0;
  plan.event_rate = 10;
  plan.events = 600;
  Feed feed(*scenario, plan, kStart);
  std::string text;
  drain(feed, kStart, &text);
  for (const std::string& line : lines_of(text)) {
    const Timestamp t = parse_time(field(line, "event_time"));
    REQUIRE(t <= kStart);
    REQUIRE(t >= kStart - 61 * kSecond);
  }
}

TEST_CASE("an unbounded run at full speed takes its times from the wall clock, never backwards") {
  const auto scenario = std::move(*make_scenario("services", {}));
  FeedPlan plan;
  plan.rate = 0;
  plan.duration = 10 * kSecond;
  Feed feed(*scenario, plan, kStart);
  std::vector<Lines> lines;
  CHECK(feed.generate(100, kStart + 5 * kSecond, lines) == 100);
  CHECK(feed.generate(100, kStart + 2 * kSecond, lines) == 100);
  for (const std::string& line : lines_of(lines[0].text)) {
    CHECK(parse_time(field(line, "event_time")) == kStart + 5 * kSecond);
  }
  CHECK(feed.generate(100, kStart + 10 * kSecond, lines) == 0);
  CHECK(feed.done(kStart + 10 * kSecond));
}

TEST_CASE("quantiles of the latency histogram are within a step") {
  LatencyHistogram histogram;
  CHECK(histogram.quantile(0.5) == 0);
  for (Duration us = 1; us <= 100'000; ++us) histogram.record(us);
  CHECK(histogram.quantile(0.50) == Approx(50'000).epsilon(0.06));
  CHECK(histogram.quantile(0.99) == Approx(99'000).epsilon(0.06));
  histogram.record(kDay);  // Beyond the last step: kept in it.
  CHECK(histogram.count() == 100'001);
}

TEST_CASE("files of several streams get their streams' names") {
  CHECK(stream_path("out.ndjson", "llm_requests") == "out.llm_requests.ndjson");
  CHECK(stream_path("/tmp/a.b/out", "x") == "/tmp/a.b/out.x");
  CHECK(stream_path("./.hidden", "x") == "./.hidden.x");
}

TEST_CASE("targets are taken apart, and what we cannot do is refused") {
  const std::vector<StreamInfo> one = {{"requests", "/v1/events/requests"}};
  const std::vector<StreamInfo> two = {{"a", "/a"}, {"b", "/b"}};
  const auto plain = parse_target("http://127.0.0.1:8080", one);
  REQUIRE(plain.has_value());
  CHECK(plain->host == "127.0.0.1");
  CHECK(plain->port == "8080");
  CHECK(plain->paths == std::vector<std::string>{"/v1/events/requests"});
  const auto with_path = parse_target("http://localhost/v1/events/mine", one);
  REQUIRE(with_path.has_value());
  CHECK(with_path->port == "80");
  CHECK(with_path->paths == std::vector<std::string>{"/v1/events/mine"});
  const auto ipv6 = parse_target("http://[::1]:9000/", two);
  REQUIRE(ipv6.has_value());
  CHECK(ipv6->host == "::1");
  CHECK(ipv6->port == "9000");
  CHECK(ipv6->paths == std::vector<std::string>{"/a", "/b"});
  for (const char* bad : {"https://localhost", "localhost:8080", "http://", "http://:80",
                          "http://a:0", "http://a:x", "http://a:70000", "http://[::1:80",
                          "http://a/b c", "http://u@a", "http://a/?q", "http://a\r\n/"}) {
    CAPTURE(bad);
    CHECK(parse_target(bad, one).has_error());
  }
  CHECK(parse_target("http://a/path", two).has_error());
}

TEST_CASE("loadgen: targets of Kafka") {
  const std::vector<StreamInfo> one = {{"requests", "/r"}};
  const std::vector<StreamInfo> two = {{"llm_requests", "/a"}, {"llm_responses", "/b"}};
  const auto plain = parse_kafka_target("kafka://localhost:9092", one);
  REQUIRE(plain.has_value());
  CHECK(plain->brokers == "localhost:9092");
  CHECK(plain->topics == std::vector<std::string>{"raw_events"});
  const auto several = parse_kafka_target("kafka://a:1,b:2/", two);
  REQUIRE(several.has_value());
  CHECK(several->brokers == "a:1,b:2");
  CHECK(several->topics == std::vector<std::string>{"llm.requests", "llm.responses"});
  const auto own = parse_kafka_target("kafka://a/my.topic-1", one);
  REQUIRE(own.has_value());
  CHECK(own->topics == std::vector<std::string>{"my.topic-1"});
  for (const char* bad : {"kafka://", "kafka:///t", "kafka:/a", "kafka", "kafka://a/b/c",
                          "kafka://u@a", "kafka://a b", "kafka://a/t?x"}) {
    CAPTURE(bad);
    CHECK(parse_kafka_target(bad, one).has_error());
  }
  CHECK(parse_kafka_target("kafka://a/topic", two).has_error());
}

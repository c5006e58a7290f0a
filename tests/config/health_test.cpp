// [health], and what a stream says for it.
#include "config/config.h"
#include "config/support.h"
#include "support/catch.h"

namespace streamobs::config {

TEST_CASE("the checks have defaults, and a stream may have its own") {
  const health::HealthOptions usual = parse_good(std::string(kMinimal)).health;
  CHECK(usual.quick_every == 5 * kMinute);
  CHECK(usual.deep_every == 6 * kHour);
  CHECK(usual.freshness_of("s") == 5 * kMinute);
  CHECK(usual.streams.empty());

  const health::HealthOptions own = parse_good(R"~(
[health]
quick_every = "1m"
deep_every = "1d"
freshness = "10m"
lag = "30s"
disk_free = "5GiB"
refused_max = 0.01
late_max = 1
unmatched_max = 0.5
[stream.a]
time = "t"
fields = { v = "float", "tags.region" = "string" }
freshness = "1h"
nulls_max = { v = 0.25, "tags.region" = 1 }
[stream.b]
time = "t"
freshness = false
[stream.c]
time = "t"
)~")
                                        .health;
  CHECK(own.quick_every == kMinute);
  CHECK(own.deep_every == kDay);
  CHECK(own.lag == 30 * kSecond);
  CHECK(own.disk_free_bytes == std::uint64_t{5} << 30);
  CHECK(own.refused_max == 0.01);
  CHECK(own.late_max == 1);
  CHECK(own.unmatched_max == 0.5);
  CHECK(own.freshness_of("a") == kHour);
  CHECK(own.freshness_of("b") == 0);
  CHECK(own.freshness_of("c") == 10 * kMinute);
  CHECK(own.streams.at("a").nulls_max.at("v") == 0.25);
  CHECK(own.streams.at("a").nulls_max.at("tags.region") == 1);
}

TEST_CASE("what is wrong with the checks' config is said with the way out") {
  const std::string stream = "[stream.s]\ntime = \"t\"\nfields = { v = \"float\" }\n";
  CHECK(mentions(messages(stream + "freshness = true\n"), "true does not say how old"));
  CHECK(mentions(messages(stream + "nulls_max = { w = 0.1 }\n"), "there is no field \"w\""));
  CHECK(mentions(messages(stream + "nulls_max = { v = 5 }\n"), "a share from 0 to 1"));
  CHECK(mentions(messages(stream + "nulls_max = 0.1\n"), "nulls_max = { latency_ms = 0.01 }"));
  CHECK(mentions(messages(stream + "[health]\nquick_every = \"1ms\"\n"), "quick_every"));
  CHECK(mentions(messages(stream + "[health]\nstale_after = \"1m\"\n"), "\"freshness\" here"));
  CHECK(mentions(messages(stream + "[checks]\n"), "[health]"));
}

}  // namespace streamobs::config

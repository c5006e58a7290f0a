// What --explain says of a config: each thing that decides something is in it, in words, and no
// secret is.
#include "app/explain.h"

#include <cstdlib>
#include <string>
#include <string_view>

#include "config/config.h"
#include "support/catch.h"

using namespace streamobs;

namespace {

/// On one line, as wrapping is not what a test is about.
std::string explained(const std::string& toml) {
  Diagnostics diagnostics;
  const auto plan = app::make_plan(config::read(toml, "obs.toml", diagnostics), diagnostics);
  INFO(config::to_text(diagnostics, false));
  REQUIRE(plan != nullptr);
  const std::string text = app::explain(*plan);
  CHECK(text.back() == '\n');
  std::string out;
  for (const char c : text) {
    const char flat = c == '\n' ? ' ' : c;
    if (flat != ' ' || (!out.empty() && out.back() != ' ')) out += flat;
  }
  return out;
}

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

constexpr std::string_view kStream = R"~(
[stream.requests]
time = "event_time"
fields = { event_time = "timestamp", service = "string", latency_ms = "float" }
required = ["service"]
)~";

}  // namespace

TEST_CASE("an explanation says what an event must have and what becomes of one that has not",
          "[app]") {
  const std::string plain = explained(std::string(kStream));
  CHECK(has(plain,
            "An event has a time, `event_time`, and service (string); it may have "
            "latency_ms (float)."));
  CHECK(has(plain, "more than 10 minutes ahead"));
  CHECK(has(plain, "What is sent twice counts twice"));
  CHECK(has(plain, "No window reads it"));
  CHECK(has(plain, "POST /v1/events/requests (JSON)"));
  const std::string more = explained(R"~(data_dir = "/var/lib/obs"
[http]
listen = "127.0.0.1:9000"
[wal]
durability = "interval"
sync_every = "50ms"
keep = { age = "1d", bytes = "1GB" }
[stream.requests]
time = "event_time"
fields = { id = "string", service = "string", latency_ms = "float" }
id = "id"
id_horizon = "2h"
filter = """service
   is not null"""
check = { positive = "latency_ms >= 0" }
derive = { slow = "latency_ms > 500" }
paths = ["/in"]
max_future = "1h"
)~");
  CHECK(has(more, "kept in /var/lib/obs:"));
  CHECK(has(more, "127.0.0.1:9000"));
  CHECK(has(more, "a power cut may cost the last"));
  CHECK(has(more, "the log is kept for 1 day and up to 1000 MB"));
  CHECK(has(more, "known again by id for 2 hours of event time"));
  CHECK(has(more, "Only events with service is not null are looked at"));
  CHECK(has(more, "fails \"positive\": latency_ms >= 0"));
  CHECK(has(more, "slow = latency_ms > 500"));
  CHECK(has(more, "or POST /in"));
  CHECK(has(more, "more than 1 hour ahead"));
}

TEST_CASE("an explanation says which templates are mined", "[app]") {
  const std::string stream = R"~(
[stream.logs]
time = "at"
fields = { message = "string" }
template = { from = "message", as = "kind")~";
  CHECK(has(explained(stream + ", max = 100, learn = \"1h\" }\n"),
            "Which kind of message it bears is kind (<*> stands for what varies), kind_id and "
            "kind_is_new; 100 kinds are known at a time, and none is called new within 1 hour "
            "of the first message."));
  CHECK(has(explained(stream + " }\n"), "kinds are known at a time."));
  CHECK_FALSE(has(explained(std::string(kStream)), "_is_new"));
}

TEST_CASE("an explanation says when windows close and how long rows are kept", "[app]") {
  const std::string text = explained(std::string(kStream) + R"~(
[window.tumbling]
size = "1m"
allowed_lateness = "10s"
by = { service = "lower(service)" }
where = "latency_ms > 0"
select = { n = "count(*)" }
keep = { raw = "7d", hourly = false, daily = false }
[window.hopping]
size = "5m"
hop = "1m"
select = { n = "count(*)" }
[window.visits]
gap = "30m"
by = ["service"]
select = { n = "count(*)" }
[window.days]
size = "1d"
timezone = "Europe/Berlin"
select = { n = "count(*)" }
)~");
  CHECK(has(text,
            "tumbling: of requests, for each minute and each service (= lower(service)), "
            "where latency_ms > 0"));
  CHECK(has(text, "passed its end by 10 seconds, or after 30 seconds without events"));
  CHECK(has(text, "kept for 7 days as they closed."));
  CHECK(has(text, "hopping: of requests, for each 5 minutes (a new one every minute)"));
  CHECK(has(text,
            "visits: of requests, for each session: events that follow one another within "
            "30 minutes and each service"));
  CHECK(has(text, "days: of requests, for each day of the calendar of Europe/Berlin"));
  CHECK(has(text, "90 days as they closed, 365 days merged to hours"));
  CHECK(has(text, "GET /api/v1/windows/hopping"));
}

TEST_CASE("an explanation says what rules and sinks do, and keeps secrets", "[app]") {
  ::setenv("STREAMOBS_EXPLAINED", "sesame-open-now-please", 1);
  const std::string text = explained(std::string(kStream) + R"~(
[http]
listen = "127.0.0.1:0"
token = "env:STREAMOBS_EXPLAINED"
[window.by_service]
size = "1m"
by = ["service"]
select = { n = "count(*)" }
[rule.surge]
on = "by_service"
when = "n > 3 * baseline(n, '1h')"
for = "2m"
severity = "high"
[sink.out]
type = "kafka"
brokers = "127.0.0.1:9092"
from = "by_service"
topic = "results"
required = true
[endpoint."GET /v1/counts"]
window = "by_service"
)~");
  CHECK(has(text, "surge (high): a closed row of by_service where n > 3 * baseline(n, '1h')"));
  CHECK(has(text, "must hold for 2 minutes"));
  CHECK(has(text, "says nothing before 5 windows"));
  CHECK(has(text, "out: by_service to Kafka's topic results at 127.0.0.1:9092"));
  CHECK(has(text, "256 MiB wait here; then ingest waits, too"));
  CHECK(has(text, "GET /v1/counts: rows of by_service"));
  CHECK(has(text, "for who has the token"));
  CHECK_FALSE(has(text, "sesame"));
}

TEST_CASE("an explanation says whose partitions a source reads, and where old rows go", "[app]") {
  const std::string text =
      explained("data_dir = \"/srv/obs\"\ninstance = \"left\"\n" + std::string(kStream) + R"~(
[source.in]
type = "kafka"
brokers = "127.0.0.1:9092"
topics = ["requests"]
group = "readers"
[window.by_service]
size = "1m"
by = ["service"]
select = { n = "count(*)" }
keep = { daily = false, archive = "old" }
[window.elsewhere]
size = "1d"
select = { n = "count(*)" }
keep = { archive = "/mnt/old" }
)~");
  CHECK(has(text, "those partitions that its consumer group readers gives this instance, left, "));
  CHECK(has(text, "each from where the group has read it up to, else from the first message"));
  CHECK(has(text, "/srv/obs/old/by_service/raw/YYYY-MM-DD.ndjson.gz, and so for hourly"));
  CHECK(has(text, "/mnt/old/elsewhere/raw/YYYY-MM-DD.ndjson.gz."));
}

TEST_CASE(
    "an explanation says what a message gives its events, and how long a join waits in silence",
    "[app]") {
  const std::string text = explained(R"~(
[source.in]
type = "kafka"
brokers = "127.0.0.1:9092"
topics = ["asked"]
stream = "asked"
fields = { id = "key", sent = "timestamp", trace = "header:trace-id" }
[stream.asked]
time = "t"
fields = { id = "string", sent = "timestamp", trace = "string" }
idle_timeout = "7s"
[stream.answered]
time = "t"
fields = { id = "string" }
idle_timeout = "4s"
[join.calls]
left = "asked"
right = "answered"
on = "id"
within = "1m"
[window.per_minute]
from = "calls"
size = "1m"
select = { n = "count(*)" }
[window.of_one]
from = "answered"
size = "1m"
select = { n = "count(*)" }
)~");
  CHECK(
      has(text,
          "Each event is given of its message its key as id, its timestamp as sent and its header "
          "trace-id as trace; one that has such a member itself is a dead letter."));
  CHECK(has(text.substr(text.find("per_minute: of calls")), "or after 7 seconds without events"));
  CHECK(has(text.substr(text.find("of_one: of answered")), "or after 4 seconds without events"));
}

TEST_CASE("the engine's checks are explained with their times and bounds", "[app]") {
  const std::string usual = explained(std::string(kStream));
  CHECK(has(usual, "Every 5 minutes: whether streams are fresh"));
  CHECK(has(usual, "requests is fresh while its newest event is less than 5 minutes old."));
  CHECK(has(usual, "Every 6 hours: null and unusual values"));
  CHECK(has(usual, "more than 5 % refused or 5 % late"));
  const std::string own = explained(std::string(kStream) +
                                    "freshness = false\nnulls_max = { latency_ms = 0.01 }\n"
                                    "[health]\nquick_every = \"1m\"\ndeep_every = \"1d\"\n");
  CHECK(has(own, "Every minute: whether"));
  CHECK(has(own, "Every day: null"));
  CHECK(has(own, "requests may be silent for as long as it likes."));
  CHECK(has(own, "Of requests, latency_ms may be null in 1 % of the events."));
}

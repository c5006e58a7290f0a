// What a tired user reads at three in the morning: typical mistakes and the whole of the answer.
// When a message changes on purpose, read the new one aloud before pasting it here.
#include <cstdlib>
#include <string>

#include "config/config.h"
#include "support/catch.h"

namespace streamobs::config {
namespace {

struct Mistake {
  const char* what;
  std::string toml;
  std::string answer;
};

const std::string kStream = R"~([stream.requests]
time = "event_time"
fields = { service = "string", latency_ms = "float" }
)~";
const std::string kWindow = R"~([window.service_metrics]
size = "1m"
by = ["service"]
select = { n = "count(*)" }
)~";

const Mistake kMistakes[] = {
    {"nothing in the file", "",
     R"~(obs.toml:1:1: error: no stream is declared: there is nothing to do
      hint: begin with [stream.NAME] and its time and fields; config/obs.toml is an example
)~"},
    {"a key of the top level misspelt",
     R"~(data_dri = "./data"
)~" + kStream +
         kWindow,
     R"~(obs.toml:1:1: error: unknown key "data_dri" at the top level
    1 | data_dri = "./data"
      | ^^^^^^^^
      hint: did you mean "data_dir"?
)~"},
    {"a section misspelt",
     R"~([htpp]
listen = "127.0.0.1:80"
)~" + kStream +
         kWindow,
     R"~(obs.toml:1:2: error: unknown key "htpp" at the top level
    1 | [htpp]
      |  ^^^^
      hint: did you mean "http"?
)~"},
    {"a duration without quotes", kStream + R"~([window.m]
size = 1m
select = { n = "count(*)" }
)~",
     R"~(obs.toml:5:8: error: 1m is not a number
    5 | size = 1m
      |        ^^
      hint: texts, durations and sizes go in quotes: size = "1m"
)~"},
    {"a duration without unit", kStream + R"~([window.m]
size = 60
select = { n = "count(*)" }
)~",
     R"~(obs.toml:5:8: error: size: a duration needs a unit
    5 | size = 60
      |        ^^
      hint: size = "60s" if you mean seconds; units are ms, s, m, h, d, w
)~"},
    {"a duration with a long unit", kStream + R"~([window.m]
size = "1 minute"
select = { n = "count(*)" }
)~",
     R"~(obs.toml:5:8: error: size: "1 minute" is not a duration
    5 | size = "1 minute"
      |        ^^^^^^^^^^
      hint: whole numbers with units, the largest first: "500ms", "10s", "1h30m", "7d"
)~"},
    {"no closing quote", kStream + R"~([window.m]
size = "1m
select = { n = "count(*)" }
)~",
     R"~(obs.toml:5:11: error: the text has no closing quote
    5 | size = "1m
      |           ^
      hint: close it on the same line; longer texts go between three quotes: """…"""
)~"},
    {"a table twice", kStream + kWindow + kWindow,
     R"~(obs.toml:8:1: error: the table window.service_metrics is there already, on line 4
    8 | [window.service_metrics]
      | ^^^^^^^^^^^^^^^^^^^^^^^^
      hint: TOML wants all keys of a table in one place: move them together, or rename one
)~"},
    {"a key twice", kStream + R"~([window.m]
size = "1m"
size = "5m"
select = { n = "count(*)" }
)~",
     R"~(obs.toml:6:1: error: "size" has a value already, on line 5
    6 | size = "5m"
      | ^^^^
      hint: remove one of the two
)~"},
    {"a sync_every that nobody waits for",
     R"~([wal]
sync_every = "1s"
)~" + kStream +
         kWindow,
     R"~(obs.toml:2:14: error: sync_every: means nothing where every acknowledgement waits for the disk
    2 | sync_every = "1s"
      |              ^^^^
      hint: remove it, or say durability = "interval" and read in docs/config.md what can be lost then
)~"},
    {"a log kept for a week without a bound",
     R"~([wal]
keep = { age = "7d" }
)~" + kStream +
         kWindow,
     R"~(obs.toml:2:8: error: [wal.keep] has no bytes
    2 | keep = { age = "7d" }
      |        ^^^^^^^^^^^^^^
      hint: how much of the disk may it take? keep = { age = "7d", bytes = "10GB" }
)~"},
    {"a log kept for a week, the short way",
     R"~([wal]
keep = "7d"
fsync = false
)~" + kStream +
         kWindow,
     R"~(obs.toml:2:8: error: keep: expected how long and how much, found the text "7d"
    2 | keep = "7d"
      |        ^^^^
      hint: keep = { age = "7d", bytes = "10GB" }
obs.toml:3:1: error: unknown key "fsync" in [wal]
    3 | fsync = false
      | ^^^^^
      hint: it is called "durability" here: "sync" or "interval"
)~"},
    {"an id that is no field", kStream + R"~(id = "sevice"
)~" + kWindow,
     R"~(obs.toml:4:6: error: id: there is no field "sevice"
    4 | id = "sevice"
      |      ^^^^^^^^
      hint: did you mean "service"?
)~"},
    {"an id that cannot be one", kStream + R"~(id = "latency_ms"
id_horizon = "5 minutes"
)~" + kWindow,
     R"~(obs.toml:4:6: error: id: latency_ms is a float
    4 | id = "latency_ms"
      |      ^^^^^^^^^^^^
      hint: an id is a string or an int
obs.toml:5:14: error: id_horizon: "5 minutes" is not a duration
    5 | id_horizon = "5 minutes"
      |              ^^^^^^^^^^^
      hint: whole numbers with units, the largest first: "500ms", "10s", "1h30m", "7d"
)~"},
    {"a horizon without an id, and what is kept in other words", kStream + R"~(max_ids = 5000
keep = "Raw"
)~" + kWindow,
     R"~(obs.toml:4:11: error: max_ids: means nothing without an id
    4 | max_ids = 5000
      |           ^^^^
      hint: which field tells events apart? id = "event_id"
obs.toml:5:8: error: keep: "Raw" is none of fields and raw
    5 | keep = "Raw"
      |        ^^^^^
      hint: did you mean "raw"?
)~"},
    {"an address for everybody",
     R"~([http]
listen = "0.0.0.0:8080"
)~" + kStream +
         kWindow,
     R"~(obs.toml:2:10: error: listen: 0.0.0.0 can be reached from other machines, and there is no token
    2 | listen = "0.0.0.0:8080"
      |          ^^^^^^^^^^^^^^
      hint: set token = "env:NAME" and insecure = true (there is no TLS yet), or listen on 127.0.0.1 behind a proxy
)~"},
    {"an address without port",
     R"~([http]
listen = "localhost"
)~" + kStream +
         kWindow,
     R"~(obs.toml:2:10: error: listen: "localhost" has no port
    2 | listen = "localhost"
      |          ^^^^^^^^^^^
      hint: for example "127.0.0.1:8080", "[::1]:8080" or "localhost:0"
)~"},
    {"a secret in the file",
     R"~([http]
token = "hunter2-hunter2-hunter2"
)~" + kStream +
         kWindow,
     R"~(obs.toml:2:9: error: token: a secret must not stand in the config
      hint: secrets come from the environment or from a file: "env:STREAMOBS_TOKEN" or "file:/run/secrets/token"
)~"},
    {"a secret under a misspelt key",
     R"~([http]
tokn = "hunter2-hunter2-hunter2"
)~" + kStream +
         kWindow,
     R"~(obs.toml:2:1: error: unknown key "tokn" in [http]
      hint: did you mean "token"?
obs.toml:2:8: error: token: a secret must not stand in the config
      hint: secrets come from the environment or from a file: "env:STREAMOBS_TOKEN" or "file:/run/secrets/token"
)~"},
    {"a secret that is not there",
     R"~([http]
token = "env:STREAMOBS_NO_SUCH_VARIABLE"
)~" + kStream +
         kWindow,
     R"~(obs.toml:2:9: error: token: the environment variable STREAMOBS_NO_SUCH_VARIABLE is not set
    2 | token = "env:STREAMOBS_NO_SUCH_VARIABLE"
      |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      hint: set it before the start: STREAMOBS_NO_SUCH_VARIABLE=… streamobs …
)~"},
    {"no limit",
     R"~([http]
body_bytes_max = 0
header_bytes_max = "8 megs"
connections_max = -1
)~" + kStream +
         kWindow,
     R"~(obs.toml:2:18: error: body_bytes_max: there must be a limit
    2 | body_bytes_max = 0
      |                  ^
      hint: from 1B to 1GiB
obs.toml:3:20: error: header_bytes_max: expected a number of bytes, found the text "8 megs"
    3 | header_bytes_max = "8 megs"
      |                    ^^^^^^^^
      hint: a whole number, or a text such as "64KB" or "8MiB"
obs.toml:4:19: error: connections_max: -1 is out of range
    4 | connections_max = -1
      |                   ^^
      hint: from 1 to 100000
)~"},
    {"an unknown type of field",
     R"~([stream.s]
time = "t"
fields = { latency_ms = "flaot", amount = "money" }
)~" + kWindow,
     R"~(obs.toml:3:25: error: field latency_ms: there is no type "flaot"
    3 | fields = { latency_ms = "flaot", amount = "money" }
      |                         ^^^^^^^
      hint: did you mean "float"? types are string, int, float, bool, decimal(2), timestamp and map
obs.toml:3:43: error: field amount: there is no type "money"
    3 | fields = { latency_ms = "flaot", amount = "money" }
      |                                           ^^^^^^^
      hint: types are string, int, float, bool, decimal(2), timestamp and map
)~"},
    {"a decimal with too many digits",
     R"~([stream.s]
time = "t"
fields = { amount = "decimal(20)" }
)~" + kWindow,
     R"~(obs.toml:3:21: error: field amount: a decimal has at most 18 digits after the point, not "decimal(20)"
    3 | fields = { amount = "decimal(20)" }
      |                     ^^^^^^^^^^^^^
      hint: decimal(0) to decimal(18), or numeric(p, 0) to numeric(p, 18)
)~"},
    {"a required field that is not declared",
     R"~([stream.s]
time = "t"
fields = { service = "string" }
required = ["servce"]
)~" + kWindow,
     R"~(obs.toml:4:14: error: required: there is no field "servce"
    4 | required = ["servce"]
      |              ^^^^^^
      hint: did you mean "service"?
)~"},
    {"no time",
     R"~([stream.s]
fields = { service = "string" }
)~" + kWindow,
     R"~(obs.toml:1:9: error: [stream.s] has no time
    1 | [stream.s]
      |         ^
      hint: which field says when the event happened? time = "timestamp"
)~"},
    {"a window of a stream that is not there", kStream + R"~([window.m]
from = "request"
size = "1m"
select = { n = "count(*)" }
)~",
     R"~(obs.toml:5:9: error: from: there is no stream "request"
    5 | from = "request"
      |         ^^^^^^^
      hint: did you mean "requests"?
)~"},
    {"a key without brackets", kStream + R"~([window.m]
size = "1m"
by = "service"
select = { n = "count(*)" }
)~",
     R"~(obs.toml:6:6: error: by: expected a list of keys, found the text "service"
    6 | by = "service"
      |      ^^^^^^^^^
      hint: write by = ["service"]
)~"},
    {"a key that is an expression", kStream + R"~([window.m]
size = "1m"
by = ["lower(service)"]
select = { n = "count(*)" }
)~",
     R"~(obs.toml:6:8: error: by: "lower(service)" cannot name a column
    6 | by = ["lower(service)"]
      |        ^^^^^^^^^^^^^^
      hint: give it a name: by = { my_key = "lower(service)" }
)~"},
    {"a window's name that SQL does not take", kStream + R"~([window.service-metrics]
size = "1m"
select = { n = "count(*)" }
)~",
     R"~(obs.toml:4:9: error: "service-metrics" cannot name a window
    4 | [window.service-metrics]
      |         ^^^^^^^^^^^^^^^
      hint: its results are an SQL view of this name: use letters, digits and _, and begin with a letter
)~"},
    {"a hopping window", kStream + R"~([window.m]
size = "1m"
slide = "10s"
select = { n = "count(*)" }
)~",
     R"~(obs.toml:6:1: error: unknown key "slide" in [window.m]
    6 | slide = "10s"
      | ^^^^^
      hint: it is called "hop" here: hop = "10s"
)~"},
    {"a session that is a window of one length as well", kStream + R"~([window.m]
gap = "30m"
size = "1m"
late = "update"
select = { n = "count(*)" }
)~",
     R"~(obs.toml:6:8: error: size: a session has a gap and no size
    6 | size = "1m"
      |        ^^^^
      hint: cut_every ends sessions at full hours, say; or remove gap for windows of one length
obs.toml:7:8: error: late: sessions are not corrected once they have closed
    7 | late = "update"
      |        ^^^^^^^^
      hint: one late event may join two of them, and rows would have to be taken back; allowed_lateness keeps sessions open for longer
)~"},
    {"sessions that cannot be cut so, and windows that are none", kStream + R"~([window.m]
gap = "30m"
cut_every = "30m"
select = { n = "count(*)" }
[window.n]
size = "1h"
cut_every = "1d"
select = { n = "count(*)" }
[window.o]
gap = "8000024us"
cut_every = "16000049us"
select = { n = "count(*)" }
)~",
     R"~(obs.toml:6:13: error: cut_every: sessions would be cut before they could end by their gap
    6 | cut_every = "30m"
      |             ^^^^^
      hint: make it longer than the gap, or use size in place of both
obs.toml:10:13: error: cut_every: only sessions are cut
   10 | cut_every = "1d"
      |             ^^^^
      hint: remove it, or take gap in place of size
obs.toml:14:13: error: cut_every: it cannot be divided evenly into parts of an eighth of the gap
   14 | cut_every = "16000049us"
      |             ^^^^^^^^^^^^
      hint: choose a rounder one, as "1h" or "1d"
)~"},
    {"correcting for what, or for how long", kStream + R"~([window.m]
size = "1m"
correct_for = "2h"
select = { n = "count(*)" }
[window.n]
size = "1m"
late = "update"
correct_for = "20d"
select = { n = "count(*)" }
)~",
     R"~(obs.toml:6:15: error: correct_for: closed windows are corrected only with late = "update"
    6 | correct_for = "2h"
      |               ^^^^
      hint: add late = "update", or remove it
obs.toml:11:15: error: correct_for: with allowed_lateness this is 28800 windows long: as many would be in memory at a time
   11 | correct_for = "20d"
      |               ^^^^^
      hint: at most 10000 times the size; make the windows longer, or correct for less
)~"},
    {"the names of other products", kStream + R"~([window.m]
size = "1m"
group_by = ["service"]
lateness = "10s"
metrics = { n = "count(*)" }
)~",
     R"~(obs.toml:6:1: error: unknown key "group_by" in [window.m]
    6 | group_by = ["service"]
      | ^^^^^^^^
      hint: it is called "by" here
obs.toml:7:1: error: unknown key "lateness" in [window.m]
    7 | lateness = "10s"
      | ^^^^^^^^
      hint: did you mean "allowed_lateness"?
obs.toml:8:1: error: unknown key "metrics" in [window.m]
    8 | metrics = { n = "count(*)" }
      | ^^^^^^^
      hint: it is called "select" here
)~"},
    {"a rule on a window that is not there", kStream + kWindow + R"~([rule.r]
on = "service_metric"
when = "n > 1"
severity = "urgent"
)~",
     R"~(obs.toml:9:7: error: on: there is no window "service_metric"
    9 | on = "service_metric"
      |       ^^^^^^^^^^^^^^
      hint: did you mean "service_metrics"?
obs.toml:11:12: error: severity: "urgent" is none of low, medium, high and critical
   11 | severity = "urgent"
      |            ^^^^^^^^
)~"},
    {"a rule without condition", kStream + kWindow + R"~([rule.r]
on = "service_metrics"
)~",
     R"~(obs.toml:8:7: error: [rule.r] has no when
    8 | [rule.r]
      |       ^
      hint: what is an anomaly? when = "error_rate > 0.05"
)~"},
    {"a topic as it is not written, and http as a source",
     R"~([source.k]
type = "kafka"
topics = ["a b"]
options = { "sasl.password" = "hunter2" }
[source.h]
type = "http"
)~" + kStream +
         kWindow,
     R"~(obs.toml:1:9: error: [source.k] has no brokers
    1 | [source.k]
      |         ^
      hint: brokers = "localhost:9092"
obs.toml:3:12: error: topics: "a b" is no name of a topic
    3 | topics = ["a b"]
      |            ^^^
      hint: letters, digits, ".", "_" and "-", at most 249; * and ? stand for others
obs.toml:4:31: error: options: "sasl.password": a secret must not stand in the config
      hint: secrets come from the environment or from a file: "env:KAFKA_PASSWORD" or "file:/run/secrets/kafka"
obs.toml:6:8: error: type: HTTP needs no source
    6 | type = "http"
      |        ^^^^^^
      hint: remove this table: every stream can be posted to, at /v1/events/STREAM
)~"},
    {"a source called as requests are", kStream + R"~([source.http]
type = "stdin"
)~",
     R"~(obs.toml:4:9: error: requests are called http where it says where events came from
    4 | [source.http]
      |         ^^^^
      hint: choose another name for this source
)~"},
    {"a source without name",
     R"~([source]
type = "demo"
rate = 10
)~" + kStream +
         kWindow,
     R"~(obs.toml:1:2: error: this source has no name
    1 | [source]
      |  ^^^^^^
      hint: give it one: [source.NAME], with a NAME of your choice
)~"},
    {"keys of another type of source",
     R"~([source.f]
type = "file"
path = "x.csv"
rate = 10
)~" + kStream +
         kWindow,
     R"~(obs.toml:4:8: error: rate: means nothing for a source of type file
    4 | rate = 10
      |        ^^
      hint: it is for demo sources; remove it, or change the type
)~"},
    {"paths that clash",
     R"~([stream.a]
time = "t"
paths = ["/in", "/api/v1/x"]
[stream.b]
time = "t"
paths = ["/in"]
[window.m]
from = "a"
size = "1m"
select = { n = "count(*)" }
)~",
     R"~(obs.toml:3:18: error: paths: /api belongs to the engine
    3 | paths = ["/in", "/api/v1/x"]
      |                  ^^^^^^^^^
      hint: choose a path outside of it; /v1/events/STREAM and /api/v1/windows/NAME are there anyway
obs.toml:6:11: error: paths: /in is taken by stream a
    6 | paths = ["/in"]
      |           ^^^
      hint: events of one path go to one stream
)~"},
    {"YAML's way",
     R"~(http:
  listen: "x"
)~",
     R"~(obs.toml:1:5: error: expected = after the key
    1 | http:
      |     ^
      hint: TOML writes [http] on a line of its own, and its keys below it
)~"},
    {"True",
     R"~([http]
insecure = True
)~" + kStream +
         kWindow,
     R"~(obs.toml:2:12: error: True is not TOML's way to write it
    2 | insecure = True
      |            ^^^^
      hint: write true, in lower case and without quotes
)~"},
    {"an expression without quotes", kStream + R"~([window.m]
size = "1m"
select = { n = count(*) }
)~",
     R"~(obs.toml:6:16: error: this is no value
    6 | select = { n = count(*) }
      |                ^
      hint: texts, durations, sizes and expressions go in quotes: "1m", "count(*)"
)~"},
};

}  // namespace

TEST_CASE("every typical mistake gets its answer") {
  ::unsetenv("STREAMOBS_NO_SUCH_VARIABLE");
  for (const Mistake& mistake : kMistakes) {
    INFO(mistake.what);
    Diagnostics diagnostics;
    const bool accepted = parse(mistake.toml, "obs.toml", diagnostics).has_value();
    CHECK(to_text(diagnostics, false) == mistake.answer);
    CHECK(accepted == (mistake.answer.find(": error: ") == std::string::npos));
  }
}

}  // namespace streamobs::config

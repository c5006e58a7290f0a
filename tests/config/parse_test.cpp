// From text to typed options: every key, every default.
#include <cstdlib>
#include <string>
#include <string_view>
#include <unistd.h>

#include "config/config.h"
#include "config/support.h"
#include "support/catch.h"

namespace streamobs::config {
TEST_CASE("rows are only merged to hours and days that they fill") {
  const auto keep_of = [](const std::string& length, const std::string& keep = "") {
    return parse_good(std::string(kMinimal) + "[window.w]\nfrom = \"s\"\n" + length +
                      "\nselect = { n = \"count(*)\" }\n" + keep)
        .store.keep.at("w");
  };
  CHECK(keep_of("size = \"5m\"").hourly == 365 * kDay);
  CHECK(keep_of("size = \"5m\"", "keep.hourly = false\n").hourly == 0);
  CHECK(keep_of("size = \"5m\"", "keep = { daily = \"30d\" }\n").daily == 30 * kDay);
  CHECK(keep_of("size = \"7m\"").hourly == 0);
  CHECK(keep_of("size = \"45m\"").daily == 1095 * kDay);
  CHECK(keep_of("size = \"1h\"").hourly == 0);
  CHECK(keep_of("gap = \"5m\"").daily == 0);
  CHECK(keep_of("gap = \"5m\"", "keep.raw = \"2d\"\n").raw == 2 * kDay);
  const auto said = [](const std::string& text) {
    return messages(std::string(kMinimal) + "[window.w]\nfrom = \"s\"\n" + text +
                    "\nselect = { n = \"count(*)\" }\n");
  };
  CHECK(mentions(said("size = \"7m\"\nkeep = { hourly = \"9d\" }"),
                 "hourly: a window of 7m does not fill an hour"));
  CHECK(mentions(said("size = \"1d\"\nkeep = { daily = \"9d\" }"), "a window of 1d does not fill"));
  CHECK(mentions(said("gap = \"5m\"\nkeep = { daily = \"9d\" }"), "daily: sessions do not fill"));
  CHECK(mentions(said("size = \"1m\"\nkeep = { daily = true }"), "true does not say for how long"));
}

TEST_CASE("rows are kept for as long as they are corrected") {
  const auto said = [](const std::string& text) {
    return messages(std::string(kMinimal) + "[window.w]\nfrom = \"s\"\nlate = \"update\"\n" + text +
                    "\nselect = { n = \"count(*)\" }\n");
  };
  const std::string four_days = "size = \"10m\"\ncorrect_for = \"4d\"\n";
  const std::string told = said(four_days + "keep = { raw = \"1d\", hourly = \"30d\" }");
  CHECK(mentions(told, "correct_for: rows would be corrected that are removed already"));
  CHECK(mentions(told, "keep = { raw = \"4d10m\" }"));
  CHECK(said(four_days + "keep = { raw = \"4d10m\" }").empty());
  CHECK(mentions(said(four_days + "allowed_lateness = \"1h\"\nkeep = { raw = \"4d10m\" }"),
                 "4d1h10m"));
  CHECK(said(four_days).empty());
  // An hour is what goes without saying.
  CHECK(said("size = \"1m\"\nkeep.raw = \"1d\"").empty());
  CHECK(mentions(said("size = \"1m\"\nkeep.raw = \"1h\""), "reaches back 1h1m"));
}

TEST_CASE("a config without http or data_dir is complete") {
  const Config config = parse_good(std::string(kMinimal));
  CHECK(config.data_dir == "./data");
  CHECK(config.store.path == "./data/streamobs.db");
  CHECK(config.threads == 0);
  CHECK(config.http.enabled);
  CHECK(config.http.listen.text == "127.0.0.1:8080");
  CHECK(config.http.token.empty());
  CHECK(config.http.body_bytes_max == 8u << 20);
  CHECK(config.streams.at(0).max_future == 10 * kMinute);
  CHECK(config.streams.at(0).timezone == "UTC");
  CHECK_FALSE(config.streams.at(0).keep_raw);
  CHECK(config.streams.at(0).id.empty());
  CHECK(config.wal.durability == wal::Durability::sync);
  CHECK(config.wal.keep_bytes == 0);
  CHECK(config.text == kMinimal);
}

TEST_CASE("what is kept of the log is bounded in bytes, and in time if it says so") {
  const std::string stream(kMinimal);
  const Config bytes = parse_good(stream + "[wal.keep]\nbytes = \"5GB\"\n");
  CHECK(bytes.wal.keep_bytes == 5'000'000'000);
  CHECK(bytes.wal.keep_age >= 365 * kDay);
  const Config both = parse_good(stream + "[wal]\nkeep.age = \"1d\"\nkeep.bytes = 1048576\n");
  CHECK(both.wal.keep_bytes == 1u << 20);
  CHECK(both.wal.keep_age == kDay);
}

TEST_CASE("all bodies together are at least one body") {
  const Config config = parse_good(std::string(kMinimal) + "[http]\nbody_bytes_max = \"512MiB\"\n");
  CHECK(config.http.all_bodies_bytes_max == 512u << 20);
}

TEST_CASE("with mistakes in some sections all of them are there to look further into") {
  const std::string toml = R"~(
[http]
listen = "nowhere"
[stream.good]
time = "t"
[stream.bad]
time = "t"
timezone = "Mars/Olympus"
[source.a]
type = "stdin"
stream = "good"
[source.b]
type = "demo"
stream = "bad"
[source.c]
type = "demo"
stream = "none"
[window.fine]
from = "good"
size = "1m"
select = { n = "count(*)" }
[window.broken]
from = "good"
size = "1m"
[window.of_bad]
from = "bad"
size = "1m"
select = { n = "count(*)" }
[rule.fine]
on = "fine"
when = "n > 1"
[rule.on_broken]
on = "broken"
when = "n > 1"
[rule.broken]
on = "fine"
[incidents]
evidence = ["fine", "broken", "nothing"]
)~";
  Diagnostics diagnostics;
  const Reading reading = read(toml, "test.toml", diagnostics);
  CHECK_FALSE(reading.complete);
  REQUIRE(reading.config.has_value());
  const auto names = [](const auto& all) {
    std::string text;
    for (const auto& one : all) text += one.name.text + " ";
    return text;
  };
  const Config& config = *reading.config;
  CHECK(names(config.streams) == "good bad ");
  CHECK(names(config.sources) == "a b c ");
  CHECK(names(config.windows) == "fine broken of_bad ");
  CHECK(names(config.rules) == "fine on_broken broken ");
  CHECK_FALSE(config.streams[0].mistaken);
  CHECK(config.streams[1].mistaken);
  CHECK_FALSE(config.streams[1].names_missing);
  CHECK_FALSE(config.windows[0].mistaken);
  CHECK(config.windows[1].mistaken);
  CHECK(config.windows[1].names_missing);
  CHECK_FALSE(config.windows[2].mistaken);
  // A name that is nobody's is not left to be complained about once more.
  REQUIRE(config.incidents.evidence.size() == 2);
  CHECK(config.incidents.evidence[1].text == "broken");
  CHECK(diagnostics.size() == 6);
  CHECK(std::is_sorted(diagnostics.begin(), diagnostics.end(),
                       [](const auto& a, const auto& b) { return a.place.line < b.place.line; }));
  Diagnostics again;
  CHECK_FALSE(parse(toml, "test.toml", again).has_value());
  CHECK(again.size() == 6);
  // Nothing at all where it is no TOML.
  CHECK_FALSE(read("[", "test.toml", again).config.has_value());
  // Nothing is missing where all is well.
  const Reading good = read(kMinimal, "test.toml", again);
  CHECK(good.complete);
  CHECK(good.config->streams.size() == 1);
}

TEST_CASE("a config of the past needs neither its secrets nor its address") {
  ::unsetenv("STREAMOBS_TEST_GONE");
  const std::string toml =
      "[http]\nlisten = \"0.0.0.0:80\"\ntoken = \"env:STREAMOBS_TEST_GONE\"\n" +
      std::string(kMinimal);
  Diagnostics diagnostics;
  CHECK_FALSE(parse(toml, "test.toml", diagnostics).has_value());
  diagnostics.clear();
  const auto past = parse_past(toml, "test.toml", diagnostics);
  REQUIRE(past.has_value());
  CHECK(past->streams.size() == 1);
  CHECK(past->text == toml);
  CHECK(diagnostics.empty());
  CHECK_FALSE(parse_past(toml + "typo = 1\n", "test.toml", diagnostics).has_value());
}

TEST_CASE("an access log's stream can have what the format has") {
  const std::string source = "[source.f]\ntype = \"file\"\npath = \"a\"\nformat = \"access_log\"\n";
  const std::string stream = "[stream.s]\ntime = \"time_local\"\n";
  parse_good(source + stream +
             "fields = { status = \"int\", ip = { type = \"string\", path = \"remote_addr\" }, "
             "who = { type = \"string\", aliases = [\"remote_user\"] } }\n");
  const std::string misspelt = messages(source + stream + "fields = { user_agnet = \"string\" }\n");
  CHECK(mentions(misspelt, "warning: fields: an access log has no user_agnet: it will be NULL"));
  CHECK(mentions(misspelt, "did you mean \"user_agent\"?"));
  const std::string required =
      messages(source + stream + "fields = { latency = \"float\" }\nrequired = [\"latency\"]\n");
  CHECK(mentions(required, "error: fields: an access log has no latency, so that every line"));
  CHECK(mentions(required, "it has remote_addr, ident"));
  const std::string time = messages(source + std::string(kMinimal));
  CHECK(mentions(time, "error: time: an access log has no t, so that every line"));
  // What another source may send is not for us to judge.
  parse_good(source + "[source.g]\ntype = \"file\"\npath = \"b\"\n" + std::string(kMinimal));
  CHECK(messages(source + "[source.g]\ntype = \"file\"\npath = \"b\"\n" + std::string(kMinimal)) ==
        "");
}

TEST_CASE("a stream says what its lines look like, and its sources may say otherwise") {
  const std::string sources =
      "[source.a]\ntype = \"file\"\npath = \"a\"\n"
      "[source.b]\ntype = \"file\"\npath = \"b\"\nformat = \"json\"\n"
      "[source.c]\ntype = \"kafka\"\nbrokers = \"x\"\ntopics = [\"t\"]\nformat = \"logfmt\"\n";
  const auto config = parse_good(sources +
                                 "[stream.s]\ntime = \"t\"\nfields = { m = \"string\" }\n"
                                 "format = \"pattern\"\npattern = '{t} {m}'\n");
  CHECK(config.streams[0].format == Format::pattern);
  REQUIRE(config.streams[0].patterns.size() == 1);
  CHECK(config.streams[0].patterns[0].text == "{t} {m}");
  CHECK(config.sources[0].format == Format::pattern);
  CHECK(config.sources[1].format == Format::json);
  CHECK(config.sources[2].format == Format::logfmt);
  const std::string of_lines = "[stream.s]\ntime = \"timestamp\"\nformat = ";
  CHECK(parse_good(of_lines + "\"pattern\"\npattern = ['{timestamp} {a}', '{timestamp}:{b}']\n")
            .streams[0]
            .patterns.size() == 2);
  parse_good(of_lines + "\"syslog\"\nfields = { sd.x.y = \"int\", app_name = \"string\" }\n");
}

TEST_CASE("what is wrong with formats of lines is told") {
  const std::string stream = "[stream.s]\ntime = \"t\"\n";
  CHECK(mentions(messages(stream + "format = \"syslgo\"\n"), "did you mean \"syslog\"?"));
  CHECK(mentions(messages(stream + "format = \"csv\"\n"), "so it is the format of a file"));
  CHECK(mentions(messages(stream + "format = \"pattern\"\n"), "pattern = '{timestamp} [{level}]"));
  CHECK(mentions(
      messages("[source.a]\ntype = \"file\"\npath = \"a\"\nformat = \"pattern\"\n" + stream),
      "[stream.s] has no pattern"));
  CHECK(mentions(messages("[source.a]\ntype = \"kafka\"\nbrokers = \"x\"\ntopics = [\"t\"]\n"
                          "format = \"csv\"\n" +
                          stream),
                 "so it cannot be CSV"));
  CHECK(mentions(messages("[source.a]\ntype = \"kafka\"\nbrokers = \"x\"\ntopics = [\"t\"]\n"
                          "format = \"logfmt\"\nfields = { k = \"key\" }\n" +
                          stream),
                 "a message of logfmt cannot be given further fields"));
  CHECK(mentions(messages(stream + "format = \"syslog\"\n"),
                 "time: a syslog line has no t, so that every line would be refused"));
  CHECK(mentions(messages(stream + "format = \"pattern\"\npattern = '{t} {m}'\n"
                                   "fields = { msg = \"string\" }\n"),
                 "warning: fields: the pattern has no msg: it will be NULL"));
}

TEST_CASE("every key reaches its option") {
  ::setenv("STREAMOBS_TEST_TOKEN", "0123456789abcdef0123", 1);
  const Config config = parse_good(R"~(
data_dir = "/var/lib/x/"
threads = 3
lanes = 2
[log]
level = "warn"
format = "json"
[http]
listen = "[::]:0"
token = "env:STREAMOBS_TEST_TOKEN"
insecure = true
allowed_hosts = ["obs.example.com"]
header_bytes_max = "16KiB"
header_timeout = "2s"
body_bytes_max = "1MB"
inflated_bytes_max = 3000000
all_bodies_bytes_max = "64MiB"
body_rate_min = 100
keep_alive_timeout = "1m30s"
connections_max = 10
live_connections_max = 4
[store]
rows_per_transaction = 50
busy_timeout = "3s"
keep_dead_letters = "2d"
keep_incidents = "30d"
[wal]
durability = "interval"
sync_every = "200ms"
checkpoint_every = "2m"
checkpoint_bytes = "1GiB"
keep = { age = "7d", bytes = "2TB" }
[incidents]
gap = "1m"
resolve_after = "2m"
evidence = ["fine"]
[source.f]
type = "file"
stream = "s"
format = "csv"
paths = ["a.csv", "b*.csv.gz"]
follow = true
[source.in]
type = "stdin"
format = "access_log"
[source.d]
type = "demo"
scenario = "logs"
rate = 2.5
seed = 7
anomaly_share = 0
history = "1h"
[stream.s]
time = "at"
fields = { a = "string", b = { type = "decimal(2)", path = "x.y", aliases = ["z"], required = true }, meta.id = "int", "tags" = "map" }
required = ["a", "at"]
derive = { c = "b * 2" }
filter = "b > 0"
check = { sane = "b < 9" }
timezone = "UTC"
max_future = "1h"
idle_timeout = "5s"
max_event_bytes = "64KB"
paths = ["/in/s"]
keep = "raw"
id = "meta.id"
id_horizon = "6h"
max_ids = 5000
[window.fine]
from = "s"
size = "1d"
timezone = "UTC"
by = { key = "lower(a)" }
where = "a <> ''"
select = { n = "count(*)", total = "sum(b)" }
allowed_lateness = "30s"
max_keys = 5
emit_every = "500ms"
[rule.r]
on = "fine"
when = "n > 5"
for = "2d"
severity = "critical"
metric = "n"
description = "too many: {n}"
warmup = 3
keep_firing_for = "1d"
)~");
  CHECK(config.data_dir == "/var/lib/x/");
  CHECK(config.store.path == "/var/lib/x/streamobs.db");
  CHECK(config.threads == 3);
  CHECK(config.lanes == 2);
  CHECK(config.log_level == log::Level::warn);
  CHECK(config.log_format == log::Format::json);

  CHECK(config.http.listen.text == "[::]:0");
  CHECK(config.http.token == "0123456789abcdef0123");
  CHECK(config.http.insecure);
  CHECK(config.http.allowed_hosts == std::vector<std::string>{"obs.example.com"});
  CHECK(config.http.header_bytes_max == 16384);
  CHECK(config.http.header_timeout == 2 * kSecond);
  CHECK(config.http.body_bytes_max == 1'000'000);
  CHECK(config.http.inflated_bytes_max == 3'000'000);
  CHECK(config.http.all_bodies_bytes_max == 64u << 20);
  CHECK(config.http.body_rate_min == 100);
  CHECK(config.http.keep_alive_timeout == 90 * kSecond);
  CHECK(config.http.connections_max == 10);
  CHECK(config.http.live_connections_max == 4);

  CHECK(config.store.rows_per_transaction == 50);
  CHECK(config.store.busy_timeout == 3 * kSecond);
  CHECK(config.store.keep_dead_letters == 2 * kDay);
  CHECK(config.store.keep_incidents == 30 * kDay);
  CHECK(config.wal.durability == wal::Durability::interval);
  CHECK(config.wal.sync_every == 200 * kMillisecond);
  CHECK(config.wal.checkpoint_every == 2 * kMinute);
  CHECK(config.wal.checkpoint_bytes == 1u << 30);
  CHECK(config.wal.keep_age == 7 * kDay);
  CHECK(config.wal.keep_bytes == 2'000'000'000'000);
  CHECK(config.incidents.gap == kMinute);
  CHECK(config.incidents.resolve_after == 2 * kMinute);
  CHECK(config.incidents.evidence.at(0).text == "fine");

  REQUIRE(config.sources.size() == 3);
  CHECK(config.sources[0].type == source::Type::file);
  CHECK(config.sources[0].format == Format::csv);
  CHECK(config.sources[0].follow);
  REQUIRE(config.sources[0].paths.size() == 2);
  CHECK(config.sources[0].paths[1].text == "b*.csv.gz");
  CHECK(config.sources[1].type == source::Type::standard_input);
  CHECK(config.sources[1].format == Format::access_log);
  CHECK(config.sources[1].stream.text == "s");
  CHECK(config.sources[2].scenario.text == "logs");
  CHECK(config.sources[2].rate == 2.5);
  CHECK(config.sources[2].seed == 7);
  CHECK(config.sources[2].anomaly_share == 0);
  CHECK(config.sources[2].history == kHour);

  const decode::StreamOptions& stream = config.streams.at(0);
  CHECK(stream.time.text == "at");
  REQUIRE(stream.fields.size() == 4);
  CHECK(stream.fields[0].required);
  CHECK(stream.fields[1].name.text == "b");
  CHECK(stream.fields[1].type == DataType{Kind::decimal, 2});
  CHECK(stream.fields[1].path == "x.y");
  CHECK(stream.fields[1].aliases == std::vector<std::string>{"z"});
  CHECK(stream.fields[1].required);
  CHECK(stream.fields[2].name.text == "meta.id");
  CHECK_FALSE(stream.fields[2].required);
  CHECK(stream.fields[3].type.kind == Kind::map);
  CHECK(stream.derive.at(0).name.text == "c");
  CHECK(stream.derive.at(0).expression.text == "b * 2");
  CHECK(stream.filter.text == "b > 0");
  CHECK(stream.checks.at(0).name.text == "sane");
  CHECK(stream.max_future == kHour);
  CHECK(stream.idle_timeout == 5 * kSecond);
  CHECK(stream.max_event_bytes == 64'000);
  CHECK(stream.paths.at(0).text == "/in/s");
  CHECK(stream.keep_raw);
  CHECK(stream.id.text == "meta.id");
  CHECK(stream.id_horizon == 6 * kHour);
  CHECK(stream.ids_max == 5'000);

  const window::WindowOptions& window = config.windows.at(0);
  CHECK(window.size == kDay);
  CHECK(window.size_text.text == "1d");
  CHECK(window.timezone == "UTC");
  CHECK(window.by.at(0).name.text == "key");
  CHECK(window.by.at(0).expression.text == "lower(a)");
  CHECK(window.where.text == "a <> ''");
  CHECK(window.select.at(1).expression.text == "sum(b)");
  CHECK(window.allowed_lateness == 30 * kSecond);
  CHECK(window.max_keys == 5);
  CHECK(window.emit_every == 500 * kMillisecond);

  const detect::RuleOptions& rule = config.rules.at(0);
  CHECK(rule.on.text == "fine");
  CHECK(rule.when.text == "n > 5");
  CHECK(rule.hold == 2 * kDay);
  CHECK(rule.severity == Severity::critical);
  CHECK(rule.metric.text == "n");
  CHECK(rule.description.text == "too many: {n}");
  CHECK(rule.warmup_windows == 3);
  CHECK(rule.keep_firing_for == kDay);
}

TEST_CASE("the only stream is meant where none is named") {
  const Config config = parse_good(
      "[stream.s]\ntime=\"t\"\n[source.d]\ntype=\"demo\"\n[window.w]\nsize=\"1m\"\n"
      "select={n=\"count(*)\"}\n");
  CHECK(config.sources.at(0).stream.text == "s");
  CHECK(config.windows.at(0).from.text == "s");
  CHECK(
      mentions(messages("[stream.a]\ntime=\"t\"\n[stream.b]\ntime=\"t\"\n[window.w]\nsize=\"1m\"\n"
                        "select={n=\"count(*)\"}\n"),
               "does not say which stream"));
}

TEST_CASE("early results can be switched off") {
  const std::string window =
      std::string(kMinimal) + "[window.w]\nsize=\"1m\"\nselect={n=\"count(*)\"}\nemit_every=";
  CHECK(parse_good(window + "false\n").windows.at(0).emit_every == 0);
  CHECK(parse_good(window + "\"0s\"\n").windows.at(0).emit_every == 0);
  CHECK(mentions(messages(window + "true\n"), "how often"));
  CHECK(mentions(messages(window + "\"1ms\"\n"), "a hundred times a second"));
}

TEST_CASE("so many windows may not wait for stragglers at a time") {
  const std::string window = std::string(kMinimal) +
                             "[window.w]\nsize=\"1s\"\nselect={n=\"count(*)\"}\n"
                             "allowed_lateness=";
  CHECK(parse_good(window + "\"2h\"\n").windows.at(0).allowed_lateness == 2 * kHour);
  CHECK(mentions(messages(window + "\"1d\"\n"), "86400 windows long"));
}

TEST_CASE("names that become part of SQL, addresses and labels are checked") {
  const auto window = [](const std::string& name) {
    return messages(std::string(kMinimal) + "[window." + name +
                    "]\nsize=\"1m\"\nselect={n=\"count(*)\"}\n");
  };
  CHECK(window("ok_1").empty());
  for (const char* name :
       {"anomalies", "Incidents", "dead_letters", "sqlite_x", "window_x", "streamobs_x"}) {
    INFO(name);
    CHECK(mentions(window(name), "for itself"));
  }
  for (const char* name : {"1st", "a-b", "\"a b\"", "\"\"", "\"a.b\"", "\"x'; drop table y\""}) {
    INFO(name);
    CHECK(mentions(window(name), "cannot name a window"));
  }
  CHECK(mentions(messages("[stream.\"a/b\"]\ntime=\"t\"\n"), "cannot name a stream"));
  const auto select = [](const std::string& columns) {
    return messages(std::string(kMinimal) + "[window.w]\nsize=\"1m\"\nby={k=\"a\"}\nselect={" +
                    columns + "}\n");
  };
  CHECK(mentions(select("window_start=\"min(a)\""), "already"));
  CHECK(mentions(select("K=\"count(*)\""), "already"));
  CHECK(mentions(select("n=\"count(*)\",N=\"count(*)\""), "already"));
  CHECK(mentions(select("\"a b\"=\"count(*)\""), "cannot name a column"));
  CHECK(mentions(messages(std::string(kMinimal) +
                          "[window.w]\nsize=\"1m\"\nselect={n=\"1\"}\n[window.W]\nsize=\"1m\"\n"
                          "select={n=\"1\"}\n"),
                 "there is a window W already"));
  CHECK(mentions(messages("[stream.s]\ntime=\"t\"\ncheck={late=\"a\"}\n"), "engine's own"));
  CHECK(mentions(messages("[stream.s]\ntime=\"t\"\nfields={a=\"int\"}\nderive={a=\"1\"}\n"),
                 "already"));
}

TEST_CASE("a file that cannot be read is an error with its name") {
  Diagnostics diagnostics;
  CHECK_FALSE(read_file("/nonexistent/obs.toml", diagnostics).config.has_value());
  CHECK(mentions(to_text(diagnostics, false), "/nonexistent/obs.toml: error: cannot read"));
  diagnostics.clear();
  CHECK_FALSE(read_file("/tmp", diagnostics).config.has_value());
  CHECK(mentions(to_text(diagnostics, false), "cannot read the config"));
}

}  // namespace streamobs::config

// All mistakes of a config in one round: none hides another, and none is told twice.
#include "app/plan.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "config/config.h"
#include "config/document.h"
#include "config/keys.h"
#include "support/catch.h"

using namespace streamobs;

namespace {

struct Verdict {
  bool good = false;
  Diagnostics errors;  ///< Without the warnings.
  std::string text;
};

Verdict check(const std::string& toml) {
  Diagnostics diagnostics;
  Verdict verdict;
  config::Reading reading = config::read(toml, "obs.toml", diagnostics);
  verdict.good = app::make_plan(std::move(reading), diagnostics) != nullptr;
  verdict.text = config::to_text(diagnostics, false);
  for (Diagnostic& d : diagnostics) {
    if (d.severity == Diagnostic::Severity::error) verdict.errors.push_back(std::move(d));
  }
  return verdict;
}

/// Each error as "line:column message".
std::vector<std::string> errors_of(const std::string& toml) {
  const Verdict verdict = check(toml);
  CHECK(verdict.good == verdict.errors.empty());
  std::vector<std::string> out;
  for (const Diagnostic& d : verdict.errors) {
    out.push_back(fmt::format("{}:{} {}", d.place.line, d.place.column, d.message));
  }
  return out;
}

using Strings = std::vector<std::string>;

/// Every kind of section and every key whose value can be wrong.
constexpr std::string_view kEverything = R"~(data_dir = "./data"
threads = 1
lanes = 1
[log]
level = "info"
format = "auto"
[http]
listen = "127.0.0.1:8080"
allowed_hosts = ["obs.example.com"]
body_bytes_max = "1MiB"
header_timeout = "10s"
connections_max = 200
[store]
busy_timeout = "1s"
keep_dead_letters = "7d"
[wal]
durability = "interval"
sync_every = "50ms"
checkpoint_every = "1m"
keep = { age = "1d", bytes = "1GB" }
[source.demo]
type = "demo"
stream = "requests"
rate = 10
[source.lines]
type = "stdin"
stream = "orders"
format = "csv"
[stream.requests]
time = "event_time"
id = "request_id"
id_horizon = "1h"
required = ["service"]
filter = "not slow or service is not null"
timezone = "Europe/Berlin"
max_future = "10m"
idle_timeout = "30s"
max_event_bytes = "1MiB"
paths = ["/in"]
[stream.requests.fields]
request_id = "string"
service = { type = "string", aliases = ["svc"] }
latency_ms = "float"
status = { type = "int", path = "response.status", required = true }
tags = "map"
[stream.requests.derive]
slow = "latency_ms > 500"
bad = "slow or status >= 500"
region = "coalesce(tags['region'], 'unknown')"
[stream.requests.check]
positive = "latency_ms >= 0"
[stream.orders]
time = "at"
fields = { at = "timestamp", amount = "decimal(2)", shop = "string" }
[window.by_service]
from = "requests"
size = "1m"
by = ["service", "region"]
where = "bad is not null"
allowed_lateness = "10s"
max_keys = 1000
emit_every = "1s"
[window.by_service.select]
n = "count(*)"
errors = "count(*) filter (where bad)"
error_rate = "errors / n"
p95 = "quantile(latency_ms, 0.95)"
[window.overall]
from = "requests"
size = "1m"
by = { service = "lower(service)" }
select = { n = "count(*)", mean = "avg(latency_ms)" }
[window.days]
from = "orders"
size = "1d"
timezone = "Europe/Berlin"
by = { shop = "shop" }
select = { total = "sum(amount)" }
[rule.surge]
on = "by_service"
when = "error_rate > 3 * baseline(error_rate, '1h') and n >= 20"
for = "1m"
severity = "high"
metric = "error_rate"
description = "{service} fails: {error_rate}"
warmup = 5
keep_firing_for = "5m"
[rule.poor]
on = "days"
when = "total < previous(total)"
[incidents]
gap = "5m"
resolve_after = "5m"
evidence = ["by_service"]
)~";

/// The presets and the one above.
std::vector<std::pair<std::string, std::string>> good_configs() {
  std::vector<std::pair<std::string, std::string>> all = {{"everything", std::string(kEverything)}};
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(STREAMOBS_SOURCE_DIR) + "/config")) {
    if (entry.path().extension() != ".toml") continue;
    std::ifstream in(entry.path());
    all.emplace_back(entry.path().filename().string(),
                     std::string(std::istreambuf_iterator<char>(in), {}));
  }
  std::sort(all.begin() + 1, all.end());
  return all;
}

/// One key or value of a config: where it stands and how it can be broken.
struct Site {
  std::string path;  ///< "window.by_service.select.n", list items as "…[]".
  bool is_key = false;
  std::uint32_t line = 0;
  std::size_t begin = 0;  ///< In the text.
  std::size_t end = 0;
};

class Sites {
 public:
  explicit Sites(const std::string& text) : text_(text) {
    Diagnostics ignored;
    const config::SourceFile file(text, "obs.toml");
    config::Report report(file, ignored);
    std::size_t begin = 0;
    for (std::size_t end = text.find('\n'); end != std::string::npos;
         end = text.find('\n', end + 1)) {
      lines_.push_back(begin);
      begin = end + 1;
    }
    lines_.push_back(begin);
    const std::optional<config::Value> root = config::parse_toml(file, text, report);
    REQUIRE(root);
    walk(*root, "");
  }
  const std::vector<Site>& all() const { return sites_; }

 private:
  /// Keys that a section knows, as against names the user chose.
  static bool is_known_key(std::string_view path) {
    const auto depth = std::count(path.begin(), path.end(), '.');
    for (const std::string_view named : {"source.", "stream.", "lookup.", "join.", "window.",
                                         "view.", "rule.", "sink.", "topic.", "endpoint."}) {
      if (path.starts_with(named) && depth == 1) return false;
    }
    for (const std::string_view names :
         {".fields.", ".columns.", ".derive.", ".check.", ".select.", ".by."}) {
      const std::size_t at = path.find(names);
      if (at == std::string_view::npos) continue;
      // The keys of a field that is a table.
      return names == ".fields." && path.find('.', at + names.size()) != std::string_view::npos &&
             path.find("metadata") == std::string_view::npos;
    }
    return true;
  }

  std::size_t offset(const config::Span& span) const {
    return lines_[span.line - 1] + span.column - 1;  // The configs' keys and values are ASCII.
  }

  std::size_t end_of_value(std::size_t begin) const {
    for (const std::string_view quotes : {"\"\"\"", "\""}) {
      if (text_.compare(begin, quotes.size(), quotes) != 0) continue;
      return text_.find(quotes, begin + quotes.size()) + quotes.size();
    }
    return text_.find_first_of(", }]\n", begin);
  }

  void walk(const config::Value& value, const std::string& path) {
    using Value = config::Value;
    if (value.kind == Value::Kind::table) {
      for (const config::Entry& entry : value.entries) {
        const std::string child = path.empty() ? entry.key : path + "." + entry.key;
        const std::size_t begin = offset(entry.key_span);
        if (is_known_key(child) && text_.compare(begin, entry.key.size(), entry.key) == 0) {
          sites_.push_back({child, true, entry.key_span.line, begin, begin + entry.key.size()});
        }
        walk(entry.value, child);
      }
    } else if (value.kind == Value::Kind::array) {
      for (const Value& item : value.items) walk(item, path + "[]");
    } else {
      const std::size_t begin = offset(value.span);
      sites_.push_back({path, false, value.span.line, begin, end_of_value(begin)});
    }
  }

  const std::string& text_;
  std::vector<std::size_t> lines_;
  std::vector<Site> sites_;
};

bool holds_any(std::string_view path, std::initializer_list<std::string_view> parts) {
  return std::any_of(parts.begin(), parts.end(), [&](std::string_view part) {
    return part.ends_with('.') ? path.find(part) != std::string_view::npos : path.ends_with(part);
  });
}

/// What makes exactly one mistake of a value.
Strings broken_values(const Site& site, std::string_view value) {
  const std::string_view path = site.path;
  Strings out;
  std::string inner;
  if (value.starts_with('"')) {
    const std::size_t quotes = value.starts_with("\"\"\"") ? 3 : 1;
    inner = value.substr(quotes, value.size() - 2 * quotes);
    std::replace(inner.begin(), inner.end(), '\n', ' ');
    out = {"true", "\"\""};
    if (path.find("bytes") == std::string_view::npos) out.emplace_back("17");
  } else {
    out = {"\"x\"", "[]"};
  }
  if (holds_any(path, {".derive.", ".check.", ".select.", ".by.", ".by[]", ".where", ".filter",
                       ".when"})) {
    out.push_back("\"" + inner + " +\"");
    out.push_back("\"no_such_function(" + inner + ")\"");
    if (!path.ends_with(".by[]")) out.push_back("\"(" + inner + ") || no_such_field_here\"");
  } else if (holds_any(path, {".fields."}) && !holds_any(path, {".path", ".aliases[]"}) &&
             value.starts_with('"')) {
    out.push_back("\"no_such_type\"");
  } else if (holds_any(path, {".from", ".on", ".stream", ".evidence[]", "evidence[]", ".metric",
                              ".severity", ".durability", ".level", ".required[]", ".type", ".id",
                              ".timezone", "size", "lateness", ".gap", ".for", "_every"})) {
    out.push_back("\"no such\"");
  } else if (path.ends_with(".description")) {
    out.push_back("\"" + inner + " {no_such}\"");
  }
  return out;
}

/// A text put in place of one site.
void expect_one_error(const std::string& text, const Site& site, const std::string& instead) {
  std::string broken = text;
  broken.replace(site.begin, site.end - site.begin, instead);
  const Verdict verdict = check(broken);
  INFO(site.path << (site.is_key ? " (the key)" : "") << " becomes " << instead << "\n"
                 << verdict.text);
  CHECK_FALSE(verdict.good);
  CHECK(verdict.errors.size() == 1);
  if (verdict.errors.size() != 1) return;
  CHECK(verdict.errors[0].place.line == site.line);
  CHECK(verdict.errors[0].place.column > 0);
}

}  // namespace

TEST_CASE("good configs give a plan without a word") {
  for (const auto& [name, text] : good_configs()) {
    INFO(name);
    CHECK(errors_of(text).empty());
  }
}

TEST_CASE("mistakes in every section are told in one round and in the file's order") {
  const std::string toml = R"~(threds = 2
[log]
level = "loud"
[source.demo]
type = "demo"
stream = "requests"
rate = "many"
[stream.requests]
time = "event_time"
filter = "slow and latency_ms > 'x'"
[stream.requests.fields]
service = "strng"
latency_ms = "float"
status = "int"
[stream.requests.derive]
slow = "latency_ms > "
twice = "2 * slow"
[stream.requests.check]
positive = "latency >= 0"
[window.m]
from = "requests"
size = "1 minute"
by = { service = "upper(service)", half = "status / service || latncy_ms" }
[window.m.select]
n = "cont(*)"
p95 = "quantile(latency_ms, 95)"
share = "p95 / n"
rate = "sum(status) + nothing"
ok = "count(*)"
[window.lost]
from = "request"
size = "1m"
select = { n = "count(*) + foo(1)", sum = "sum(anything)" }
[rule.a]
on = "m"
when = "rate > 2 and ok > baseline(ok, 'soon')"
metric = "share"
[rule.b]
on = "nowhere"
when = "n >"
[rule.c]
on = "lost"
when = "sum > 1 and nn > 2"
[incidents]
evidence = ["m", "x"]
gap = "5"
)~";
  const Verdict verdict = check(toml);
  CHECK_FALSE(verdict.good);
  INFO(verdict.text);
  CHECK(std::all_of(verdict.errors.begin(), verdict.errors.end(), [](const Diagnostic& d) {
    return d.place.file == "obs.toml" && !d.excerpt.empty();
  }));
  // Nothing of what follows from these: twice, share, the rate in rule a, all of lost's columns.
  CHECK(errors_of(toml) ==
        Strings{
            "1:1 unknown key \"threds\" at the top level",
            "3:9 level: \"loud\" is none of debug, info, warn and error",
            "7:8 rate: expected a number, found the text \"many\"",
            "10:20 cannot compare float with string",
            "12:11 field service: there is no type \"strng\"",
            "16:22 the expression ends here, but a value is missing",
            "19:13 there is no column latency",
            "22:8 size: \"1 minute\" is not a duration",
            "23:64 there is no column latncy_ms",
            "25:6 there is no aggregate function cont",
            "26:29 quantile of 95: expected a number from 0 to 1",
            "28:23 there is no column nothing",
            "31:9 from: there is no stream \"request\"",
            "33:28 there is no function foo",
            "36:40 'soon' is not a duration: a whole number was expected (write it as 90s, 1m, "
            "1h30m, 500ms or 7d)",
            "39:7 on: there is no window \"nowhere\"",
            "40:12 the expression ends here, but a value is missing",
            "43:21 there is no column nn",
            "45:14 incidents: window m explains no other window: none has part of its keys",
            "45:19 evidence: there is no window \"x\"",
            "46:7 gap: \"5\" is not a duration",
        });
}

TEST_CASE("one broken key or value is one error on its line") {
  for (const auto& [name, text] : good_configs()) {
    INFO(name);
    const Sites sites(text);
    CHECK(sites.all().size() > 10);
    for (const Site& site : sites.all()) {
      const std::string_view value =
          std::string_view(text).substr(site.begin, site.end - site.begin);
      if (site.is_key) {
        expect_one_error(text, site, std::string(value) + "x");
        continue;
      }
      for (const std::string& instead : broken_values(site, value)) {
        expect_one_error(text, site, instead);
      }
    }
  }
}

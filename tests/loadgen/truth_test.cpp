// The truth file is held against a second computation from the events that were written, which
// shares nothing with the first.
#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "base/time_format.h"
#include "loadgen/cli.h"
#include "loadgen/outputs.h"
#include "support.h"
#include "support/catch.h"

using namespace streamobs;
using namespace streamobs::loadgen;
using namespace streamobs::loadgen::test;

namespace {

struct Group {
  std::uint64_t count = 0;
  std::uint64_t errors = 0;
  std::map<std::string, std::vector<double>> values;
};
using Groups = std::map<std::string, Group>;  // By "window start|key|key".

std::string group_name(Timestamp t, const std::vector<std::string>& keys) {
  std::string name = to_rfc3339(t - t % kMinute);
  for (const std::string& key : keys) name += "|" + key;
  return name;
}

void run_to(const std::string& scenario, const std::string& file, const std::string& truth) {
  LoadgenOptions options;
  options.scenario = scenario;
  options.seed = 7;
  options.file = file;
  options.truth_file = truth;
  options.rate = 0;
  options.events = 30'000;
  options.start = kStart;
  options.quiet = true;
  REQUIRE(run(options) == 0);
}

/// Each row of the truth file against the group recomputed.
void compare(const std::string& truth_path, const std::vector<std::string>& key_names,
             Groups groups, bool has_errors) {
  const std::string truth = read_file(truth_path);
  CHECK(truth.ends_with("}\n"));
  std::size_t rows = 0;
  for (const std::string& line : lines_of(truth)) {
    if (!line.starts_with("{\"window_start\"")) continue;
    ++rows;
    std::vector<std::string> keys;
    for (const std::string& name : key_names) keys.push_back(field(line, name));
    const std::string start = field(line, "window_start");
    const std::string name = group_name(parse_time(start), keys);
    CAPTURE(name);
    REQUIRE(groups.count(name) == 1);
    Group& group = groups[name];
    CHECK(field(line, "count") == std::to_string(group.count));
    if (has_errors) CHECK(field(line, "errors") == std::to_string(group.errors));
    for (auto& [value_name, values] : group.values) {
      const std::size_t at = line.find("\"values\":");
      const std::string summary = line.substr(line.find("\"" + value_name + "\":", at));
      std::sort(values.begin(), values.end());
      double sum = 0;
      for (const double value : values) sum += value;
      const auto rank = [&](double q) {
        return values[static_cast<std::size_t>(
            std::floor(q * static_cast<double>(values.size() - 1)))];
      };
      CHECK(std::stod(field(summary, "sum")) == Approx(sum).epsilon(1e-12));
      CHECK(std::stod(field(summary, "min")) == values.front());
      CHECK(std::stod(field(summary, "max")) == values.back());
      CHECK(std::stod(field(summary, "p50")) == rank(0.50));
      CHECK(std::stod(field(summary, "p95")) == rank(0.95));
      CHECK(std::stod(field(summary, "p99")) == rank(0.99));
    }
    groups.erase(name);
  }
  CHECK(rows > 100);
  CHECK(groups.empty());
}

}  // namespace

TEST_CASE("truth of services equals a recomputation") {
  const TempDir dir;
  run_to("services", dir / "events.ndjson", dir / "truth.json");
  Groups groups;
  for (const std::string& line : lines_of(read_file(dir / "events.ndjson"))) {
    Group& group =
        groups[group_name(parse_time(field(line, "event_time")), {field(line, "service")})];
    ++group.count;
    group.errors += std::stoi(field(line, "status_code")) >= 500;
    group.values["latency_ms"].push_back(std::stod(field(line, "latency_ms")));
  }
  compare(dir / "truth.json", {"service"}, groups, true);
  CHECK(read_file(dir / "truth.json").find("\"generated\":{\"requests\":30000}") !=
        std::string::npos);
}

TEST_CASE("truth of transactions equals a recomputation") {
  const TempDir dir;
  run_to("transactions", dir / "events.ndjson", dir / "truth.json");
  Groups groups;
  for (const std::string& line : lines_of(read_file(dir / "events.ndjson"))) {
    Group& group =
        groups[group_name(parse_time(field(line, "timestamp")), {field(line, "product_category")})];
    ++group.count;
    group.values["amount"].push_back(std::stod(field(line, "amount")));
  }
  compare(dir / "truth.json", {"category"}, groups, false);
}

TEST_CASE("truth of metrics equals a recomputation") {
  const TempDir dir;
  run_to("metrics", dir / "events.ndjson", dir / "truth.json");
  Groups groups;
  for (const std::string& line : lines_of(read_file(dir / "events.ndjson"))) {
    const Timestamp t = std::stoll(field(line, "timestamp")) * kMillisecond;
    Group& group = groups[group_name(t, {field(line, "serviceId"), field(line, "metricName")})];
    ++group.count;
    group.values["value"].push_back(std::stod(field(line, "value")));
  }
  compare(dir / "truth.json", {"service_id", "metric_name"}, groups, false);
}

TEST_CASE("truth of logs counts normalised levels") {
  const TempDir dir;
  run_to("logs", dir / "events.ndjson", dir / "truth.json");
  const std::map<std::string, std::string> normalised = {
      {"DEBUG", "DEBUG"}, {"debug", "DEBUG"},  {"7", "DEBUG"},     {"INFO", "INFO"},
      {"info", "INFO"},   {"6", "INFO"},       {"WARN", "WARN"},   {"WARNING", "WARN"},
      {"4", "WARN"},      {"warning", "WARN"}, {"ERROR", "ERROR"}, {"error", "ERROR"},
      {"3", "ERROR"}};
  Groups groups;
  for (const std::string& line : lines_of(read_file(dir / "events.ndjson"))) {
    const std::string level = normalised.at(field(line, "level"));
    ++groups[group_name(parse_time(field(line, "timestamp")), {field(line, "service"), level})]
          .count;
  }
  compare(dir / "truth.json", {"service", "level"}, groups, false);
}

TEST_CASE("truth of llm is that of the joined calls, by the response's time") {
  const TempDir dir;
  run_to("llm", dir / "events.ndjson", dir / "truth.json");
  std::map<std::string, std::string> requests;
  for (const std::string& line : lines_of(read_file(dir / "events.llm_requests.ndjson"))) {
    requests[field(line, "request_id")] = line;
  }
  Groups groups;
  for (const std::string& line : lines_of(read_file(dir / "events.llm_responses.ndjson"))) {
    const std::string& request = requests.at(field(line, "request_id"));
    Group& group = groups[group_name(
        parse_time(field(line, "timestamp")),
        {field(request, "tenant_id"), field(request, "route"), field(request, "model")})];
    ++group.count;
    group.errors += field(line, "error") != "null";
    group.values["latency_ms"].push_back(std::stod(field(line, "latency_ms")));
    group.values["prompt_tokens"].push_back(std::stod(field(request, "prompt_tokens")));
    group.values["completion_tokens"].push_back(std::stod(field(line, "completion_tokens")));
  }
  compare(dir / "truth.json", {"tenant_id", "route", "model"}, groups, true);
}

TEST_CASE("injected surges are there in the written events") {
  const TempDir dir;
  run_to("services", dir / "events.ndjson", dir / "truth.json");
  const std::string truth = read_file(dir / "truth.json");
  std::size_t at = truth.find("\"anomalies\":");
  int surges = 0;
  while ((at = truth.find("{\"kind\":\"error_surge\"", at)) != std::string::npos) {
    const std::string anomaly = truth.substr(at, truth.find("\"events\"", at) + 20 - at);
    ++at;
    ++surges;
    const auto time_of = [&](const char* name) {
      std::string text = field(anomaly, name);  // Trailing zeros of the fraction are left out.
      if (text.size() == 20) text.insert(19, ".000");
      while (text.size() < 24) text.insert(text.size() - 1, "0");
      return parse_time(text);
    };
    const Timestamp from = time_of("from");
    const Timestamp to = time_of("to");
    int events = 0;
    int errors = 0;
    for (const std::string& line : lines_of(read_file(dir / "events.ndjson"))) {
      const Timestamp t = parse_time(field(line, "event_time"));
      if (t < from || t >= to || field(line, "service") != field(anomaly, "service")) continue;
      ++events;
      errors += std::stoi(field(line, "status_code")) >= 500;
    }
    CHECK(field(anomaly, "events") == std::to_string(events));
    CHECK(std::stod(field(anomaly, "observed")) == Approx(static_cast<double>(errors) / events));
  }
  CHECK(surges > 0);
}

#include "loadgen/scenario.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include <fmt/format.h>

#include "base/hash.h"
#include "support.h"
#include "support/catch.h"

using namespace streamobs;
using namespace streamobs::loadgen;
using namespace streamobs::loadgen::test;

namespace {

std::unique_ptr<Scenario> scenario(std::string_view name, const ScenarioOptions& options = {}) {
  auto made = make_scenario(name, options);
  REQUIRE(made.has_value());
  return std::move(*made);
}

}  // namespace

TEST_CASE("the same seed gives the same bytes, another seed others") {
  for (const std::string_view name : scenario_names()) {
    CAPTURE(name);
    ScenarioOptions other_seed;
    other_seed.seed = 2;
    ScenarioOptions with_truth;
    with_truth.with_truth = true;
    const auto first = generate(*scenario(name), 5'000);
    const auto second = generate(*scenario(name), 5'000);
    const auto truthful = generate(*scenario(name, with_truth), 5'000);
    const auto other = generate(*scenario(name, other_seed), 5'000);
    for (std::size_t i = 0; i < first.size(); ++i) {
      CHECK(first[i].text == second[i].text);
      CHECK(first[i].text == truthful[i].text);
      CHECK(first[i].text != other[i].text);
      CHECK(first[i].events == lines_of(first[i].text).size());
    }
  }
}

TEST_CASE("with another start events have other ids") {
  const std::map<std::string, std::string> id_fields = {
      {"transactions", "transaction_id"}, {"metrics", "eventId"}, {"llm", "request_id"}};
  for (const auto& [name, id] : id_fields) {
    CAPTURE(name);
    std::set<std::string> seen;
    for (const Timestamp start : {kStart, kStart + kHour}) {
      std::set<std::string> ids;
      const auto run = generate(*scenario(name), 50, 10, start);
      for (const std::string& line : lines_of(run[0].text)) ids.insert(field(line, id));
      CHECK(ids.size() >= 25);
      for (const std::string& one : ids) CHECK(seen.insert(one).second);
    }
  }
}

TEST_CASE("the bytes of seed 1 are what they were") {
  // Benchmarks and recorded results hang on them: change these numbers only on purpose.
  const std::map<std::string_view, std::uint64_t> hashes = {{"services", 0x5e2ed6c9b9b3c3c0},
                                                            {"transactions", 0xdd91dc2439375642},
                                                            {"metrics", 0x1ae67c8955c4f3cf},
                                                            {"logs", 0xa4706e64f2d108},
                                                            {"llm", 0xcb42e42caffd6ac7}};
  for (const auto& [name, expected] : hashes) {
    std::string all;
    for (const Lines& lines : generate(*scenario(name), 20'000)) all += lines.text;
    CAPTURE(name);
    CHECK(fmt::format("{:#x}", hash_bytes(all)) == fmt::format("{:#x}", expected));
  }
}

TEST_CASE("unknown scenarios and options out of range are refused in words") {
  const auto unknown = make_scenario("servces", {});
  REQUIRE(unknown.has_error());
  CHECK(unknown.error().code == ErrorCode::invalid);
  CHECK(unknown.error().message.find("services, transactions") != std::string::npos);
  ScenarioOptions options;
  options.anomaly_share = 0.5;
  CHECK(make_scenario("services", options).has_error());
  options.anomaly_share = std::nan("");
  CHECK(make_scenario("services", options).has_error());
  options.anomaly_share = 0;
  options.keys = kKeysMax + 1;
  CHECK(make_scenario("services", options).has_error());
}

TEST_CASE("events are a little out of order, never older than two seconds nor than the start") {
  const auto lines = lines_of(generate(*scenario("services"), 20'000)[0].text);
  REQUIRE(lines.size() == 20'000);
  std::size_t out_of_order = 0;
  Timestamp newest = 0;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const Timestamp sent = kStart + static_cast<Timestamp>(i) * 100 * kMillisecond;
    const Timestamp t = parse_time(field(lines[i], "event_time"));
    REQUIRE(t <= sent);
    REQUIRE(t >= sent - kMaxDelay);
    REQUIRE(t >= kStart);
    out_of_order += t < newest;
    newest = std::max(newest, t);
  }
  CHECK(out_of_order > 500);
  CHECK(out_of_order < 8'000);
}

TEST_CASE("services: quiet times stay well under the rules' thresholds") {
  ScenarioOptions quiet;
  quiet.anomaly_share = 0;
  const auto lines = lines_of(generate(*scenario("services", quiet), 60'000)[0].text);
  std::map<std::string, std::vector<double>> latencies;
  std::map<std::string, int> errors;
  std::set<std::string> endpoints;
  for (const std::string& line : lines) {
    const std::string service = field(line, "service");
    latencies[service].push_back(std::stod(field(line, "latency_ms")));
    errors[service] += std::stoi(field(line, "status_code")) >= 500;
    endpoints.insert(service + field(line, "endpoint"));
  }
  REQUIRE(latencies.size() == 3);
  CHECK(latencies.count("checkout") + latencies.count("payments") + latencies.count("search") == 3);
  CHECK(endpoints.size() == 9);
  for (auto& [service, values] : latencies) {
    CAPTURE(service);
    std::sort(values.begin(), values.end());
    CHECK(values[values.size() * 95 / 100] < 300);
    CHECK(values.size() > 12'000);
    CHECK(static_cast<double>(errors[service]) / static_cast<double>(values.size()) < 0.015);
  }
}

TEST_CASE("services: anomalies come as contiguous episodes of the wanted share") {
  ScenarioOptions options;
  options.with_truth = true;
  const auto made = scenario("services", options);
  constexpr std::uint64_t kEvents = 600'000;  // Some 16 hours.
  generate(*made, kEvents);
  const auto& anomalies = made->truth()->anomalies();
  std::uint64_t anomalous = 0;
  std::set<std::string> kinds;
  for (std::size_t i = 0; i < anomalies.size(); ++i) {
    const Truth::Anomaly& anomaly = anomalies[i];
    anomalous += anomaly.events;
    kinds.insert(anomaly.kind);
    CHECK(anomaly.to - anomaly.from >= kMinute - kMillisecond);
    CHECK(anomaly.to - anomaly.from <= 3 * kMinute);
    if (i != 0) CHECK(anomaly.from > anomalies[i - 1].to);
    if (anomaly.kind == "error_surge") {
      CHECK(anomaly.expected >= 0.3);
      CHECK(anomaly.expected <= 0.6);
      CHECK(anomaly.observed() == Approx(anomaly.expected).margin(0.12));
    } else {
      CHECK(anomaly.observed() > 2 * 300);
    }
  }
  CHECK(kinds == std::set<std::string>{"error_surge", "latency_spike"});
  CHECK(static_cast<double>(anomalous) / kEvents == Approx(0.05).margin(0.015));
}

TEST_CASE("the first anomaly comes when it is asked for") {
  ScenarioOptions options;
  options.with_truth = true;
  options.first_anomaly_after = 5 * kMinute;
  for (const std::string_view name : scenario_names()) {
    CAPTURE(name);
    const auto made = scenario(name, options);
    generate(*made, 6'000);
    REQUIRE(!made->truth()->anomalies().empty());
    CHECK(made->truth()->anomalies().front().from == kStart + 5 * kMinute);
  }
}

TEST_CASE("keys set the cardinality") {
  ScenarioOptions options;
  options.keys = 1'000;
  std::set<std::string> services;
  for (const std::string& line :
       lines_of(generate(*scenario("services", options), 20'000)[0].text)) {
    services.insert(field(line, "service"));
  }
  CHECK(services.size() == 1'000);
  CHECK(services.count("checkout") == 1);
  CHECK(services.count("service-01000") == 1);
  options.keys = 2;
  services.clear();
  for (const std::string& line :
       lines_of(generate(*scenario("services", options), 1'000)[0].text)) {
    services.insert(field(line, "service"));
  }
  CHECK(services == std::set<std::string>{"checkout", "payments"});
}

TEST_CASE("transactions: amounts, categories and identifiers are as promised") {
  const auto lines = lines_of(generate(*scenario("transactions"), 20'000)[0].text);
  std::set<std::string> ids;
  std::map<std::string, int> categories;
  for (const std::string& line : lines) {
    const std::string id = field(line, "transaction_id");
    REQUIRE(id.size() == 36);
    CHECK(id[14] == '4');
    CHECK(std::string_view("89ab").find(id[19]) != std::string_view::npos);
    ids.insert(id);
    ++categories[field(line, "product_category")];
    const double amount = std::stod(field(line, "amount"));
    CHECK(amount >= 10);
    CHECK(amount <= 999.99);
    CHECK(field(line, "timestamp").size() == 19);
    CHECK(field(line, "timestamp")[10] == ' ');
  }
  CHECK(ids.size() == lines.size());
  CHECK(categories.size() == 6);
}

TEST_CASE("llm: each response belongs to an earlier request and bears its time plus the latency") {
  const auto out = generate(*scenario("llm"), 20'000);
  std::map<std::string, Timestamp> requests;
  for (const std::string& line : lines_of(out[0].text)) {
    requests[field(line, "request_id")] = parse_time(field(line, "timestamp"));
  }
  CHECK(requests.size() == 20'000);
  std::size_t responses = 0;
  std::size_t errors = 0;
  for (const std::string& line : lines_of(out[1].text)) {
    const auto request = requests.find(field(line, "request_id"));
    REQUIRE(request != requests.end());
    CHECK(parse_time(field(line, "timestamp")) ==
          request->second + std::stoll(field(line, "latency_ms")) * kMillisecond);
    errors += field(line, "error") != "null";
    CHECK((field(line, "error") == "null") != (field(line, "finish_reason") == "null"));
    requests.erase(request);
    ++responses;
  }
  CHECK(responses > 19'700);
  CHECK(responses < 20'000);
  CHECK(errors > 100);
}

// The configs we ship, and the reference that describes them.
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "config/config.h"
#include "config/keys.h"
#include "support/catch.h"

namespace streamobs::config {
namespace {

std::string read(const std::string& path) {
  std::ifstream in(std::string(STREAMOBS_SOURCE_DIR) + "/" + path);
  REQUIRE(in.good());
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

Config preset(const std::string& name) {
  Diagnostics diagnostics;
  auto config =
      read_file(std::string(STREAMOBS_SOURCE_DIR) + "/config/" + name + ".toml", diagnostics)
          .config;
  INFO(to_text(diagnostics, false));
  REQUIRE(config.has_value());
  CHECK(diagnostics.empty());
  return *config;
}

std::vector<std::string> columns(const window::WindowOptions& window) {
  std::vector<std::string> names;
  for (const auto& key : window.by) names.push_back(key.name.text);
  for (const auto& metric : window.select) names.push_back(metric.name.text);
  return names;
}

}  // namespace

TEST_CASE("every file in config loads without a word") {
  int files = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(STREAMOBS_SOURCE_DIR) + "/config")) {
    if (entry.path().extension() != ".toml") continue;
    ++files;
    preset(entry.path().stem().string());
  }
  CHECK(files == 6);
}

TEST_CASE("names that people's queries hang on are as promised") {
  for (const char* name : {"obs", "services"}) {
    const Config config = preset(name);
    CHECK(config.streams.at(0).name.text == "requests");
    CHECK(config.windows.at(0).name.text == "service_metrics");
    CHECK(config.windows.at(0).size == kMinute);
    CHECK(config.windows.at(0).allowed_lateness == 10 * kSecond);
    CHECK(columns(config.windows.at(0)) ==
          std::vector<std::string>{"service", "request_count", "error_count", "error_rate",
                                   "avg_latency_ms", "p50_latency_ms", "p95_latency_ms",
                                   "p99_latency_ms"});
    CHECK(config.rules.at(0).name.text == "error_surge");
    CHECK(config.rules.at(1).name.text == "latency_spike");
    CHECK(config.incidents.evidence.at(0).text == "endpoint_metrics");
  }
  const Config transactions = preset("transactions");
  CHECK(transactions.windows.at(0).name.text == "category_sales");
  CHECK(transactions.windows.at(0).allowed_lateness == kMinute);
  CHECK(transactions.windows.at(0).emit_every == 2 * kSecond);
  CHECK(columns(transactions.windows.at(0)) ==
        std::vector<std::string>{"category", "total_sales", "transaction_count"});
  const Config metrics = preset("metrics");
  REQUIRE(metrics.windows.size() == 4);
  CHECK(metrics.windows[1].size == kMinute);
  CHECK(metrics.windows[1].hop == 10 * kSecond);
  CHECK(metrics.windows[3].size == 15 * kMinute);
  for (const window::WindowOptions& window : metrics.windows) {
    CHECK(columns(window) == std::vector<std::string>{"service_id", "metric_name", "count", "sum",
                                                      "avg", "min", "max", "p50", "p95", "p99",
                                                      "rate"});
  }
  CHECK(metrics.store.views.at(0).name.text == "metric_aggregates");
  CHECK(metrics.store.views[0].sizes == std::vector<std::string>{"1m", "1m/10s", "5m", "15m"});
  const Config llm = preset("llm");
  CHECK(llm.streams.at(0).paths.at(0).text == "/v1/llm/request");
  CHECK(llm.streams.at(1).paths.at(0).text == "/v1/llm/response");
}

TEST_CASE("the first config plays the demo") {
  const Config config = preset("obs");
  REQUIRE(config.sources.size() == 1);
  CHECK(config.sources[0].type == source::Type::demo);
  CHECK(config.sources[0].rate == 10);
  CHECK(config.sources[0].history >= kHour);
}

TEST_CASE("docs/config.md describes every key the parser knows") {
  const std::string docs = read("docs/config.md");
  for (const Section* section : sections()) {
    INFO(section->name);
    std::string name(section->name);
    if (name[0] != '[') name[0] = static_cast<char>(name[0] - 'a' + 'A');
    const std::string heading = "\n## " + name + "\n";
    const std::size_t begin = docs.find(heading);
    REQUIRE(begin != std::string::npos);
    const std::string text = docs.substr(begin, docs.find("\n## ", begin + heading.size()) - begin);
    for (const std::string_view key : section->keys) {
      INFO(key);
      // A row of the section's table, or at the top level the heading of a section.
      const bool described =
          text.find("\n| `" + std::string(key) + "` |") != std::string::npos ||
          docs.find("\n## [" + std::string(key) + "]\n") != std::string::npos ||
          docs.find("\n## [" + std::string(key) + ".NAME]\n") != std::string::npos;
      CHECK(described);
    }
  }
}

}  // namespace streamobs::config

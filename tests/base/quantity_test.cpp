#include "base/quantity.h"

#include <cmath>

#include "support/catch.h"

namespace streamobs {
namespace {

std::string said(double value, const char* column) {
  return quantity(value, metric_words(column, value));
}

TEST_CASE("column names become words with a unit", "[base][quantity]") {
  CHECK(metric_words("error_rate", 0.5).name == "error rate");
  CHECK(metric_words("p95_latency_ms", 100).name == "p95 latency");
  CHECK(metric_words("avg_latency_ms", 100).name == "average latency");
  CHECK(metric_words("_ms", 1).name == " ms");
  CHECK(metric_words("requests_per_second", 1).name == "requests");
}

TEST_CASE("values are said in units of a sensible size", "[base][quantity]") {
  CHECK(said(0.31, "error_rate") == "31%");
  CHECK(said(0.402439, "error_rate") == "40.2%");
  CHECK(said(0.0604, "error_rate") == "6.04%");
  CHECK(said(0.00859, "error_rate") == "0.86%");
  CHECK(said(0.00001, "error_rate") == "0.001%");
  CHECK(said(0, "error_rate") == "0%");
  CHECK(said(1, "success_ratio") == "100%");
  CHECK(said(0.99972, "success_ratio") == "99.972%");
  CHECK(said(12.5, "request_rate") == "12.5");  // Above one it is a share of nothing.
  CHECK(said(12.5, "cpu_percent") == "12.5%");
  CHECK(said(2340.4, "p95_latency_ms") == "2,340 ms");
  CHECK(said(12'340, "p95_latency_ms") == "12.3 s");
  CHECK(said(900'000, "p95_latency_ms") == "15 min");
  CHECK(said(0.31, "latency_seconds") == "310 ms");
  CHECK(said(0.00042, "latency_seconds") == "420 µs");
  CHECK(said(250, "wait_us") == "250 µs");
  CHECK(said(250, "wait_ns") == "250 ns");
  CHECK(said(0, "latency_ms") == "0 ms");
  CHECK(said(812, "body_bytes") == "812 bytes");
  CHECK(said(1'234'567, "body_bytes") == "1.23 MB");
  CHECK(said(3.4e15, "body_bytes") == "3,400 TB");
  CHECK(said(120, "requests_per_second") == "120/s");
  CHECK(said(12.345, "estimated_cost_usd") == "12.3 USD");
  CHECK(said(1234, "request_count") == "1,234");
  CHECK(said(std::nan(""), "error_rate") == "unknown");
}

TEST_CASE("values are told against what is normal", "[base][quantity]") {
  const MetricWords rate = metric_words("error_rate", 1);
  const MetricWords count = metric_words("request_count", 1000);
  const MetricWords latency = metric_words("p95_latency_ms", 1000);
  CHECK(against_normal(0.31, 0.05, rate) == "6.2 times its normal 5%");
  CHECK(against_normal(140, 100.4, latency) == "39% above its normal 100 ms");
  CHECK(against_normal(101, 99.6, count) == "about its normal 100");
  CHECK(against_normal(80, 100, count) == "20% below its normal 100");
  CHECK(against_normal(20, 100, count) == "20% of its normal 100");
  CHECK(against_normal(1, 1000, count) == "less than 1% of its normal 1,000");
  // Where the ratio says nothing, or less than the figures.
  CHECK(against_normal(0, 100, count) == "normally 100");
  CHECK(against_normal(0.3, 0, rate) == "normally 0%");
  CHECK(against_normal(0.5, 0.0004, rate) == "normally 0.04%");
  CHECK(against_normal_short(0.31, 0.05, rate) == "6.2× normal");
  CHECK(against_normal_short(130, 100, count) == "30% above normal");
  CHECK(against_normal_short(80, 100, count) == "20% below normal");
  CHECK(against_normal_short(20, 100, count) == "20% of normal");
  CHECK(against_normal_short(0.3, 0, rate) == "normally 0%");
  CHECK(usual_quantity(99.83, 120, count) == "100");
  CHECK(usual_quantity(3.25, 12, count) == "3.25");
  // A sentence has one unit of time, as far as both can be read in it.
  CHECK(against_normal(15'000, 4'917, latency) == "3.1 times its normal 4.92 s");
  CHECK(against_normal(5'000, 12'000, latency) == "42% of its normal 12,000 ms");
  CHECK(usual_quantity(3, 15'000, latency) == "3 ms");
  CHECK(usual_quantity(12'000, 0, latency) == "12 s");
  CHECK(usual_quantity(0, 15'000, latency) == "0 ms");
}

TEST_CASE("names from events cannot be mistaken for the sentence around them", "[base][quantity]") {
  CHECK(name_in_words("/api/cart") == "/api/cart");
  CHECK(name_in_words("Grocery") == "Grocery");
  CHECK(name_in_words("gpt-4.1") == "gpt-4.1");
  CHECK(name_in_words("München 2") == "München 2");
  CHECK(name_in_words("/pay. All is well") == "\"/pay. All is well\"");
  CHECK(name_in_words("a, b and c") == "\"a, b and c\"");
  CHECK(name_in_words("<img src=x>") == "\"<img src=x>\"");
  CHECK(name_in_words("say \"no\"") == "\"say 'no'\"");
  CHECK(name_in_words("a\r\n\tb") == "\"a b\"");
  CHECK(name_in_words("a\u202Eb") == "\"a b\"");
  CHECK(name_in_words("") == "\"\"");
  // Long ones are cut between characters.
  CHECK(name_in_words(std::string(59, 'x') + "äy") == std::string(59, 'x') + "…");
  CHECK(name_in_words(std::string(60, 'x')) == std::string(60, 'x'));
}

}  // namespace
}  // namespace streamobs

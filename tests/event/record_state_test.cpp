#include "event/record_state.h"

#include <random>
#include <string>
#include <vector>

#include "support/catch.h"

namespace streamobs {
namespace {

Anomaly full_anomaly() {
  Anomaly a;
  a.id = "surge:2024-01-09T12:34:00Z:0123456789abcdef";
  a.rule = "surge";
  a.window = "w";
  a.severity = Severity::critical;
  a.detected_at = 5;
  a.window_start = -7;
  a.window_end = 1'704'803'640 * kSecond;
  a.since = -3;
  a.keys = {{"s", Value::of_string("a|b")},
            {"none", Value::of_null({Kind::string, 0})},
            {"i", Value::of_int(-5)},
            {"b", Value::of_bool(true)},
            {"f", Value::of_float(-0.0)},
            {"d", Value::of_decimal(-1234, 2)},
            {"t", Value::of_timestamp(kMinTimestamp)},
            {"nothing", Value::of_null({Kind::decimal, 3})}};
  a.metric_name = "x";
  a.metric_value = 1.5;
  a.baseline_value = 0.1;
  a.baseline_before = 0.05;
  a.threshold_value = -2;
  a.description = "über";
  a.resolved = true;
  a.resolved_at = 9;
  a.position = 1ULL << 40;
  a.withdrawn = true;
  a.revision = 300;
  return a;
}

Incident full_incident() {
  Incident i;
  i.id = "incident:1";
  i.keys = full_anomaly().keys;
  i.severity = Severity::low;
  i.started_at = 1;
  i.last_seen_at = 2;
  i.title = "t";
  i.explanation = "e";
  i.evidence = {"a", "", "c"};
  i.anomaly_ids = {"x"};
  i.anomaly_count = 3;
  i.narrated_by = "template";
  i.revision = 4'000'000'000;
  i.position = 5;
  return i;
}

TEST_CASE("anomalies and incidents come back field by field", "[event][state]") {
  const Anomaly a = full_anomaly();
  std::string bytes;
  put_anomaly(bytes, a);
  put_anomaly(bytes, Anomaly());
  ByteReader in(bytes);
  Anomaly b;
  REQUIRE(read_anomaly(in, b));
  CHECK(b.id == a.id);
  CHECK(b.rule == a.rule);
  CHECK(b.window == a.window);
  CHECK(b.severity == a.severity);
  CHECK(b.detected_at == a.detected_at);
  CHECK(b.window_start == a.window_start);
  CHECK(b.window_end == a.window_end);
  CHECK(b.since == a.since);
  CHECK(b.keys == a.keys);
  CHECK(b.metric_name == a.metric_name);
  CHECK(b.metric_value == a.metric_value);
  CHECK(b.baseline_value == a.baseline_value);
  CHECK(b.baseline_before == a.baseline_before);
  CHECK(b.threshold_value == a.threshold_value);
  CHECK(b.description == a.description);
  CHECK(b.resolved);
  CHECK(b.resolved_at == a.resolved_at);
  CHECK(b.position == a.position);
  CHECK(b.withdrawn);
  CHECK(b.revision == 300);
  REQUIRE(read_anomaly(in, b));
  CHECK(in.at_end());
  CHECK_FALSE(b.since.has_value());
  CHECK_FALSE(b.metric_value.has_value());
  CHECK(b.keys.empty());

  const Incident i = full_incident();
  bytes.clear();
  put_incident(bytes, i);
  ByteReader again(bytes);
  Incident j;
  REQUIRE(read_incident(again, j));
  CHECK(again.at_end());
  CHECK(j.id == i.id);
  CHECK(j.keys == i.keys);
  CHECK(j.severity == i.severity);
  CHECK(j.started_at == i.started_at);
  CHECK(j.last_seen_at == i.last_seen_at);
  CHECK(j.resolved_at == i.resolved_at);
  CHECK(j.title == i.title);
  CHECK(j.explanation == i.explanation);
  CHECK(j.evidence == i.evidence);
  CHECK(j.anomaly_ids == i.anomaly_ids);
  CHECK(j.anomaly_count == i.anomaly_count);
  CHECK(j.narrated_by == i.narrated_by);
  CHECK(j.revision == i.revision);
  CHECK(j.position == i.position);
}

TEST_CASE("cut or twisted bytes of records are refused or harmless", "[event][state]") {
  std::string anomaly;
  put_anomaly(anomaly, full_anomaly());
  std::string incident;
  put_incident(incident, full_incident());
  const auto good = [](const std::string& bytes, bool is_anomaly) {
    ByteReader in(bytes);
    Anomaly a;
    Incident i;
    return (is_anomaly ? read_anomaly(in, a) : read_incident(in, i)) && in.at_end();
  };
  CHECK(good(anomaly, true));
  CHECK(good(incident, false));
  for (std::size_t n = 0; n < anomaly.size(); ++n) CHECK_FALSE(good(anomaly.substr(0, n), true));
  for (std::size_t n = 0; n < incident.size(); ++n) CHECK_FALSE(good(incident.substr(0, n), false));
  std::mt19937_64 random(3);
  for (int n = 0; n < 20'000; ++n) {
    std::string bad = n % 2 == 0 ? anomaly : incident;
    bad[random() % bad.size()] = static_cast<char>(random());
    good(bad, n % 2 == 0);
  }
}

TEST_CASE("exact bytes of a key tell apart what its text does not", "[event][value]") {
  const auto text = [](const char* t) { return Value::of_string(t); };
  const Value none = Value::of_null({Kind::string, 0});
  CHECK(key_bytes({text("a|b"), text("c")}) == "v3:a|bv1:c");
  CHECK(key_bytes({text("a|b"), text("c")}) != key_bytes({text("a"), text("b|c")}));
  CHECK(key_bytes({text("")}) == "v0:");
  CHECK(key_bytes({none}) == "n0:");
  CHECK(key_bytes({}).empty());
  CHECK(key_bytes({Value::of_int(-5), Value::of_bool(true)}) == "v2:-5v4:true");
}

}  // namespace
}  // namespace streamobs

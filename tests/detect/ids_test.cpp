// Whoever keeps anomalies takes the highest revision of an id: no id is given twice, whatever
// becomes of the rule, and none is forgotten over an upgrade.
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/time_format.h"
#include "detect/detector.h"
#include "detect/rows.h"
#include "support/catch.h"

namespace streamobs::detect {
namespace {

std::shared_ptr<WindowSchema> other_schema() {
  auto schema = service_schema();
  schema->window = "other_metrics";
  return schema;
}

RuleOptions high(const char* when = "error_rate > 0.3") {
  return rule(when);
}

std::unique_ptr<Detector> detector_of(const std::vector<RuleOptions>& rules) {
  Diagnostics diagnostics;
  auto plan = compile_rules(rules, {service_schema(), other_schema()}, diagnostics);
  REQUIRE(plan != nullptr);
  return std::make_unique<Detector>(std::move(plan));
}

std::vector<AnomalyPtr> feed(Detector& detector, const WindowBatchPtr& batch) {
  Records out;
  detector.process(batch, out);
  std::vector<AnomalyPtr> anomalies;
  for (const Record& record : out) anomalies.push_back(std::get<AnomalyPtr>(record));
  return anomalies;
}

WindowBatchPtr corrected(const ServiceRow& row, int due) {
  return batch_of(service_schema(), {row_of(row)}, 0, kBase + due * kMinute);
}

std::string snapshot_of(const Detector& detector) {
  std::string out;
  detector.snapshot(out);
  return out;
}

std::unique_ptr<Detector> gone_on(const Detector& before, const std::vector<RuleOptions>& rules) {
  auto now = detector_of(rules);
  REQUIRE(now->restore(snapshot_of(before)).has_value());
  return now;
}

TEST_CASE("the same of two windows has two ids", "[detect][ids]") {
  RuleOptions on_other = high();
  on_other.on = "other_metrics";
  auto before = detector_of({high()});
  const auto one = feed(*before, batch_of({{0, "checkout", 0.5}}));
  auto now = gone_on(*before, {on_other});
  const auto two = feed(*now, batch_of(other_schema(), {row_of({0, "checkout", 0.5})}));
  REQUIRE(one.size() == 1);
  REQUIRE(two.size() == 1);
  CHECK(one[0]->id != two[0]->id);
  // Nor of one by the same name that was longer.
  WindowRow row = row_of({0, "checkout", 0.5});
  row.end += kMinute;
  const auto longer = feed(*detector_of({high()}), batch_of(service_schema(), {row}));
  REQUIRE(longer.size() == 1);
  CHECK(one[0]->id != longer[0]->id);
}

TEST_CASE("a rule that comes back says what it finds again under other ids", "[detect][ids]") {
  auto before = detector_of({high()});
  const auto raised = feed(*before, batch_of({{0, "checkout", 0.5}}));
  REQUIRE(raised.size() == 1);
  const std::vector<RuleOptions> ways[] = {{}, {high("error_rate > 0.2")}};
  for (const auto& meanwhile : ways) {
    auto back = gone_on(*gone_on(*before, meanwhile), {high()});
    const auto again = feed(*back, corrected({0, "checkout", 0.6}, 5));
    // Silence has resolved it by then.
    REQUIRE(said(again) == Said{"checkout@0", "checkout@0 over"});
    CHECK(again[0]->id == raised[0]->id + ":2024-01-09T12:39:00Z");
    CHECK(again[0]->revision == 0);
    CHECK(again[1]->id == again[0]->id);
    CHECK(again[1]->revision == 1);
    // It is the same one from then on, across restarts.
    back = gone_on(*back, {high()});
    const auto withdrawn = feed(*back, corrected({0, "checkout", 0.1}, 6));
    REQUIRE(withdrawn.size() == 1);
    CHECK(withdrawn[0]->id == again[0]->id);
    CHECK(withdrawn[0]->revision == 2);
    CHECK(withdrawn[0]->withdrawn);
  }
}

TEST_CASE("of a key that was forgotten other ids are given", "[detect][ids]") {
  auto detector = detector_of({high()});
  const auto raised = feed(*detector, batch_of({{0, "checkout", 0.5}}));
  REQUIRE(raised.size() == 1);
  std::vector<ServiceRow> many(Detector::kMaxKeys, ServiceRow{1});
  for (std::size_t i = 0; i < many.size(); ++i) many[i].service = "k" + std::to_string(i);
  REQUIRE(said(feed(*detector, batch_of(many))) == Said{"checkout@0 over"});
  REQUIRE(detector->evicted_keys() == 1);
  const auto again = feed(*detector, corrected({0, "checkout", 0.6}, 3));
  REQUIRE(said(again) == Said{"checkout@0", "checkout@0 over"});
  CHECK(again[0]->id == raised[0]->id + ":2024-01-09T12:37:00Z");
}

/// As versions 2 and 3 wrote it, of one rule and one key: with how far the streams had come,
/// without the ids, in a form that did not say the window.
std::string as_before(std::string bytes, int version, const std::string& id,
                      const std::string& old_id) {
  REQUIRE(id.size() == old_id.size());
  REQUIRE(bytes.substr(bytes.size() - id.size()) == id);
  bytes.resize(bytes.size() - id.size() - 1);
  for (std::size_t at = bytes.find(id); at != std::string::npos; at = bytes.find(id)) {
    bytes.replace(at, id.size(), old_id);
  }
  // Of 2 the anomaly's revision as well, which it ends with, and the key's behind it.
  if (version == 2) bytes.resize(bytes.size() - 2);
  const std::size_t ids = 2 + 1 + std::string("error_surge").size() + 8;
  REQUIRE(bytes.at(ids) == 0);
  bytes.erase(ids, 1);
  std::string streams(1, static_cast<char>(version));
  put_varint(streams, 1);
  put_text(streams, "requests");
  put_varint(streams, 7);
  put_signed(streams, kBase + kMinute);
  return bytes.replace(0, 1, streams);
}

TEST_CASE("what was raised before an upgrade goes on under its id", "[detect][ids][state]") {
  const auto old_id = [](const AnomalyPtr& a) {
    return "error_surge:" + to_rfc3339(a->window_start) + ":" +
           fmt::format("{:016x}", hash_bytes(key_bytes({a->keys[0].value})));
  };
  auto before = detector_of({high()});
  const auto raised = feed(*before, batch_of({{0, "checkout", 0.5}}));
  REQUIRE(raised.size() == 1);
  const std::string id = old_id(raised[0]);
  REQUIRE(raised[0]->id != id);
  for (const int version : {2, 3}) {
    const std::string old = as_before(snapshot_of(*before), version, raised[0]->id, id);
    auto now = detector_of({high()});
    const auto restored = now->restore(old);
    REQUIRE(restored.has_value());
    REQUIRE(restored->lost.empty());
    now = gone_on(*now, {high()});
    // A replay says the same again of what the old program had said behind its last checkpoint.
    const auto next = feed(*now, batch_of({{1, "checkout", 0.6}}));
    REQUIRE(said(next) == Said{"checkout@1"});
    CHECK(next[0]->id == old_id(next[0]));
    const auto over = feed(*now, batch_of({{2, "checkout", 0.1}}));
    REQUIRE(said(over) == Said{"checkout@0 over", "checkout@1 over"});
    CHECK(over[0]->id == id);
    CHECK(over[0]->revision == 1);

    // Said and over, and now withdrawn.
    now = detector_of({high()});
    REQUIRE(now->restore(old).has_value());
    const auto withdrawn = feed(*now, corrected({0, "checkout", 0.1}, 5)).back();
    CHECK(withdrawn->id == id);
    CHECK(withdrawn->revision == 2);
    CHECK(withdrawn->withdrawn);

    // Another rule is none of before.
    const auto changed = detector_of({high("error_rate > 0.2")});
    const auto lost = changed->restore(old);
    REQUIRE(lost.has_value());
    REQUIRE(lost->lost.size() == 1);
    REQUIRE(lost->lost[0].open.size() == 1);
    CHECK(lost->lost[0].open[0]->id == id);
    const auto new_one = feed(*changed, batch_of({{1, "checkout", 0.6}}));
    REQUIRE(new_one.size() == 1);
    CHECK(new_one[0]->id != old_id(new_one[0]));
  }
}

}  // namespace
}  // namespace streamobs::detect

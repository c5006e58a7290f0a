// Snapshots of the narrator: a run that is cut and restored anywhere says the same as one that is
// not.
#include <random>
#include <string>
#include <vector>

#include "event/record_state.h"
#include "narrate/scene.h"

namespace streamobs::narrate {
namespace {

const std::vector<std::shared_ptr<const WindowSchema>> kWindows = {kServices, kEndpoints};

std::string bytes_of(const Records& records) {
  std::string out;
  for (const Record& record : records) put_incident(out, *std::get<IncidentPtr>(record));
  return out;
}

std::string snapshot_of(const Narrator& narrator) {
  std::string out;
  narrator.snapshot(out);
  return out;
}

std::unique_ptr<Narrator> restored_from(const std::string& bytes, const IncidentOptions& options) {
  auto narrator = std::make_unique<Narrator>(options);
  const auto restored = narrator->restore(bytes, kWindows);
  REQUIRE(restored.has_value());
  CHECK(restored->forgotten_windows.empty());
  CHECK(restored->closed.empty());
  return narrator;
}

Raised random_anomaly(std::mt19937_64& random, int minute) {
  const char* const services[] = {"checkout", "payments", "search"};
  Raised r{minute, {services[random() % 3]}};
  if (random() % 5 == 0) r.keys.push_back(random() % 2 == 0 ? "/pay" : "/cart");
  r.value = 0.2 + 0.01 * static_cast<double>(random() % 50);
  if (random() % 3 == 0) r.baseline = std::nullopt;
  if (random() % 3 == 0) {
    r.rule = "latency";
    r.metric = "p95_latency_ms";
    r.value = static_cast<double>(random() % 2'000);
    r.severity = Severity::critical;
  }
  if (random() % 4 == 0) r.since = minute - static_cast<int>(random() % 4);
  if (random() % 4 == 0) r.baseline_before = 0.04;
  return r;
}

// Quiet and troubled minutes, revisions, anomalies raised, raised again and resolved, cuts.
std::vector<Record> random_history(std::mt19937_64& random, int minutes) {
  std::vector<Record> out;
  std::vector<Raised> open;
  for (int minute = 0; minute < minutes; ++minute) {
    const auto rate = [&] { return 0.05 + 0.01 * static_cast<double>(random() % 40); };
    const auto count = [&] { return static_cast<std::int64_t>(50 + random() % 200); };
    std::vector<Row> services;
    std::vector<Row> endpoints;
    for (const char* service : {"checkout", "payments", "search"}) {
      if (random() % 6 == 0) continue;
      services.push_back({{service}, rate(), count(), static_cast<double>(random() % 300)});
      for (const char* endpoint : {"/cart", "/pay", "/list"}) {
        if (random() % 4 == 0) continue;
        endpoints.push_back({{service, endpoint}, rate(), count()});
      }
    }
    out.push_back(rows(kServices, minute, services));
    if (random() % 8 == 0) {
      out.push_back(rows(kServices, minute - 1, {{{"checkout"}, rate(), count()}}));
    }
    const bool trouble = minute % 25 < 9;
    for (std::uint64_t n = trouble ? random() % 3 : 0; n > 0; --n) {
      open.push_back(random_anomaly(random, minute));
      out.emplace_back(AnomalyPtr(anomaly_of(open.back())));
    }
    while (!open.empty() && random() % (trouble ? 6 : 2) == 0) {
      auto over = anomaly_of(open.front());
      over->resolved = true;
      over->resolved_at = kBase + (minute + 1) * kMinute;
      over->revision = 1;
      over->withdrawn = random() % 3 == 0;
      const bool once_more = over->withdrawn && random() % 2 == 0;
      out.emplace_back(AnomalyPtr(std::move(over)));
      if (once_more) {
        auto more = anomaly_of(open.front());
        more->revision = 2;
        out.emplace_back(AnomalyPtr(std::move(more)));
        continue;
      }
      open.erase(open.begin());
    }
    out.push_back(rows(kEndpoints, minute, endpoints));
    auto cut = std::make_shared<Cut>();
    cut->position = static_cast<std::uint64_t>(minute);
    out.emplace_back(CutPtr(std::move(cut)));
  }
  return out;
}

TEST_CASE("cut and restored between any two records, it tells the same", "[narrate][state]") {
  std::mt19937_64 random(11);
  std::size_t told = 0;
  std::size_t resolved = 0;
  for (int round = 0; round < 12; ++round) {
    const IncidentOptions options = round % 3 == 0 ? IncidentOptions() : with_endpoints();
    const std::vector<Record> history = random_history(random, 150);
    Narrator whole(options);
    auto always = std::make_unique<Narrator>(options);
    auto sometimes = std::make_unique<Narrator>(options);
    for (const Record& record : history) {
      Records expected;
      whole.process(record, expected);
      told += expected.size();
      for (const Record& r : expected) {
        CHECK(position_of(r) == position_of(record));
        if (std::get<IncidentPtr>(r)->resolved_at) ++resolved;
      }
      if (std::holds_alternative<CutPtr>(record)) CHECK(expected.empty());
      for (auto* const narrator : {&always, &sometimes}) {
        if (narrator == &always || random() % 9 == 0) {
          const std::string before = snapshot_of(**narrator);
          *narrator = restored_from(before, options);
          REQUIRE(snapshot_of(**narrator) == before);
        }
        Records out;
        (*narrator)->process(record, out);
        REQUIRE(bytes_of(out) == bytes_of(expected));
      }
    }
    CHECK(snapshot_of(whole) == snapshot_of(*always));
    CHECK(snapshot_of(whole) == snapshot_of(*sometimes));
  }
  CHECK(told > 500);
  CHECK(resolved > 50);
}

TEST_CASE("a snapshot from before there were revisions is read", "[narrate][state]") {
  Run run(with_endpoints());
  run.quiet(-60, 0);
  run.feed(rows(kServices, 0, {{{"checkout"}, 0.31}}));
  run.raise({0});
  const std::string now = snapshot_of(*run.narrator);
  // As it was written: each anomaly without the revision that it ends with, each track without
  // what was withdrawn and its newest windows.
  std::string anomaly;
  put_anomaly(anomaly, *anomaly_of({0}));
  std::string old = now;
  old.resize(old.size() - 2 - anomaly.size());
  old[0] = 2;
  int anomalies = 0;
  for (std::size_t at = old.find(anomaly); at != std::string::npos; at = old.find(anomaly)) {
    old.erase(at + anomaly.size() - 1, 1);
    ++anomalies;
  }
  REQUIRE(anomalies == 3);
  CHECK(snapshot_of(*restored_from(old, with_endpoints())) == now);
}

TEST_CASE("rows of windows that are gone or altered are forgotten", "[narrate][state]") {
  Run run(with_endpoints());
  run.quiet(-60, 0);
  run.raise({0});
  const std::string bytes = snapshot_of(*run.narrator);

  Narrator now(with_endpoints());
  auto altered = std::make_shared<WindowSchema>(*kServices);
  altered->definition = 7;
  const auto restored = now.restore(bytes, {altered});
  REQUIRE(restored.has_value());
  CHECK(restored->forgotten_windows ==
        std::vector<std::string>{"endpoint_metrics", "service_metrics"});
  CHECK(restored->closed.empty());
  // The incident is still open, and knows what was normal before it.
  CHECK(now.open_incidents() == 1);
  Records out;
  now.process(Record(AnomalyPtr(anomaly_of({1, {"checkout"}, 0.5}))), out);
  REQUIRE(out.size() == 1);
  CHECK(std::get<IncidentPtr>(out[0])->title == "checkout: error rate 50% (10× normal)");
  CHECK(std::get<IncidentPtr>(out[0])->revision == 1);
}

TEST_CASE("a metric that is new or another one has no past, the others keep theirs",
          "[narrate][state]") {
  Run run;
  run.quiet(-60, 0);
  const std::string bytes = snapshot_of(*run.narrator);
  auto altered = std::make_shared<WindowSchema>(*kServices);
  altered->metrics = {{"sessions", {Kind::integer, 0}},
                      {"request_count", {Kind::integer, 0}, 3},
                      {"p95_latency_ms", {Kind::floating, 0}}};
  Run now;
  const auto restored = now.narrator->restore(bytes, {altered, kEndpoints});
  REQUIRE(restored.has_value());
  CHECK(restored->forgotten_windows.empty());
  auto batch = std::make_shared<WindowBatch>();
  batch->schema = altered;
  WindowRow row{kBase, kBase + kMinute, true, false, 0, {Value::of_string("checkout")}, {}, {}};
  row.metrics = {Value::of_int(7), Value::of_int(300), Value::of_float(200)};
  batch->rows.push_back(row);
  now.feed(WindowBatchPtr(batch));
  now.raise({0});
  INFO(now.all.back()->explanation);
  CHECK(now.all.back()->explanation.find(
            "In that minute its p95 latency had doubled (200 ms, normally 100 ms).") !=
        std::string::npos);
}

TEST_CASE("incidents of a stream without windows are handed back closed", "[narrate][state]") {
  Run run(with_endpoints());
  run.quiet(-60, 0);
  run.raise({0});
  run.raise({0, {"payments"}});
  auto elsewhere = std::make_shared<WindowSchema>(*kServices);
  elsewhere->stream = "elsewhere";
  Narrator now(with_endpoints());
  const auto restored = now.restore(snapshot_of(*run.narrator), {elsewhere});
  REQUIRE(restored.has_value());
  CHECK(now.open_incidents() == 0);
  REQUIRE(restored->closed.size() == 2);
  const Records records = restored->records(77);
  REQUIRE(records.size() == 2);
  const Incident& first = *std::get<IncidentPtr>(records[0]);
  CHECK(first.id == "incident:error_surge:0:checkout");
  CHECK(first.resolved_at == kBase + kMinute);
  CHECK(first.position == 77);
  CHECK(first.explanation.find("It was over at 12:35 UTC, after 1 minute.") != std::string::npos);
}

TEST_CASE("a narrator's snapshot that nobody wrote is refused, and changes nothing",
          "[narrate][state]") {
  std::mt19937_64 random(4);
  Narrator narrator(with_endpoints());
  Records ignored;
  for (const Record& record : random_history(random, 9)) narrator.process(record, ignored);
  const std::string good = snapshot_of(narrator);
  CHECK(narrator.open_incidents() > 0);
  Narrator other(with_endpoints());
  const std::string empty = snapshot_of(other);
  for (std::size_t size = 0; size < good.size(); ++size) {
    const auto result = other.restore(std::string_view(good).substr(0, size), kWindows);
    REQUIRE(result.has_error());
    CHECK(result.error().code == ErrorCode::corrupt);
  }
  CHECK(other.restore(good + "x", kWindows).has_error());
  CHECK(snapshot_of(other) == empty);

  const std::vector<Record> more = random_history(random, 20);
  for (int i = 0; i < 1'000; ++i) {
    std::string bad = good;
    for (std::uint64_t flips = 1 + random() % 3; flips > 0; --flips) {
      bad[random() % bad.size()] ^= static_cast<char>(1 << random() % 8);
    }
    Narrator victim(with_endpoints());
    if (victim.restore(bad, kWindows).has_error()) continue;
    for (const Record& record : more) victim.process(record, ignored);
    ignored.clear();
    snapshot_of(victim);
  }
}

}  // namespace
}  // namespace streamobs::narrate

// Rules over hopping windows: one is judged at each hop, and they overlap.
#include "detect/detector.h"
#include "detect/rows.h"
#include "support/catch.h"

namespace streamobs::detect {
namespace {

/// Five minutes, every minute.
struct HoppingRun {
  explicit HoppingRun(const RuleOptions& options) : schema(service_schema()) {
    schema->size = 5 * kMinute;
    schema->hop = kMinute;
    Diagnostics diagnostics;
    auto plan = compile_rules({options}, {schema}, diagnostics);
    if (plan == nullptr) throw std::runtime_error(diagnostics.at(0).message);
    detector = std::make_unique<Detector>(std::move(plan));
  }

  std::vector<AnomalyPtr> feed(int minute, double error_rate) {
    WindowRow row = row_of({minute, "s", error_rate});
    row.end = row.start + schema->size;
    Records out;
    detector->process(batch_of(schema, {row}), out);
    std::vector<AnomalyPtr> anomalies;
    for (const Record& record : out) anomalies.push_back(std::get<AnomalyPtr>(record));
    return anomalies;
  }

  std::shared_ptr<WindowSchema> schema;
  std::unique_ptr<Detector> detector;
};

TEST_CASE("hopping: a hop without a row breaks a streak, though windows overlap",
          "[detect][hopping]") {
  RuleOptions options = rule("error_rate > 0.2");
  options.hold = kMinute;
  HoppingRun at_once(options);
  CHECK(at_once.feed(0, 0.5).empty());
  CHECK(said(at_once.feed(1, 0.5)) == Said{"s@1"});
  HoppingRun broken(options);
  CHECK(broken.feed(0, 0.5).empty());
  CHECK(broken.feed(2, 0.5).empty());
  CHECK(said(broken.feed(3, 0.5)) == Said{"s@3"});
  // Quiet for a hop: over, at the end of the window that had no row.
  const auto over = broken.feed(5, 0.1);
  REQUIRE(said(over) == Said{"s@3 over"});
  CHECK(over[0]->resolved_at == kBase + 9 * kMinute);
}

TEST_CASE("hopping: a baseline leaves out the windows that overlap the one being judged",
          "[detect][hopping]") {
  RuleOptions options = rule("error_rate > 100 * baseline(error_rate, '10m')");
  options.warmup_windows = 6;
  options.baseline_over_unflagged = false;
  HoppingRun run(options);
  for (int minute = 0; minute < 12; ++minute) CHECK(run.feed(minute, minute + 1).empty());
  const auto raised = run.feed(12, 10'000);
  REQUIRE(said(raised) == Said{"s@12"});
  // Those that began in the ten minutes before and ended by 12: of minutes 2 to 7.
  CHECK(raised[0]->baseline_value.value() == Approx((3 + 4 + 5 + 6 + 7 + 8) / 6.0));

  options.warmup_windows = 7;
  CHECK_THROWS_WITH(HoppingRun(options), Catch::Contains("at most 6 windows of"));
}

}  // namespace
}  // namespace streamobs::detect

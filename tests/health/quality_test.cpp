#include "health/quality.h"

#include <cmath>
#include <random>

#include "support/catch.h"

namespace {

using namespace streamobs;          // NOLINT
using namespace streamobs::health;  // NOLINT

StreamSchema schema() {
  StreamSchema s;
  s.stream = "requests";
  for (const auto& [name, kind] :
       {std::pair{"user", Kind::string}, {"latency_ms", Kind::floating}}) {
    Field field;
    field.name = field.path = name;
    field.type = {kind, 0};
    s.fields.push_back(field);
  }
  return s;
}

class Scene {
 public:
  explicit Scene(HealthOptions options = {}) : checks_(std::move(options)) {}

  /// A period with so many events, of which so many have no user.
  QualityChecks::Findings nulls(std::uint64_t events, std::uint64_t null_users) {
    StreamPeriod period = begin(events);
    period.parts[0].fields[0].nulls = null_users / 2;
    period.parts[1].fields[0].nulls = null_users - null_users / 2;
    return checks_.judge(period);
  }
  QualityChecks::Findings values(const std::vector<double>& values) {
    StreamPeriod period = begin(values.size() * 10);
    period.parts[0].fields[1].sample = values;
    period.parts[0].sampled_rows = values.size();
    return checks_.judge(period);
  }
  QualityChecks::Findings counts(std::uint64_t received, std::uint64_t refused,
                                 std::uint64_t late) {
    StreamPeriod period = begin(received - refused);
    period.received = received;
    period.refused = {{"wrong_type", refused}, {"bad_time", 0}};
    period.late = {{"per_minute", late}, {"per_hour", 0}};
    return checks_.judge(period);
  }

 private:
  StreamPeriod begin(std::uint64_t events) const {
    StreamPeriod period;
    period.schema = &schema_;
    period.to = 1;
    period.parts.resize(2);
    for (TallyPart& part : period.parts) part.fields.resize(2);
    period.parts[0].rows = events / 2;
    period.parts[1].rows = events - events / 2;
    period.received = period.accepted = events;
    return period;
  }

  StreamSchema schema_ = schema();
  QualityChecks checks_;
};

CheckResult find(const QualityChecks::Findings& findings, const std::string& check) {
  for (const CheckResult& result : findings.results) {
    if (result.check == check) return result;
  }
  FAIL("there is no check " << check);
  return {};
}

TEST_CASE("nulls: a share that has risen warns, with what it was", "[health]") {
  Scene scene;
  CHECK(find(scene.nulls(199, 199), "nulls").state == State::no_data);
  const auto first = scene.nulls(1'000, 10);
  CHECK(find(first, "nulls").state == State::ok);
  CHECK(first.quality.fields[0].null_share == Approx(0.01));
  CHECK_FALSE(first.quality.fields[0].null_share_before);
  CHECK(find(first, "nulls").detail.find("nothing before to compare with") != std::string::npos);
  CHECK(find(scene.nulls(1'000, 210), "nulls").state == State::ok);  // 20 points more, not above.
  const CheckResult risen = find(scene.nulls(1'000, 411), "nulls");
  CHECK(risen.state == State::warning);
  INFO(risen.detail);
  CHECK(risen.detail.find("user in 41 % (before: 21 %)") != std::string::npos);
  CHECK(find(scene.nulls(1'000, 0), "nulls").state == State::ok);
}

TEST_CASE("nulls: what stays risen is what is usual after a while", "[health]") {
  Scene scene;
  scene.nulls(1'000, 0);
  for (int period = 1; period < QualityChecks::kUsualAfter; ++period) {
    CHECK(find(scene.nulls(1'000, 900), "nulls").state == State::warning);
  }
  // Too few to judge: neither better nor worse, and no period.
  CHECK(find(scene.nulls(50, 0), "nulls").state == State::no_data);
  CHECK(find(scene.nulls(1'000, 900), "nulls").state == State::warning);
  CHECK(find(scene.nulls(1'000, 900), "nulls").state == State::ok);
}

TEST_CASE("nulls: a bound of the config holds in each period", "[health]") {
  HealthOptions options;
  options.streams["requests"].nulls_max["user"] = 0.05;
  Scene scene(options);
  CHECK(find(scene.nulls(1'000, 50), "nulls").state == State::ok);
  const CheckResult over = find(scene.nulls(1'000, 51), "nulls");
  CHECK(over.state == State::failing);
  CHECK(over.detail.find("user in 5.1 % (at most 5.0 %)") != std::string::npos);
  CHECK(find(scene.nulls(1'000, 900), "nulls").state == State::failing);
}

std::vector<double> normal(std::size_t count, double far_share) {
  std::mt19937_64 random(3);
  std::normal_distribution<double> values(100, 10);
  std::vector<double> all;
  for (std::size_t i = 0; i < count; ++i) {
    const bool far = static_cast<double>(i) < far_share * static_cast<double>(count);
    all.push_back(far ? 10'000 : values(random));
  }
  return all;
}

TEST_CASE("the usual range of a normal distribution is 3.5 of its deviations", "[health]") {
  std::vector<std::pair<double, double>> weighted;
  for (const double value : normal(50'000, 0)) weighted.emplace_back(value, 1);
  const std::optional<Usual> usual = usual_of(weighted);
  REQUIRE(usual);
  CHECK(usual->from == Approx(65).margin(1));
  CHECK(usual->to == Approx(135).margin(1));
  CHECK(usual->outlier_share < 0.001);
  // However far the far ones are, they do not move it much.
  weighted.clear();
  for (const double value : normal(50'000, 0.1)) weighted.emplace_back(value, 1);
  CHECK(usual_of(weighted)->to == Approx(142).margin(3));
  CHECK(usual_of(weighted)->outlier_share == Approx(0.1).margin(0.002));
}

TEST_CASE("a lane's sample weighs as much as its rows", "[health]") {
  // Nine times as many rows as the other lane has, and the same number of samples.
  std::vector<std::pair<double, double>> weighted;
  for (int i = 0; i < 100; ++i) {
    weighted.emplace_back(10 + i % 5, 9);
    weighted.emplace_back(1'000, 1);
  }
  const std::optional<Usual> usual = usual_of(weighted);
  REQUIRE(usual);
  CHECK(usual->outlier_share == Approx(0.1));
  CHECK_FALSE(usual_of({}));
  CHECK_FALSE(usual_of({{5, 1}, {5, 1}, {7, 1}}));
}

TEST_CASE("outliers: judged by how far their share has risen", "[health]") {
  Scene scene;
  CHECK(find(scene.values(normal(199, 0)), "outliers").state == State::no_data);
  CHECK(find(scene.values(normal(1'000, 0.2)), "outliers").state == State::ok);  // Nothing before.
  CHECK(find(scene.values(normal(1'000, 0)), "outliers").state == State::ok);
  CHECK(find(scene.values(normal(1'000, 0.09)), "outliers").state == State::ok);
  CHECK(find(scene.values(normal(1'000, 0)), "outliers").state == State::ok);
  const auto findings = scene.values(normal(1'000, 0.12));
  const CheckResult risen = find(findings, "outliers");
  CHECK(risen.state == State::warning);
  INFO(risen.detail);
  CHECK(risen.detail.find("12 % of latency_ms (before: 0") != std::string::npos);
  CHECK(findings.quality.fields[1].outlier_share == Approx(0.12));
  // All the same: no scale to measure by.
  CHECK(find(scene.values(std::vector<double>(1'000, 200)), "outliers").state == State::no_data);
}

TEST_CASE("unmatched: the worse side of a join, but for one that is kept", "[health]") {
  const QualityChecks checks{HealthOptions()};
  JoinPeriod period;
  period.join = "calls";
  period.sides[0] = {"requests", 1'000, 50, false};
  period.sides[1] = {"responses", 199, 199, false};
  CHECK(checks.judge(period).state == State::ok);
  period.sides[0].unmatched = 51;
  CHECK(checks.judge(period).state == State::warning);
  CHECK(checks.judge(period).detail == "5.1 % of 1,000 events of requests had no partner");
  period.sides[1] = {"responses", 200, 100, false};
  CHECK(checks.judge(period).state == State::failing);
  CHECK(checks.judge(period).detail.find("responses") != std::string::npos);
  period.sides[1].events = 0;
  period.sides[0].kept = true;
  CHECK(checks.judge(period).state == State::no_data);
}

TEST_CASE("of rows that a join makes only lateness is judged", "[health]") {
  StreamSchema joined = schema();
  joined.joined = true;
  StreamPeriod period;
  period.schema = &joined;
  period.accepted = 1'000;
  period.late = {{"per_minute", 51}};
  QualityChecks checks{HealthOptions()};
  const QualityChecks::Findings findings = checks.judge(period);
  REQUIRE(findings.results.size() == 1);
  CHECK(findings.results[0].check == "late");
  CHECK(findings.results[0].state == State::warning);
  CHECK(findings.quality.fields.empty());
}

TEST_CASE("refused and late: shares against their bounds", "[health]") {
  Scene scene;
  CHECK(find(scene.counts(199, 199, 0), "refused").state == State::no_data);
  CHECK(find(scene.counts(1'000, 50, 0), "refused").state == State::ok);
  const CheckResult refused = find(scene.counts(1'000, 51, 0), "refused");
  CHECK(refused.state == State::warning);
  CHECK(refused.detail.find("100 % of them for wrong_type") != std::string::npos);
  CHECK(find(scene.counts(1'000, 499, 0), "refused").state == State::warning);
  CHECK(find(scene.counts(1'000, 500, 0), "refused").state == State::failing);
  CHECK(find(scene.counts(1'000, 0, 50), "late").state == State::ok);
  const CheckResult late = find(scene.counts(1'000, 0, 51), "late");
  CHECK(late.state == State::warning);
  CHECK(late.advice.find("[window.per_minute]") != std::string::npos);
  CHECK(find(scene.counts(1'000, 0, 500), "late").state == State::failing);
  CHECK(find(scene.counts(1'000, 900, 0), "late").state == State::no_data);
}

}  // namespace

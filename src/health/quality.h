// What a stream's data are like between two deep checks, held against the period before: shares of
// nulls, of unusual numbers, of refused and of late events.
//
// A number is unusual where it is more than 3.5 times a scale away from the period's own median,
// the scale being the median absolute deviation over 0.6745, which for normally distributed values
// is their standard deviation (Iglewicz and Hoaglin, "How to Detect and Handle Outliers", 1993).
// Long tails have a share of them at all times, so the share is never judged by itself, only by how
// far it has risen. Where more than half of the values are the same there is no such scale, and
// nothing is said.
//
// What is compared with is the period before. While a share stays risen it is compared with what it
// had risen from, but for kUsualAfter periods at most: then the new share is what is usual.
//
// Synchronous and without a clock. One per engine, by one thread at a time; bounded by the config's
// streams and fields.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "health/options.h"
#include "health/report.h"
#include "health/stream_tally.h"

namespace streamobs::health {

/// One stream in one period.
struct StreamPeriod {
  const StreamSchema* schema = nullptr;
  Timestamp from = 0;
  Timestamp to = 0;
  std::vector<TallyPart> parts;  ///< Of the lanes.
  std::uint64_t received = 0;
  std::uint64_t accepted = 0;
  std::map<std::string, std::uint64_t> refused;  ///< By reason.
  std::map<std::string, std::uint64_t> late;     ///< By window.
};

/// One join in one period.
struct JoinPeriod {
  struct Side {
    std::string stream;
    std::uint64_t events = 0;
    std::uint64_t unmatched = 0;
    bool kept = false;  ///< One that stays alone is a row by itself: nothing is wrong with it.
  };
  std::string join;
  Timestamp to = 0;
  Side sides[2];
};

struct Usual {
  double from = 0;
  double to = 0;
  double outlier_share = 0;
};
/// Of values with weights (a lane's sample stands for all of its rows). None: half of them or more
/// are the same, or there are none.
std::optional<Usual> usual_of(std::vector<std::pair<double, double>> weighted);

class QualityChecks {
 public:
  /// Events (for outliers, sampled values) before which nothing is said.
  static constexpr std::uint64_t kEventsMin = 200;
  static constexpr double kNullsRise = 0.2;
  static constexpr double kOutliersRise = 0.1;
  /// From here on a share of refused or late events is failing, not a warning.
  static constexpr double kHalf = 0.5;
  static constexpr int kUsualAfter = 4;

  explicit QualityChecks(HealthOptions options) : options_(std::move(options)) {}

  /// Checks "nulls", "outliers", "refused" and "late" of a stream; with them what was measured. Of
  /// one that a join makes only "late": its fields are those of its sides.
  struct Findings {
    std::vector<CheckResult> results;
    StreamQuality quality;
  };
  Findings judge(const StreamPeriod& period);
  /// Check "unmatched" of a join.
  CheckResult judge(const JoinPeriod& period) const;

 private:
  /// A share, and what it is held against.
  struct Reference {
    std::optional<double> share;
    int periods_risen = 0;
    bool has_risen(double now, double by) const { return share && now - *share > by; }
    void take(double now, double by);
  };
  struct OfField {
    Reference nulls;
    Reference outliers;
  };

  CheckResult nulls(const StreamPeriod& period, StreamQuality& quality);
  CheckResult outliers(const StreamPeriod& period, StreamQuality& quality);
  CheckResult refused(const StreamPeriod& period) const;
  CheckResult late(const StreamPeriod& period) const;

  const HealthOptions options_;
  std::map<std::string, std::map<std::string, OfField>> references_;  ///< By stream and field.
};

}  // namespace streamobs::health

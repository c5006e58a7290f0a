// The data generators: five workloads as a person would meet them, one seeded sequence each.
//
// Shared by `streamobs loadgen` and the demo source. A scenario is asked for one happening at a
// time and told when it is; it knows no clock, no rate and no output. The same seed and the same
// times give the same bytes, on every machine. Lives as long as the run; not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "loadgen/distribution.h"
#include "loadgen/episodes.h"
#include "loadgen/line_writer.h"
#include "loadgen/random.h"
#include "loadgen/truth.h"

namespace streamobs::loadgen {

/// A stream that a scenario has events for, and where they are posted unless told otherwise.
struct StreamInfo {
  std::string name;
  std::string path;
};

/// Finished event lines of one stream, each ended by a newline.
struct Lines {
  std::string text;
  std::uint64_t events = 0;
};

struct ScenarioOptions {
  std::uint64_t seed = 1;
  double anomaly_share = 0.05;        ///< Of the events, in the long run; 0 to 0.3.
  Duration first_anomaly_after = -1;  ///< From the first event; negative: when its turn comes.
  std::uint32_t keys = 0;             ///< Services, users or tenants; 0: the scenario's own few.
  bool with_truth = false;            ///< Keep the exact aggregates; costs memory and time.
};

inline constexpr std::uint32_t kKeysMax = 1'000'000;
inline constexpr double kAnomalyShareMax = 0.3;

class Scenario {
 public:
  virtual ~Scenario() = default;

  std::span<const StreamInfo> streams() const { return streams_; }

  /// Appends what is sent at `at` (never before the last one) to out[stream]. Mostly one event, at
  /// most kMaxDelay older than `at` and never older than the first `at`.
  void next(Timestamp at, std::vector<Lines>& out);

  /// Appends what is still outstanding, for instance responses to requests already sent.
  void finish(std::vector<Lines>& out);

  /// Closes the truth's open minutes; part of finish(), and enough for a run that was broken off.
  void close_truth();

  /// Null unless ScenarioOptions::with_truth.
  Truth* truth() { return truth_.get(); }

 protected:
  struct Setup {
    std::vector<StreamInfo> streams;
    Truth::Layout truth;
    std::uint32_t episode_kinds = 1;
    std::vector<double> episode_key_shares;
  };
  Scenario(Setup setup, const ScenarioOptions& options);

  virtual void generate(Timestamp at, std::vector<Lines>& out) = 0;
  virtual void flush(std::vector<Lines>& out);

  /// When an event sent at `at` happened: whole milliseconds.
  Timestamp event_time(Timestamp at, std::uint64_t random_bits) const {
    const Timestamp t = at - delays_.draw(random_bits);
    return (t < first_at_ ? first_at_ : t) / kMillisecond * kMillisecond;
  }
  /// The low half of an event's id. With the time in it: a second run of the same seed is not a
  /// repeat of the first.
  std::uint64_t draw_id_low(Timestamp at) {
    return random_.next() ^ static_cast<std::uint64_t>(at);
  }
  static void emit(LineWriter& line, Lines& out) {
    line.append_to(out.text);
    ++out.events;
  }

  Random random_;
  EpisodeSchedule episodes_;
  std::unique_ptr<Truth> truth_;
  LineWriter line_;

 private:
  std::vector<StreamInfo> streams_;
  DelayTable delays_;
  Timestamp first_at_ = kMinTimestamp;
  Timestamp last_at_ = kMinTimestamp;
};

/// services, transactions, metrics, logs, llm.
std::span<const std::string_view> scenario_names();

/// One of scenario_names(). Fails with `invalid` for another name or options out of range.
Result<std::unique_ptr<Scenario>> make_scenario(std::string_view name,
                                                const ScenarioOptions& options);

}  // namespace streamobs::loadgen

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/hash.h"
#include "loadgen/feed.h"
#include "loadgen/scenario.h"
#include "source/sources.h"

namespace streamobs::source {
namespace {

constexpr double kRateMax = 1e6;
/// At most so many happenings at once, so that the loop is not held up while catching up.
constexpr std::uint64_t kEventsAtOnce = 2'000;
/// Events due within this time go out together.
constexpr Duration kGather = 100 * kMillisecond;
constexpr Duration kPauseMax = 250 * kMillisecond;
/// Less history than this shows no anomaly: detectors would not have warmed up.
constexpr Duration kHistoryWithAnomaly = 10 * kMinute;
constexpr Duration kFirstLiveAnomaly = 90 * kSecond;

/// When and with what a demo begins. The past is made up once: a later process goes on with the
/// present, and with other dice, for the same seed would give the same ids to new events.
struct Beginning {
  Duration history;
  Timestamp start;  ///< On a whole second, so that two sources that start together agree.
  std::uint64_t seed;
};

Beginning beginning_of(const SourceOptions& options, const SourceRuntime& runtime) {
  const bool goes_on = runtime.resume_of(0).next_block > 1;
  const Duration history = goes_on ? 0 : options.history;
  const Timestamp start = (runtime.clock.now() - history) / kSecond * kSecond;
  const auto dice = goes_on ? hash_word(static_cast<std::uint64_t>(start)) : 0;
  return {history, start, options.seed ^ dice};
}

/// Half-way through the history, so that there is a baseline before it and quiet after it.
Duration first_anomaly_after(Duration history) {
  return history >= kHistoryWithAnomaly ? history / 2 : history + kFirstLiveAnomaly;
}

/// A scenario of the load generator, from some of the past on and then as time goes by.
///
/// Of a scenario with several streams it sends one. Two demo sources with the same seed, history
/// and rate make the same calls, so that the streams of both can be joined.
class DemoSource final : public Source {
 public:
  DemoSource(SourceSetup setup, SourceRuntime runtime, std::unique_ptr<loadgen::Scenario> scenario,
             std::size_t stream, Timestamp start)
      : Source(std::move(setup), std::move(runtime)),
        scenario_(std::move(scenario)),
        stream_(stream),
        start_(start),
        name_("demo " + setup_.options.scenario.text) {}

  asio::awaitable<Result<>> run() override {
    loadgen::FeedPlan plan;
    plan.rate = plan.event_rate = setup_.options.rate;
    loadgen::Feed feed(*scenario_, plan, start_);
    std::vector<loadgen::Lines> lines(scenario_->streams().size());
    while (!stopping()) {
      const Timestamp now = runtime_.clock.now();
      feed.generate(kEventsAtOnce, now, lines);
      if (!lines[stream_].text.empty()) {
        Block block = take_block(lines[stream_].text);
        const bool taken = co_await push(std::move(block));
        if (!taken) break;
      }
      for (loadgen::Lines& other : lines) other = {};
      const Duration wait = feed.due() + kGather - runtime_.clock.now();
      if (feed.due() > now) co_await pause(std::clamp<Duration>(wait, kMillisecond, kPauseMax));
    }
    co_return ended();
  }

 private:
  Block take_block(const std::string& text) {
    Block block;
    block.format = Format::ndjson;
    block.bytes = buffers_.take();
    block.bytes->append(text);
    block.origin.name = name_;
    progress_.input_bytes.fetch_add(text.size(), std::memory_order_relaxed);
    return block;
  }

  BufferPool buffers_;
  std::unique_ptr<loadgen::Scenario> scenario_;
  std::size_t stream_;
  Timestamp start_;
  std::string name_;
};

}  // namespace

Result<std::unique_ptr<Source>> make_demo_source(SourceSetup setup, SourceRuntime runtime) {
  const SourceOptions& options = setup.options;
  if (!(options.rate > 0 && options.rate <= kRateMax)) {
    return fail(ErrorCode::invalid,
                fmt::format("source {}: the rate of a demo must be above 0 and at most {} events/s",
                            options.name.text, kRateMax));
  }
  if (options.history < 0) {
    return fail(ErrorCode::invalid,
                fmt::format("source {}: the history is negative", options.name.text));
  }
  loadgen::ScenarioOptions data;
  const Beginning beginning = beginning_of(options, runtime);
  data.seed = beginning.seed;
  data.anomaly_share = options.anomaly_share;
  data.first_anomaly_after = first_anomaly_after(beginning.history);
  auto scenario = loadgen::make_scenario(options.scenario.text, data);
  if (!scenario) {
    return fail(ErrorCode::invalid,
                fmt::format("source {}: {}", options.name.text, scenario.error().message));
  }
  const auto streams = (*scenario)->streams();
  std::size_t stream = 0;
  if (streams.size() > 1) {
    while (stream < streams.size() && streams[stream].name != options.stream.text) ++stream;
  }
  if (stream == streams.size()) {
    return fail(ErrorCode::invalid,
                fmt::format("source {}: the scenario {} has no stream \"{}\"; it has {} and {}, a "
                            "demo source for each",
                            options.name.text, options.scenario.text, options.stream.text,
                            streams.front().name, streams.back().name));
  }
  return std::make_unique<DemoSource>(std::move(setup), std::move(runtime), std::move(*scenario),
                                      stream, beginning.start);
}

}  // namespace streamobs::source

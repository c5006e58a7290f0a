// Behind the windows: merge the lanes' parts, detect, narrate, and hand the records to the store,
// the live readers and whoever embeds us.
//
// Four coroutines on one strand, joined by channels, each a synchronous operator in its shell.
// Lives as long as the topology.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "app/lane.h"
#include "app/past_log.h"
#include "app/plan.h"
#include "detect/detector.h"
#include "event/record.h"
#include "flow/asio.h"
#include "flow/channel.h"
#include "flow/task_group.h"
#include "narrate/narrator.h"
#include "telemetry/registry.h"
#include "window/merger.h"

namespace streamobs::app {

class Results {
 public:
  using Listener = std::function<void(const Record&)>;

  Results(const Plan& plan, asio::io_context& io, std::size_t lanes, const Clock& clock,
          telemetry::Registry& metrics);

  /// Before spawn(): only events of this time are counted, and windows that reach beyond are not
  /// whole.
  void only(const TimeRange& range);
  /// Before spawn(): takes a checkpoint's parts over. What it has to say of rules and windows that
  /// the config does not have any more is logged, and their open anomalies are resolved as of
  /// `position`, the record by which the config of now takes effect. `watermarks`: of each stream
  /// at the checkpoint.
  Result<> restore(const CheckpointParts& checkpoint, std::uint64_t position,
                   const std::vector<Timestamp>& watermarks);

  const asio::any_io_executor& executor() const { return executor_; }
  flow::Conveyor<LaneOutput>& input() { return input_; }   ///< One ring for each lane.
  flow::Channel<Record>& to_store() { return to_store_; }  ///< What must be kept.

  /// Called on the results strand for every record, early ones included. Before spawn().
  void add_listener(Listener listener) { listeners_.push_back(std::move(listener)); }

  /// Starts the four stages, and who looks at the rules; they end, one after the other, once the
  /// input is closed and drained.
  void spawn(flow::TaskGroup& tasks);

  /// A snapshot of the rules' states, at most 200 ms behind the records that have passed; after
  /// restore() what it brought. Any thread.
  std::vector<detect::RuleState> rule_states() const;

  /// Position of the newest cut that has come through all four stages; any thread.
  std::uint64_t passed() const { return passed_.load(std::memory_order_acquire); }

  /// What the mergers keep of hopping windows; any thread.
  std::size_t kept_panes() const { return kept_panes_.load(std::memory_order_relaxed); }
  std::size_t kept_keys() const { return kept_keys_.load(std::memory_order_relaxed); }

  struct Fill {
    double merge, detect, narrate, fan_out, store;
  };
  Fill fill() const;

 private:
  asio::awaitable<void> run_merge();
  asio::awaitable<void> run_detect();
  asio::awaitable<void> run_narrate();
  asio::awaitable<void> run_fan_out();
  asio::awaitable<void> run_looks();
  void look_at_rules();
  void take_outputs(std::size_t lane, Records& out);
  bool round_complete() const;
  void merge_round(Records& out);
  void merge_cut(Records& out);
  void observe_kept();
  void count(const Record& record);
  void count_rows(const WindowBatch& rows);

  const Plan& plan_;
  const Clock& clock_;
  telemetry::Registry& metrics_;
  asio::any_io_executor executor_;
  flow::Conveyor<LaneOutput> input_;
  flow::Channel<Record> to_detect_;
  flow::Channel<Record> to_narrate_;
  flow::Channel<Record> to_fan_out_;
  flow::Channel<Record> to_store_;
  /// What each lane has sent that the others have not sent their part of yet, and its own records
  /// behind it. Bounded: every lane is asked the same things in the same order, through a bounded
  /// channel.
  std::vector<std::deque<LaneOutput>> rounds_;
  std::vector<std::unique_ptr<window::WindowMerger>> mergers_;  ///< By stream.
  Records withdrawn_;         ///< Anomalies of rules that are gone, to be said first …
  Records closed_incidents_;  ///< … as are incidents that nothing could resolve any more.
  detect::Detector detector_;
  narrate::Narrator narrator_;
  std::vector<Listener> listeners_;
  std::atomic<std::uint64_t> passed_{0};
  std::atomic<std::size_t> kept_panes_{0};
  std::atomic<std::size_t> kept_keys_{0};
  mutable std::mutex states_mutex_;
  std::vector<detect::RuleState> states_;
  /// A look that is due, since records came too soon after the one before; set off by the timer,
  /// which otherwise waits for ever.
  asio::steady_timer next_look_;
  bool look_due_ = false;
  bool fanned_out_ = false;  ///< No record comes any more.
  Timestamp states_at_ = 0;
  std::map<std::string, Timestamp> last_closed_start_;  ///< By window, for counting.
  telemetry::Counter& merged_;
  telemetry::Counter& detected_;
  telemetry::Counter& narrated_;
  telemetry::Counter& served_;
  telemetry::Histogram& close_lag_;
};

}  // namespace streamobs::app

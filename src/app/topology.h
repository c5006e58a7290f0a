// The topology: the one place where everything is wired, and the engine's life from start to end.
//
//   sources ─▶ lane.decode ─▶ sequencing ─▶ journal ─▶ dispatcher ─▶ lane.windows ─▶ merge
//                              one order     log, ack                 ─▶ detect ─▶ narrate
//                                                                     ─▶ store · live · listeners
//                                                                          └▶ outboxes ─▶ sinks
//
// Every arrow is a bounded channel. Life: construct, start(), run() on the caller's thread (with
// further threads of its own): replays what the log holds behind the last checkpoint, then takes
// events until a stop is asked for or all bounded input has been read, then the two phases of
// shutdown: stop sources and requests, drain what is queued. Not restartable: where a new config
// takes over, another topology follows in the same process (app/run).
#pragma once

#include <atomic>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/signal_set.hpp>

#include "app/dispatcher.h"
#include "app/ingest.h"
#include "app/journal.h"
#include "app/lane.h"
#include "app/lookup_watch.h"
#include "app/lookups.h"
#include "app/loop_threads.h"
#include "app/past_log.h"
#include "app/plan.h"
#include "app/recovery.h"
#include "app/results.h"
#include "app/sequencing.h"
#include "base/clock.h"
#include "flow/blocking_pool.h"
#include "flow/task_group.h"
#include "http/listener.h"
#include "http/router.h"
#include "http/server.h"
#include "serve/config_reload.h"
#include "serve/live_hub.h"
#include "serve/open_windows.h"
#include "sink/kafka_sink.h"
#include "sink/store_sink.h"
#include "source/source.h"
#include "store/data_dir.h"
#include "store/database.h"
#include "telemetry/registry.h"

namespace streamobs::app {

class HealthProbe;
class HealthWatch;
class PipelineView;
class LetterReplay;
class Queries;
class StateMerging;

/// What a process keeps from one topology to the next, so that nobody else gets it in between.
struct Premises {
  std::optional<store::DataDir> data_dir;
  std::shared_ptr<http::Listener> listener;  ///< Null: no HTTP.
  Timestamp started_at = 0;                  ///< The process.
  /// If this topology ends now, another one follows: clients keep their connections.
  std::atomic<bool> another_follows{false};
  /// What the last topology that ran has told live readers; they may ask the next one for it.
  std::shared_ptr<const serve::LiveHub::History> told;
};

struct TopologyOptions {
  bool handle_signals = true;         ///< SIGINT and SIGTERM ask for a stop.
  bool stop_when_input_ends = false;  ///< replay: end once every source has been read to its end.
  /// replay: end as well once so many events have been refused and not one has been taken; 0:
  /// never. A block of a file is looked at as a whole.
  std::uint64_t refused_first_max = 0;
  /// With a log and checkpoints. Without: replay of files, whose results are in the store when it
  /// ends and which is simply run again otherwise.
  bool durable = true;
  /// Called once, on some thread, when recovery is over and events are taken.
  std::function<void()> on_ready;
  /// Of a process that may have several topologies, one after the other; null: it has this one, and
  /// all of it is its own. Outlives the topology, as does `reload`.
  Premises* premises = nullptr;
  serve::ConfigReload* reload = nullptr;  ///< Null: there is no reload.
  /// Only to bring an engine's state past what was logged under another config than the one of now:
  /// replays that stretch, makes a checkpoint and ends. Neither sources nor HTTP.
  struct Past {
    History* history = nullptr;
    Stretch stretch;
    /// Its results are in the database already, whose tables may be those of a later config: they
    /// go to a database that is thrown away.
    bool stored = false;
  };
  std::optional<Past> past;
  /// Replayed instead of taking events; then everything ends. Not durable. Outlives the topology.
  ReplayInput* input = nullptr;
  /// With `input`: what it was asked for.
  TimeRange range;
  /// replay: told how far the reading has come, about ten times a second, on some thread.
  std::function<void(std::uint64_t bytes_read, std::uint64_t bytes_total)> on_progress;
};

/// What came of a run, for summaries and tests.
struct Totals {
  std::uint64_t received = 0;
  std::uint64_t accepted = 0;
  std::uint64_t rejected = 0;
  std::map<std::string, std::uint64_t> rejected_by_reason;
  std::uint64_t late = 0;
  std::uint64_t unmatched = 0;  ///< Left a join without a partner.
  std::uint64_t pending = 0;    ///< Still wait for one.
  std::uint64_t filtered = 0;
  std::uint64_t windows_closed = 0;
  std::uint64_t window_rows = 0;
  std::uint64_t anomalies = 0;
};

/// The exit code that a failure ends the process with.
int exit_code_of(ErrorCode code);

class Topology {
 public:
  Topology(std::shared_ptr<const Plan> plan, TopologyOptions options,
           const Clock& clock = system_clock());
  ~Topology();

  /// Opens data directory, log and store, binds the port, spawns the stages.
  Result<> start();
  /// The HTTP server's address; empty without one. After start().
  std::string address() const { return address_; }
  /// Runs until the engine has ended. 0, or the exit code of what went wrong (it has been said).
  int run();
  /// Any thread, any number of times.
  void request_stop();
  /// Why it could not end in order now: what is queued could not be stored. Any thread that may be
  /// held up (as long as the database's busy timeout), while it runs.
  std::optional<std::string> cannot_end();
  /// Sources that read standard input and have not come to its end. Any thread, while it runs.
  std::vector<std::string> reads_standard_input() const;
  /// What went wrong first; empty: nothing. After run().
  std::string failure() const;
  /// Whether a signal asked for the stop; after run().
  bool interrupted() const { return interrupted_; }
  /// Whether it ended for `refused_first_max`; after run().
  bool gave_up() const { return gave_up_; }

  /// Before start().
  void add_listener(Results::Listener listener) { results_->add_listener(std::move(listener)); }

  // For embedding; any thread but the engine's own.
  source::IngestOutcome push(std::uint32_t stream_id, std::string_view json);
  Result<std::vector<WindowRow>> window_rows(const store::WindowQuery& query);

  /// After run().
  Result<std::vector<store::StoredDeadLetter>> dead_letters(
      const store::DeadLetterQuery& query) const {
    return database_->dead_letters(query);
  }

  const Plan& plan() const { return *plan_; }
  Totals totals() const;
  telemetry::Registry& metrics() { return metrics_; }

  static const Clock& system_clock();

 private:
  friend class HealthProbe;
  friend class PipelineView;
  class PastShown;

  asio::awaitable<void> supervise();
  asio::awaitable<void> shut_down();
  asio::awaitable<void> watch_shutdown();
  std::uint64_t progress() const;
  asio::awaitable<void> run_source(std::size_t index);
  asio::awaitable<void> watch_signals();
  asio::awaitable<void> submit_for(std::size_t lane, Block block,
                                   std::promise<source::IngestOutcome>& promise);
  Result<> open_history();
  Result<> open_database(const std::vector<std::shared_ptr<const WindowSchema>>& windows);
  Result<bool> go_on_with_database();
  Result<bool> replay_past(const Stretch& stretch, std::uint64_t applied);
  Result<> restore();
  void warn_of_parts_left(const CheckpointParts& checkpoint) const;
  Result<> restore_windows(const CheckpointParts& checkpoint,
                           const std::vector<Timestamp>& watermarks);
  Result<> save_checkpoint(const CheckpointParts& parts);
  bool recovered(const Result<>& outcome);
  Result<> begin_to_take();
  Result<> adopt_database();
  Result<> load_lookups();
  Result<> make_sources();
  Result<> make_sinks();
  asio::awaitable<void> let_live_readers_go();
  asio::awaitable<void> finish_sinks();
  Result<> bind_http();
  void spawn_stages();
  void spawn_onlookers();
  void spawn_services();
  std::function<void(const source::Progress&)> on_progress();
  void add_routes();
  std::optional<std::string> not_ready() const;
  bool another_follows() const;
  void fail_with(const Error& error);
  void note_failure(const Error& error);
  /// The words of a bug.
  static std::string what(const std::exception_ptr& error);
  void task_failed(const std::string& name, const std::exception_ptr& error);
  void stage_failed(const std::string& name, const std::exception_ptr& error);
  void set_exit_code(int code);
  void release_signals();
  void push_ended();

  const std::shared_ptr<const Plan> plan_;
  const TopologyOptions options_;
  const Clock& clock_;
  telemetry::Registry metrics_;
  std::size_t threads_;
  asio::io_context io_;
  asio::any_io_executor main_strand_;

  flow::TaskGroup source_tasks_;
  flow::TaskGroup stage_tasks_;
  flow::TaskGroup sink_tasks_;
  flow::TaskGroup service_tasks_;   ///< Supervision, signals, ticks, the HTTP accept loop.
  flow::BlockingPool pool_;         ///< Disk reads of sources, transactions of the store.
  flow::BlockingPool query_pool_;   ///< Queries of the API, so that slow ones hold nothing up.
  flow::BlockingPool memory_pool_;  ///< Those that memory answers, held up by no others.
  flow::BlockingPool log_thread_;   ///< Where the journal lives.
  flow::BlockingPool background_;   ///< Compressing and preparing segments of the log.

  InFlight in_flight_;
  LaneMetrics lane_metrics_;
  std::vector<std::unique_ptr<window::Admission>> admissions_;  ///< By stream.
  std::vector<std::unique_ptr<Lane>> lanes_;
  asio::any_io_executor history_strand_;  ///< Of the next three; the journal has a thread besides.
  asio::any_io_executor store_strand_;
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<Sequencing> sequencing_;
  LookupFiles lookup_files_;
  std::unique_ptr<LookupWatch> lookup_watch_;
  std::unique_ptr<Dispatcher> dispatcher_;
  std::unique_ptr<Results> results_;
  std::unique_ptr<Ingest> ingest_;

  std::optional<store::DataDir> own_data_dir_;
  std::unique_ptr<History> own_history_;
  History* history_ = nullptr;  ///< Null: not durable.
  std::unique_ptr<Tail> tail_;
  std::unique_ptr<StateMerging> state_merging_;
  std::unique_ptr<store::Database> database_;
  std::unique_ptr<sink::StoreSink> store_sink_;
  std::unique_ptr<flow::BlockingPool> sink_threads_;     ///< One for each: they block.
  std::vector<std::unique_ptr<sink::KafkaSink>> sinks_;  ///< In the config's order.

  serve::OpenWindows open_windows_;
  std::unique_ptr<serve::LiveHub> live_;
  std::unique_ptr<Queries> queries_;
  std::unique_ptr<LetterReplay> letter_replay_;
  std::unique_ptr<HealthWatch> health_;
  http::Router router_;
  std::unique_ptr<http::Server> server_;
  std::string address_;
  bool looked_at_ = false;  ///< In start(), then main strand.

  asio::steady_timer stop_timer_;       ///< Expires never; cancelled to wake the supervisor.
  asio::steady_timer patience_;         ///< Of the watch over shutdown.
  bool drained_ = false;                ///< Main strand.
  std::atomic<std::size_t> pushes_{0};  ///< Embedded pushes under way.
  flow::Signal pushes_ended_;
  std::atomic<bool> stop_requested_{false};
  std::mutex past_mutex_;
  Topology* past_ = nullptr;  ///< That is being replayed by start().
  mutable std::mutex failure_mutex_;
  std::string failure_;
  std::atomic<bool> interrupted_{false};
  std::atomic<bool> gave_up_{false};
  std::atomic<int> exit_code_{0};
  std::atomic<bool> broken_{false};  ///< A stage has failed.
  std::atomic<bool> ready_{false};
  std::atomic<Timestamp> ready_at_{0};  ///< Since when; 0: not yet.
  std::atomic<bool> sources_made_{false};
  std::atomic<bool> stop_sources_{false};
  std::vector<std::unique_ptr<SourceFeed>> feeds_;  ///< By configured source.
  std::vector<std::unique_ptr<source::Source>> sources_;
  std::atomic<std::size_t> sources_running_{0};
  std::size_t next_home_ = 0;  ///< Main strand.
  std::atomic<std::size_t> next_push_{0};
  std::unique_ptr<PipelineView> view_;
  std::unique_ptr<boost::asio::signal_set> signals_;
  std::unique_ptr<LoopThreads> loop_threads_;
};

}  // namespace streamobs::app

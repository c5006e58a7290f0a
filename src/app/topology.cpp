#include "app/topology.h"

#include <algorithm>
#include <csignal>
#include <future>
#include <utility>

#include <fmt/format.h>

#include "app/health_probe.h"
#include "app/health_watch.h"
#include "app/letter_replay.h"
#include "app/pipeline_view.h"
#include "app/queries.h"
#include "app/state_merging.h"
#include "base/log.h"
#include "base/standard_error.h"
#include "base/version.h"
#include "serve/api.h"
#include "serve/assets.h"
#include "source/http_ingest.h"

namespace streamobs::app {

namespace {

constexpr std::size_t kBlockingThreads = 4;
std::size_t cores() {
  return std::max(1U, std::thread::hardware_concurrency());
}

}  // namespace

const Clock& Topology::system_clock() {
  static const SystemClock clock;
  return clock;
}

Topology::Topology(std::shared_ptr<const Plan> plan, TopologyOptions options, const Clock& clock)
    : plan_(std::move(plan)),
      options_(std::move(options)),
      clock_(clock),
      threads_(plan_->config.threads != 0 ? plan_->config.threads : cores()),
      io_(static_cast<int>(threads_)),
      main_strand_(asio::make_strand(io_)),
      source_tasks_([this](const std::string& name, const std::exception_ptr& error) {
        task_failed(name, error);
      }),
      stage_tasks_([this](const std::string& name, const std::exception_ptr& error) {
        stage_failed(name, error);
      }),
      sink_tasks_([this](const std::string& name, const std::exception_ptr& error) {
        task_failed(name, error);
      }),
      service_tasks_([this](const std::string& name, const std::exception_ptr& error) {
        task_failed(name, error);
      }),
      pool_(kBlockingThreads),
      query_pool_(1),
      memory_pool_(1),
      log_thread_(1),
      background_(1, flow::BlockingPool::Priority::low),
      lane_metrics_(metrics_, *plan_),
      history_strand_(asio::make_strand(io_)),
      store_strand_(asio::make_strand(io_)),
      lookup_files_(*plan_, metrics_),
      open_windows_(clock_),
      stop_timer_(main_strand_, asio::steady_timer::time_point::max()),
      patience_(main_strand_) {
  const std::size_t streams = plan_->streams.size();
  in_flight_.windowed_rows = std::make_unique<std::atomic<std::uint64_t>[]>(streams);
  in_flight_.work_done = std::make_unique<std::atomic<std::uint64_t>[]>(streams);
  in_flight_.revised_at = std::make_unique<std::atomic<Timestamp>[]>(streams);
  for (std::size_t id = 0; id < streams; ++id) in_flight_.revised_at[id] = kMinTimestamp;
  for (const PlannedSource& source : plan_->sources) {
    in_flight_.add_source(source.partitions_max);
  }

  const std::size_t lanes = plan_->config.lanes != 0 ? plan_->config.lanes : threads_;
  for (const PlannedStream& stream : plan_->streams) {
    admissions_.push_back(stream.windows == nullptr
                              ? nullptr
                              : std::make_unique<window::Admission>(stream.windows, lanes));
  }
  for (std::size_t i = 0; i < lanes; ++i) {
    lanes_.push_back(std::make_unique<Lane>(i, *plan_, io_, admissions_, lane_metrics_, in_flight_,
                                            plan_->config.sources.size(), options_.durable));
  }
  journal_ = std::make_unique<Journal>(background_, clock_, metrics_,
                                       [this](const Error& error) { fail_with(error); });
  sequencing_ = std::make_unique<Sequencing>(*plan_, history_strand_, clock_, *journal_, pool_,
                                             lanes, in_flight_, lane_metrics_, metrics_,
                                             options_.stop_when_input_ends, options_.durable);
  lookup_watch_ = std::make_unique<LookupWatch>(*plan_, main_strand_, pool_, lookup_files_);
  if (options_.refused_first_max != 0) {
    sequencing_->give_up_after_refused(options_.refused_first_max, [this] {
      gave_up_ = true;
      request_stop();
    });
  }
  dispatcher_ = std::make_unique<Dispatcher>(*plan_, history_strand_, clock_, lanes_, admissions_,
                                             in_flight_, metrics_, options_.durable);
  results_ = std::make_unique<Results>(*plan_, io_, lanes, clock_, metrics_);
  results_->only(options_.range);
  ingest_ = std::make_unique<Ingest>(lanes_, *sequencing_, *journal_, in_flight_,
                                     [this] { return store_sink_->held_up(); });
  view_ = std::make_unique<PipelineView>(*this);
}

Topology::~Topology() {
  // The sinks go before the threads whose executors they hold, and no thread may be at them then.
  if (sink_threads_ != nullptr) sink_threads_->join();
}

Result<> Topology::start() {
  const config::Config& config = plan_->config;
  if (options_.past) {
    history_ = options_.past->history;
  } else if (options_.premises == nullptr) {
    Result<store::DataDir> data_dir = store::DataDir::open(config.data_dir);
    if (data_dir.has_error()) return data_dir.error();
    own_data_dir_.emplace(std::move(*data_dir));
  }
  const bool goes_on = options_.durable && !options_.past;
  const Result<> opened = goes_on ? open_history() : open_database(plan_->schemas());
  if (opened.has_error()) return opened;
  if (history_ != nullptr) {
    if (Result<> restored = restore(); restored.has_error()) return restored;
  }
  if (Result<> loaded = load_lookups(); loaded.has_error()) return loaded;
  store_sink_ = std::make_unique<sink::StoreSink>(
      *database_, results_->to_store(), pool_, clock_, metrics_, config.store,
      [this](const Error& error) { fail_with(error); },
      [this](const std::shared_ptr<CheckpointParts>& parts) { return save_checkpoint(*parts); });
  if (Result<> made = make_sinks(); made.has_error()) return made;
  queries_ = std::make_unique<Queries>(*plan_, *database_, query_pool_, memory_pool_);
  letter_replay_ =
      std::make_unique<LetterReplay>(*plan_, *queries_, *ingest_, service_tasks_, clock_);
  health_ =
      std::make_unique<HealthWatch>(*plan_, lanes_, lane_metrics_, *database_, main_strand_, clock_,
                                    metrics_, [this] { return HealthProbe::look(*this); });
  std::vector<std::string> streams;
  for (const decode::StreamOptions& stream : config.streams) streams.push_back(stream.name.text);
  live_ = std::make_unique<serve::LiveHub>(
      clock_, metrics_, [this] { return view_->pulse(); }, streams,
      options_.premises != nullptr ? options_.premises->told.get() : nullptr);
  for (const auto& lane : lanes_) {
    for (std::uint32_t id = 0; id < streams.size(); ++id) lane->show_to(id, live_->feed(id));
  }
  results_->add_listener([this](const Record& record) {
    open_windows_.process(record);
    live_->process(record);
  });
  view_->register_metrics();
  if (config.http.enabled && !options_.past) {
    if (Result<> bound = bind_http(); bound.has_error()) return bound;
  }
  ReplayInput* const input = options_.input != nullptr ? options_.input : tail_.get();
  Sequencing::Care care;
  if (history_ != nullptr) care = {&history_->watch(), [this] { return results_->passed(); }};
  sequencing_->recover(input, std::move(care),
                       [this](const Result<>& outcome) { return recovered(outcome); });
  loop_threads_ = std::make_unique<LoopThreads>(io_, threads_);
  if (tail_ != nullptr) {
    if (Result<> adopted = adopt_database(); adopted.has_error()) return adopted;
  }
  spawn_stages();
  service_tasks_.spawn(main_strand_, "live", live_->run());
  // While it replays, the engine is alive, not ready, and can be looked at.
  if (tail_ != nullptr) spawn_onlookers();
  service_tasks_.spawn(main_strand_, "supervisor", supervise());
  if (options_.handle_signals) {
    signals_ = std::make_unique<boost::asio::signal_set>(main_strand_, SIGINT, SIGTERM);
    service_tasks_.spawn(main_strand_, "signals", watch_signals());
  }
  return {};
}

/// What a past config counted, it counts by the versions that the log has.
Result<> Topology::load_lookups() {
  if (options_.past) return {};
  for (std::size_t i = 0; i < plan_->lookups.size(); ++i) {
    Result<LookupVersion> version = lookup_files_.read(i);
    if (version.has_value()) {
      sequencing_->offer(std::move(*version));
    } else if (history_ == nullptr) {
      return version.error();
    }
  }
  return {};
}

Result<> Topology::make_sources() {
  for (std::size_t i = 0; i < plan_->config.sources.size(); ++i) {
    const auto source_id = static_cast<std::uint32_t>(i);
    const std::uint32_t stream_id = plan_->sources[i].stream_id;
    const std::map<std::uint32_t, ResumeState> resume = sequencing_->resume_of(source_id);
    std::uint64_t blocks = 0;
    for (const auto& [partition, state] : resume) blocks += state.next_block - 1;
    // They have their numbers, and will have been followed, when the source ends.
    std::map<std::uint32_t, std::vector<ProposedRange>> undecided =
        sequencing_->undecided_of(source_id);
    for (const auto& [partition, ranges] : undecided) blocks += ranges.size();
    feeds_.push_back(std::make_unique<SourceFeed>(source_id, blocks, lanes_, *sequencing_,
                                                  *journal_, in_flight_, stop_sources_));
    source::SourceSetup setup;
    setup.options = plan_->config.sources[i];
    setup.source_id = source_id;
    setup.stream_id = stream_id;
    setup.event_bytes_max = plan_->config.streams[stream_id].max_event_bytes;
    source::SourceRuntime runtime{*feeds_.back(), pool_,         clock_, stop_sources_,
                                  metrics_,       on_progress(), resume};
    runtime.undecided = std::move(undecided);
    if (history_ != nullptr) runtime.log_id = history_->log_id();
    runtime.log_position = sequencing_->last_position();
    Result<std::unique_ptr<source::Source>> source =
        source::make_source(std::move(setup), std::move(runtime));
    if (source.has_error()) return source.error();
    sources_.push_back(std::move(*source));
  }
  sources_made_.store(true, std::memory_order_release);
  return {};
}

/// Those of a past config have no one to deliver to: what is for them is delivered by those of now.
Result<> Topology::make_sinks() {
  if (options_.past) store_sink_->ignore_full_outboxes();
  if (history_ == nullptr || options_.past) return {};
  if (plan_->config.sinks.empty()) return {};
  sink_threads_ = std::make_unique<flow::BlockingPool>(plan_->config.sinks.size());
  const sink::KafkaSink::Origin origin{history_->log_id(), history_->end()};
  for (const sink::SinkOptions& options : plan_->config.sinks) {
    sinks_.push_back(std::make_unique<sink::KafkaSink>(options, origin, *database_,
                                                       asio::make_strand(sink_threads_->executor()),
                                                       clock_, metrics_));
  }
  database_->on_commit([this] {
    for (const auto& sink : sinks_) sink->notify();
  });
  return {};
}

Result<> Topology::bind_http() {
  add_routes();
  server_ = std::make_unique<http::Server>(
      main_strand_, plan_->config.http, router_, metrics_, clock_,
      [this] {
        Lane& lane = *lanes_[next_home_++ % lanes_.size()];
        return http::Home{lane.executor(), lane.index()};
      },
      [](const std::string& name, const std::exception_ptr& error) {
        log::error("a connection ended with a bug; others are not affected",
                   {{"task", name}, {"error", what(error)}});
      });
  const Result<http::Endpoint> endpoint = options_.premises != nullptr
                                              ? server_->listen_at(*options_.premises->listener)
                                              : server_->listen();
  if (endpoint.has_error()) return endpoint.error();
  address_ = endpoint->url();
  return {};
}

void Topology::spawn_stages() {
  for (const auto& lane : lanes_) {
    stage_tasks_.spawn(lane->executor(), "decode",
                       lane->run_decode(sequencing_->blocks_of(lane->index())));
    stage_tasks_.spawn(lane->executor(), "windows",
                       lane->run_windows(results_->input()[lane->index()]));
  }
  stage_tasks_.spawn(history_strand_, "sequence", sequencing_->run());
  stage_tasks_.spawn(log_thread_.executor(), "log", journal_->run());
  stage_tasks_.spawn(history_strand_, "dispatch", dispatcher_->run(journal_->output()));
  results_->spawn(stage_tasks_);
  stage_tasks_.spawn(store_strand_, "store", store_sink_->run());
}

/// Who reads the database, whose tables have to be there. What comes first counts.
void Topology::spawn_onlookers() {
  if (std::exchange(looked_at_, true)) return;
  if (server_ != nullptr) service_tasks_.spawn(main_strand_, "http", server_->serve());
  if (options_.past || options_.stop_when_input_ends || options_.input != nullptr) return;
  service_tasks_.spawn(main_strand_, "health", health_->run());
  service_tasks_.spawn(main_strand_, "health, deep", health_->run_deep());
}

/// Main strand, once.
void Topology::spawn_services() {
  if (stop_requested_.load()) return;
  service_tasks_.spawn(history_strand_, "ticks", sequencing_->run_ticks());
  service_tasks_.spawn(history_strand_, "log maintenance", journal_->run_maintenance());
  service_tasks_.spawn(store_strand_, "store ticks", store_sink_->run_ticks());
  service_tasks_.spawn(main_strand_, "look-up tables",
                       lookup_watch_->run(sequencing_->lookup_versions()));
  sources_running_ = sources_.size();
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    source_tasks_.spawn(asio::make_strand(io_), plan_->sources[i].name, run_source(i));
  }
  ingest_->open();
  ready_at_.store(clock_.now(), std::memory_order_release);
  ready_.store(true, std::memory_order_release);
  spawn_onlookers();
  // Other people's scripts wait for this line.
  if (server_ != nullptr) write_to_stderr(fmt::format("listening on {}\n", address_));
  if (options_.on_ready) options_.on_ready();
}

std::function<void(const source::Progress&)> Topology::on_progress() {
  if (!options_.on_progress) return {};
  return [this](const source::Progress&) {
    std::uint64_t read = 0;
    std::uint64_t total = 0;
    for (const auto& source : sources_) {
      read += source->progress().input_bytes.load(std::memory_order_relaxed);
      total += source->progress().input_bytes_total.load(std::memory_order_relaxed);
    }
    options_.on_progress(read, total);
  };
}

asio::awaitable<void> Topology::run_source(std::size_t index) {
  const Result<> ended = co_await sources_[index]->run();
  if (ended.has_error()) {
    if (options_.stop_when_input_ends) {
      fail_with(ended.error());
    } else {
      log::error("a source has failed; what it had read so far is counted",
                 {{"source", plan_->sources[index].name}, {"error", ended.error().message}});
    }
  }
  // Told to stop is not the input's end: what is open stays open.
  if (!stop_sources_.load(std::memory_order_relaxed)) {
    SequencerInput end = SourceEnd{static_cast<std::uint32_t>(index), feeds_[index]->blocks()};
    co_await sequencing_->end_of(index).push(std::move(end));
  }
  sequencing_->end_of(index).close();
  if (sources_running_.fetch_sub(1) == 1 && options_.stop_when_input_ends) request_stop();
}

int Topology::run() {
  loop_threads_->run();
  return exit_code_;
}

void Topology::add_routes() {
  std::vector<source::StreamRoute> routes;
  for (std::uint32_t id = 0; id < plan_->streams.size(); ++id) {
    const decode::StreamOptions& options = plan_->config.streams[id];
    if (options.joined) continue;  // Nobody sends it any.
    source::StreamRoute route;
    route.stream = options.name.text;
    route.stream_id = id;
    route.source_id = plan_->streams[id].http_source;
    route.format = options.format;
    for (const SourceText& path : options.paths) route.paths.push_back(path.text);
    routes.push_back(std::move(route));
  }
  source::add_ingest_routes(router_, std::move(routes), *ingest_);

  serve::ApiContext context;
  context.version = std::string(kVersion);
  context.started_at = options_.premises != nullptr ? options_.premises->started_at : clock_.now();
  context.reload = options_.reload;
  context.clock = &clock_;
  context.registry = &metrics_;
  context.queries = queries_.get();
  context.letter_replay = letter_replay_.get();
  context.health = health_.get();
  context.open_windows = &open_windows_;
  context.live = live_.get();
  context.streams = view_->stream_infos();
  context.windows = view_->window_infos();
  context.views = view_->views();
  context.endpoints = plan_->config.endpoints;
  context.stream_states = [this] { return view_->stream_states(); };
  context.pipeline = [this] { return view_->pipeline(); };
  context.not_ready = [this] { return not_ready(); };
  serve::add_api_routes(router_, std::move(context));
  serve::add_asset_routes(router_, serve::dashboard_assets());
}

/// Why events are not taken just now; any thread.
std::optional<std::string> Topology::not_ready() const {
  if (ready_.load(std::memory_order_acquire)) {
    if (!journal_->disk_full()) return std::nullopt;
    return "the disk of the log is full: new events are refused until there is space";
  }
  if (stop_requested_) return another_follows() ? "a new config takes over" : "shutting down";
  return fmt::format("recovering, {} %", sequencing_->percent_replayed());
}

source::IngestOutcome Topology::push(std::uint32_t stream_id, std::string_view json) {
  // Counted before looking, so that shutdown waits for all that got past this point.
  pushes_.fetch_add(1);
  if (!ready_.load()) {
    push_ended();
    source::IngestOutcome refused;
    refused.status = source::IngestOutcome::Status::stopping;
    return refused;
  }
  Block block;
  block.stream_id = stream_id;
  block.format = Format::json;
  block.bytes = std::make_shared<BlockBuffer>();
  block.bytes->append(json);
  block.origin.source_id = plan_->streams[stream_id].embedded_source;
  block.origin.received_at = clock_.now();
  Lane& lane = *lanes_[next_push_.fetch_add(1, std::memory_order_relaxed) % lanes_.size()];
  std::promise<source::IngestOutcome> promise;
  std::future<source::IngestOutcome> future = promise.get_future();
  // The caller waits for the answer below, so the promise outlives the task.
  service_tasks_.spawn(lane.executor(), "push",
                       submit_for(lane.index(), std::move(block), promise));
  return future.get();
}

void Topology::push_ended() {
  pushes_.fetch_sub(1);
  pushes_ended_.notify();
}

asio::awaitable<void> Topology::submit_for(std::size_t lane, Block block,
                                           std::promise<source::IngestOutcome>& promise) {
  try {
    source::IngestOutcome outcome = co_await ingest_->submit(lane, std::move(block));
    promise.set_value(std::move(outcome));
  } catch (...) {
    promise.set_exception(std::current_exception());
  }
  push_ended();
}

Result<std::vector<WindowRow>> Topology::window_rows(const store::WindowQuery& query) {
  if (database_ == nullptr) return fail(ErrorCode::unavailable, "the engine has not been started");
  store::WindowQuery asked = query;
  if (asked.latest && asked.windows) {
    const Result<std::vector<Timestamp>> starts = database_->window_starts(query);
    if (starts.has_error()) return starts.error();
    asked = serve::of_newest(query, *starts, open_windows_.rows(query));
  }
  std::vector<WindowRow> early = open_windows_.rows(asked);
  Result<std::vector<WindowRow>> stored = database_->window_rows(asked);
  if (stored.has_error()) return stored;
  return serve::merge_rows(std::move(*stored), std::move(early), asked);
}

Totals Topology::totals() const {
  Totals totals;
  // Accepted first: what is added in between must not make more accepted than received.
  for (std::size_t id = 0; id < plan_->streams.size(); ++id) {
    totals.accepted += lane_metrics_.streams[id].accepted->value();
    totals.filtered += lane_metrics_.streams[id].filtered->value();
    for (const telemetry::Counter* late : lane_metrics_.streams[id].late)
      totals.late += late->value();
    for (const auto& [reason, count] : lane_metrics_.rejected_by_reason(id)) {
      totals.rejected_by_reason[reason] += count;
    }
  }
  for (const telemetry::Counter* counter : lane_metrics_.received)
    totals.received += counter->value();
  totals.rejected = totals.received - totals.accepted;
  for (std::size_t i = 0; i < plan_->joins.size(); ++i) {
    const Joins::State join = sequencing_->joins().state(i);
    totals.unmatched += join.unmatched[0] + join.unmatched[1];
    totals.pending += join.pending_alone;
  }
  for (const PlannedWindow& window : plan_->windows) {
    const telemetry::Labels labels{{"window", window.schema->window}};
    totals.windows_closed +=
        static_cast<std::uint64_t>(metrics_.value("streamobs_windows_closed_total", labels));
    totals.window_rows +=
        static_cast<std::uint64_t>(metrics_.value("streamobs_window_rows_total", labels));
  }
  for (const detect::RuleOptions& rule : plan_->config.rules) {
    totals.anomalies += static_cast<std::uint64_t>(metrics_.value(
        "streamobs_anomalies_total",
        {{"rule", rule.name.text}, {"severity", std::string(to_text(rule.severity))}}));
  }
  return totals;
}

}  // namespace streamobs::app

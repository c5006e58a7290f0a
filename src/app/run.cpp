#include "app/run.h"

#include <csignal>
#include <exception>
#include <utility>

#include <fmt/format.h>

#include "app/config_arguments.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/version.h"

namespace streamobs::app {

namespace {

constexpr std::size_t kThreads = 2;  ///< Signals are taken while a config is being read.

std::vector<serve::ConfigState::Change> to_state(
    const std::vector<config::SectionChange>& changes) {
  std::vector<serve::ConfigState::Change> all;
  for (const config::SectionChange& change : changes) {
    all.push_back({config::to_text(change.what), change.section, change.name});
  }
  return all;
}

}  // namespace

Run::Run(ReadPlan read_plan, const Clock& clock)
    : read_plan_(std::move(read_plan)),
      clock_(clock),
      threads_(kThreads),
      strand_(asio::make_strand(threads_.executor())),
      signals_(strand_),
      patience_(strand_),
      reading_patience_(strand_) {}

Run::~Run() {
  asio::post(strand_, [this] {
    error_code ignored;
    signals_.cancel(ignored);
    patience_.cancel();
    reading_patience_.cancel();
  });
  threads_.join();
}

// ---------------------------------------------------------------------------------------------
// One topology after the other, on the main thread.

/// Lets others find the topology while there is one.
class Run::Shown {
 public:
  Shown(Run& run, Topology& topology) : run_(run) {
    const std::lock_guard lock(run_.mutex_);
    run_.topology_ = &topology;
    if (run_.phase_ == Phase::ending) topology.request_stop();
  }
  ~Shown() {
    const std::lock_guard lives(run_.topology_lives_);
    const std::lock_guard lock(run_.mutex_);
    run_.topology_ = nullptr;
  }
  Shown(const Shown&) = delete;
  Shown& operator=(const Shown&) = delete;

 private:
  Run& run_;
};

int Run::run() {
  // Whoever reads what is said here may go before the engine does.
  std::signal(SIGPIPE, SIG_IGN);
  Diagnostics diagnostics;
  now_.plan = read_plan_(diagnostics);
  print(diagnostics);
  if (now_.plan == nullptr) return kExitBadConfig;
  log::configure(now_.plan->config.log_level, now_.plan->config.log_format);
  if (const Result<> begun = begin(); begun.has_error()) {
    log::error(begun.error().message);
    return exit_code_of(begun.error().code);
  }
  watch_signals();
  int code = live();
  while (change_is_due(code)) {
    failpoint("reload.between");
    code = live();
    if (go_back()) code = live();
  }
  end();
  leave_reader(code);
  return code;
}

Result<> Run::begin() {
  const config::Config& config = now_.plan->config;
  premises_.started_at = clock_.now();
  state_.file = config.file;
  state_.since = premises_.started_at;
  Result<store::DataDir> data_dir = store::DataDir::open(config.data_dir);
  if (data_dir.has_error()) return data_dir.error();
  premises_.data_dir.emplace(std::move(*data_dir));
  if (!config.http.enabled) return {};
  Result<std::unique_ptr<http::Listener>> listener = http::Listener::open(config.http);
  if (listener.has_error()) return listener.error();
  now_.listener = std::move(*listener);
  return {};
}

/// A topology's life; how it ended.
int Run::live() {
  TopologyOptions options;
  std::shared_ptr<const Plan> plan;
  {
    const std::lock_guard lock(mutex_);
    plan = now_.plan;
    premises_.listener = now_.listener;
  }
  log::configure(plan->config.log_level, plan->config.log_format);
  options.handle_signals = false;
  options.premises = &premises_;
  options.reload = this;
  options.on_ready = [this] { came_up(); };
  try {
    Topology topology(plan, std::move(options), clock_);
    return live_out(topology);
  } catch (const std::exception& error) {
    // Memory, threads, descriptors: the config before may do with less.
    failure_ = fmt::format(
        "the engine could not be made: {}; raise what the process may have of memory and threads, "
        "or lower threads, lanes and max_keys of the config",
        error.what());
    log::error(failure_);
    return exit_code_of(ErrorCode::unavailable);
  }
}

int Run::live_out(Topology& topology) {
  const Shown shown(*this, topology);
  if (const Result<> started = topology.start(); started.has_error()) {
    failure_ = started.error().message;
    log::error(failure_);
    return exit_code_of(started.error().code);
  }
  const int code = topology.run();
  failure_ = topology.failure();
  totals_ = topology.totals();
  return code;
}

/// Whether the topology that has just ended did so for another one. What failed on the way ends the
/// process, as ever: the next start recovers.
bool Run::change_is_due(int code) {
  const std::lock_guard lock(mutex_);
  if (code != 0 || phase_ != Phase::changing) return false;
  before_ = std::exchange(now_, next_->setting);
  return true;
}

/// Whether the topology that has just ended never took an event, and the one before has to be made
/// again.
bool Run::go_back() {
  const std::lock_guard lock(mutex_);
  if (phase_ != Phase::changing || !before_) return false;
  log::error(
      "the engine did not come up with the new config: nothing of it is left in the database, and "
      "the old one is started again",
      {{"error", failure_}});
  fell_back_ = failure_;
  now_ = std::move(*before_);
  before_.reset();
  premises_.another_follows = false;
  return true;
}

void Run::end() {
  log::info("stopped", {{"events", totals_.received},
                        {"accepted", totals_.accepted},
                        {"rejected", totals_.rejected},
                        {"late", totals_.late},
                        {"windows_closed", totals_.windows_closed}});
  const std::lock_guard lock(mutex_);
  std::string why =
      failure_.empty() ? "the engine has been stopped" : "the engine has ended: " + failure_;
  if (phase_ == Phase::changing) {
    why = "the engine has ended in the middle of a reload: " + failure_;
    log::error(
        "the engine has ended in the middle of a reload; what was acknowledged is in the log, and "
        "the next start goes by the config file as it is now",
        {{"error", failure_}});
  }
  phase_ = Phase::ending;
  answer(http::problem(503, why));
}

/// Called by a topology that takes events from now on.
void Run::came_up() {
  failpoint("reload.came_up");
  const std::lock_guard lock(mutex_);
  premises_.another_follows = false;
  const double seconds = static_cast<double>(clock_.now() - change_began_at_) / kSecond;
  if (phase_ == Phase::starting && !topology_->address().empty()) {
    log::info("streamobs is running; open the dashboard in a browser",
              {{"dashboard", topology_->address()},
               {"config", now_.plan->config.file},
               {"version", kVersion}});
  } else if (!fell_back_.empty()) {
    log::info("the old config is in force again", {{"seconds", seconds}});
    refused("the engine did not come up with the new config, and goes on with the old one: " +
            std::exchange(fell_back_, {}));
    answer(http::problem(500, state_.refused->error));
  } else if (before_) {
    before_.reset();
    state_.since = clock_.now();
    ++state_.reloads;
    state_.changes = to_state(next_->changes);
    state_.refused.reset();
    log::info("the new config is in force",
              {{"changes", in_words(next_->changes)}, {"seconds", seconds}});
    answer(serve::taken_over(state_));
  }
  next_.reset();
  if (phase_ != Phase::ending) go_on();
}

/// Under the mutex: there may be a reload from now on.
void Run::go_on() {
  phase_ = Phase::running;
  if (!std::exchange(reload_again_, false)) return;
  asio::post(threads_.executor(), [this] { reload_by_signal(); });
}

}  // namespace streamobs::app

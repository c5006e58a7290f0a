// `streamobs --config FILE`: the engine's process, from the first look at the config to its exit
// code. It has one topology after the other: SIGHUP and POST /-/reload have the config read anew,
// and where there is nothing wrong with it the running topology ends in order, with a checkpoint,
// and another one goes on from there. What must not be let go of in between (the data directory's
// lock, the listening port, signals, whoever waits for an answer) is kept here.
//
// Made once, on the main thread, which run() takes for the topologies; two threads of its own wait
// for signals and read configs.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/signal_set.hpp>

#include "app/next_config.h"
#include "app/topology.h"
#include "base/clock.h"
#include "flow/blocking_pool.h"
#include "flow/signal.h"
#include "serve/config_reload.h"

namespace streamobs::app {

class Run final : public serve::ConfigReload {
 public:
  explicit Run(ReadPlan read_plan, const Clock& clock = Topology::system_clock());
  ~Run() override;

  /// Until a signal asks for the end or something fails for good; what does is said. The exit code.
  int run();

  asio::awaitable<std::optional<Refusal>> prepare() override;
  void take_over(std::shared_ptr<http::LateAnswer> answer) override;
  serve::ConfigState state() const override;

 private:
  enum class Phase : std::uint8_t {
    starting,   ///< Until the first config takes events.
    running,    ///< There may be a reload.
    preparing,  ///< A config is being read, or has been and will be taken over.
    changing,   ///< From the end of one topology until another one takes events.
    ending,     ///< A signal has asked for it.
  };

  class Shown;
  /// Terminals that the process had at its start.
  class Terminals {
   public:
    Terminals();
    /// Whether one of them has been closed since; not where the process was told not to mind.
    bool gone() const;

   private:
    bool hang_up_ignored_;
    std::array<bool, 3> is_terminal_;  ///< By file descriptor.
  };
  /// Somebody who waits for a config to be read.
  struct Asked {
    std::optional<Refusal> refusal;
    std::atomic<bool> done{false};
    flow::Signal told;
  };

  Result<> begin();
  int live();
  int live_out(Topology& topology);
  bool change_is_due(int code);
  bool go_back();
  void end();
  void came_up();
  void go_on();

  std::optional<Refusal> hindrance() const;
  void begin_reading(std::shared_ptr<Asked> asked);
  void read(const Setting& now);
  Result<NextConfig> try_next(const Setting& now);
  void have_read(Result<NextConfig> next);
  void wait_for_reader(std::uint64_t number);
  void reading_takes_too_long();
  void tell(std::optional<Refusal> refusal);
  void leave_reader(int code);
  void refused(const std::string& error);
  void answer(http::Response response);

  void watch_signals();
  void take_signal(int number);
  void reload_by_signal();
  void stop_by_signal(int number);

  const ReadPlan read_plan_;
  const Clock& clock_;
  const Terminals terminals_;
  Premises premises_;
  std::string failure_;  ///< Of the last topology; main thread, as the next.
  Totals totals_;

  std::mutex topology_lives_;  ///< Held by who uses topology_ without mutex_; locked before that.
  mutable std::mutex mutex_;   ///< Of what follows.
  Phase phase_ = Phase::starting;
  bool reload_again_ = false;     ///< A SIGHUP came when there could be no reload.
  Topology* topology_ = nullptr;  ///< That runs now.
  Setting now_;                   ///< What it is made of.
  bool reading_ = false;          ///< A thread reads a config.
  bool too_late_ = false;         ///< Nobody waits for what it reads any more.
  std::uint64_t readings_ = 0;
  std::chrono::steady_clock::time_point asked_at_;  ///< When the last of them began.
  std::shared_ptr<Asked> asked_;                    ///< For it; null: a signal did.
  std::condition_variable has_read_;
  std::optional<NextConfig> next_;  ///< To take over, or taking over.
  std::optional<Setting> before_;   ///< To go back to, until what follows has come up.
  std::string fell_back_;           ///< Why; empty: it has not come to that.
  Timestamp change_began_at_ = 0;
  std::shared_ptr<http::LateAnswer> answer_;  ///< Of whoever asked; null: a signal did.
  serve::ConfigState state_;

  flow::BlockingPool threads_;
  asio::any_io_executor strand_;  ///< Of the next three.
  boost::asio::signal_set signals_;
  asio::steady_timer patience_;  ///< Of whoever waits for an answer.
  asio::steady_timer reading_patience_;
};

}  // namespace streamobs::app

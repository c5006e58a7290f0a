// `streamobs --config FILE`: the engine's process, from the first look at the config to its exit
// code. It has one topology after the other: SIGHUP and POST /-/reload have the config read anew,
// and where there is nothing wrong with it the running topology ends in order, with a checkpoint,
// and another one goes on from there. What must not be let go of in between (the data directory's
// lock, the listening port, signals, whoever waits for an answer) is kept here.
//
// Made once, on the main thread, which run() takes for the topologies; two threads of its own wait
// for signals and read configs.
#pragma once

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

  Result<> begin();
  int live();
  int live_out(Topology& topology);
  bool change_is_due(int code);
  bool go_back();
  void end();
  void came_up();
  void go_on();

  std::optional<Refusal> read_next(bool by_signal);
  std::optional<Refusal> hindrance() const;
  void refused(const std::string& error);
  void answer(http::Response response);

  void watch_signals();
  void take_signal(int number);
  void reload_by_signal();
  void stop_by_signal(int number);

  const ReadPlan read_plan_;
  const Clock& clock_;
  const bool on_terminal_;  ///< At the start.
  Premises premises_;
  std::string failure_;  ///< Of the last topology; main thread, as the next.
  Totals totals_;

  mutable std::mutex mutex_;  ///< Of what follows.
  Phase phase_ = Phase::starting;
  bool reload_again_ = false;       ///< A SIGHUP came when there could be no reload.
  Topology* topology_ = nullptr;    ///< That runs now.
  Setting now_;                     ///< What it is made of.
  std::optional<NextConfig> next_;  ///< To take over, or taking over.
  std::optional<Setting> before_;   ///< To go back to, until what follows has come up.
  std::string fell_back_;           ///< Why; empty: it has not come to that.
  Timestamp change_began_at_ = 0;
  std::shared_ptr<http::LateAnswer> answer_;  ///< Of whoever asked; null: a signal did.
  serve::ConfigState state_;

  flow::BlockingPool threads_;
  asio::any_io_executor strand_;  ///< Of the next two.
  boost::asio::signal_set signals_;
  asio::steady_timer patience_;  ///< Of whoever waits for an answer.
};

}  // namespace streamobs::app

// Runs a topology in the test's own process: a data directory, a plan, one life of an engine.
#pragma once

#include <filesystem>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include "app/replay.h"
#include "app/topology.h"
#include "support/catch.h"

namespace streamobs::testing {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "streamobs-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

inline std::shared_ptr<const app::Plan> plan_of(const std::string& toml,
                                                const std::string& data_dir,
                                                const std::vector<std::string>& replay = {}) {
  Diagnostics diagnostics;
  std::optional<config::Config> config = config::parse(toml, "test.toml", diagnostics);
  INFO(config::to_text(diagnostics, false));
  REQUIRE(config);
  config::set_data_dir(*config, data_dir);
  config->log_level = log::Level::error;
  if (!replay.empty()) {
    app::ReplayOptions options;
    options.files = replay;
    REQUIRE(app::prepare_replay(*config, options, diagnostics));
  }
  std::shared_ptr<const app::Plan> plan = app::make_plan(std::move(*config), diagnostics);
  INFO(config::to_text(diagnostics, false));
  REQUIRE(plan);
  return plan;
}

/// One life: from the end of recovery to stop().
class EngineRun {
 public:
  explicit EngineRun(std::shared_ptr<const app::Plan> plan,
                     const Clock& clock = app::Topology::system_clock(),
                     app::Results::Listener listener = {})
      : EngineRun(std::move(plan), clock, std::move(listener), app::TopologyOptions{}) {}

  ~EngineRun() {
    if (runner_.joinable()) stop();
  }

  int stop() {
    topology_->request_stop();
    runner_.join();
    return code_;
  }

  app::Topology& topology() { return *topology_; }
  app::Topology* operator->() { return topology_.get(); }

 private:
  EngineRun(std::shared_ptr<const app::Plan> plan, const Clock& clock,
            app::Results::Listener listener, app::TopologyOptions options) {
    const auto beginning = std::make_shared<Beginning>();
    options.handle_signals = false;
    options.on_ready = [beginning] { beginning->tell(true); };
    topology_ = std::make_unique<app::Topology>(std::move(plan), std::move(options), clock);
    if (listener) topology_->add_listener(std::move(listener));
    const Result<> started = topology_->start();
    if (started.has_error()) FAIL(started.error().message);
    runner_ = std::thread([this, beginning] {
      code_ = topology_->run();
      beginning->tell(false);
    });
    if (beginning->ready.get_future().get()) return;
    runner_.join();
    FAIL("the engine ended with " << code_ << " before it had recovered");
  }

  /// Recovered, or ended before it was: what comes first is told.
  struct Beginning {
    std::promise<bool> ready;
    std::once_flag told;
    void tell(bool how) {
      std::call_once(told, [this, how] { ready.set_value(how); });
    }
  };

  std::unique_ptr<app::Topology> topology_;
  std::thread runner_;
  int code_ = -1;
};

}  // namespace streamobs::testing

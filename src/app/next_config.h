// Whether a config can take the place of the one in force while the process goes on.
//
// One function, and what it finds; it blocks (files, name look-ups), so it belongs on a thread
// where that does not matter. Nothing that runs is touched by it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "app/plan.h"
#include "base/result.h"
#include "config/changes.h"
#include "http/listener.h"

namespace streamobs::app {

/// Reads the config and plans it; null after a mistake, which is in the diagnostics.
using ReadPlan = std::function<std::shared_ptr<const Plan>(Diagnostics&)>;

/// What a topology is made of that comes and goes with its config.
struct Setting {
  std::shared_ptr<const Plan> plan;
  std::shared_ptr<http::Listener> listener;  ///< Null: no HTTP.
};

struct NextConfig {
  Setting setting;  ///< With the listener of before, where it is to listen there.
  std::vector<config::SectionChange> changes;
  Diagnostics warnings;
};

/// Reads the config anew and tries what `validate` tries, that it may be changed at all without a
/// restart, and that its address can be had. The error has all mistakes, as a start would print
/// them. `reading` are the sources of now whose standard input has not ended.
Result<NextConfig> read_next_config(const ReadPlan& read, const Setting& now,
                                    const std::vector<std::string>& reading);

/// "added window.by_user, changed http": for a line of the log, and so not more of them than fit
/// there.
std::string in_words(const std::vector<config::SectionChange>& changes);

}  // namespace streamobs::app

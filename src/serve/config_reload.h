// POST /-/reload, and what is known of the config in force; implemented by the app (app/run).
//
// Outlives every topology of the process, and so the HTTP servers. prepare() and take_over() are
// called on the strand of the asking connection, which goes on there; state() on any thread.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/json_writer.h"
#include "flow/asio.h"
#include "http/exchange.h"
#include "http/late_answer.h"
#include "serve/state.h"

namespace streamobs::serve {

struct ApiContext;

class ConfigReload {
 public:
  /// Why there is no reload: nothing has changed.
  struct Refusal {
    int status = 0;
    std::string detail;
  };

  virtual ~ConfigReload() = default;

  /// Reads the config anew and tries all of it that can be tried while the old one is in force.
  /// None: take_over() has to follow.
  virtual asio::awaitable<std::optional<Refusal>> prepare() = 0;
  /// What has been prepared takes the place of the old one, this server's included. `answer` is
  /// told what came of it.
  virtual void take_over(std::shared_ptr<http::LateAnswer> answer) = 0;
  virtual ConfigState state() const = 0;
};

/// The object of docs/api.md.
void write(JsonWriter& json, const ConfigState& state);
/// That the config of `state` has been taken over.
http::Response taken_over(const ConfigState& state);

asio::awaitable<void> reload_config(const ApiContext& context, http::Exchange& exchange);

}  // namespace streamobs::serve

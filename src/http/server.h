// The one HTTP server: ingest, queries, live events and the dashboard behind one port.
//
// Made and bound at start-up, serves until stop_accepting() and drain(); must be destroyed after
// drain() has ended and before the io_context. Each connection lives on the strand of one lane, so
// that its bytes are decoded where they arrive. listen() is synchronous; serve() and drain() are
// each awaited once, on any strand; stop_accepting() may be called on any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "flow/asio.h"
#include "flow/task_group.h"
#include "http/listener.h"
#include "http/options.h"
#include "http/router.h"
#include "telemetry/registry.h"

namespace streamobs::http {

/// Where a connection lives: a lane's strand.
struct Home {
  asio::any_io_executor executor;
  std::size_t lane = 0;
};

class Server {
 public:
  /// `executor` is where the accept loop and the timer run: a strand. `next_home` is called there
  /// for each new connection. `router`, `registry` and `clock` must outlive the server.
  /// `on_failure` hears of a connection that ended with an exception: a bug.
  Server(asio::any_io_executor executor, HttpOptions options, const Router& router,
         telemetry::Registry& registry, const Clock& clock, std::function<Home()> next_home,
         flow::TaskGroup::OnFailure on_failure);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Binds a port of its own.
  Result<Endpoint> listen();
  /// Accepts from a port that was there before and may be there after, clients that wait at it
  /// included. `listener` outlives the server.
  Result<Endpoint> listen_at(Listener& listener);
  /// Accepts connections until stop_accepting().
  asio::awaitable<void> serve();
  void stop_accepting();
  /// Instead of stop_accepting(), where another server follows at the listener: clients wait there,
  /// and open connections go there between two requests, each when what it has begun has been
  /// answered. Returns when all but live readers have gone, or at `deadline`; drain() comes behind
  /// it all the same.
  asio::awaitable<void> hand_over(Duration deadline);
  /// What drain() does, to all but live readers: they may be told more.
  asio::awaitable<void> drain_requests(Duration deadline);
  /// Returns when live readers, who have been let go by what they read from, have been sent what
  /// was for them, or at `deadline`.
  asio::awaitable<void> await_live_end(Duration deadline);
  /// Lets requests that are being answered finish, closes idle connections and live streams, and
  /// after `deadline` all that are left; returns when every connection has ended. Handlers that
  /// wait for something else than the connection (a pipeline, LiveHub) must be let go by its owner.
  asio::awaitable<void> drain(Duration deadline);

  std::size_t connections() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace streamobs::http

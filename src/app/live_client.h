// Follows the live events of a running engine: for commands that print what happens.
//
// Reads server-sent events (docs/api.md) and comes back with the last id after a restart of the
// engine, waiting longer after each failure, up to 10 s. Lives on one single-threaded io_context,
// which must outlive run(); stopping the context ends it. For the command line only.
#pragma once

#include <functional>
#include <string>

#include <boost/asio/ip/tcp.hpp>

#include "app/api_client.h"
#include "app/sse_reader.h"
#include "base/result.h"
#include "flow/asio.h"

namespace streamobs::app {

class LiveClient {
 public:
  struct Listener {
    std::function<void(const LiveMessage&)> on_message;
    /// The engine has gone, or is there again: words for a person.
    std::function<void(const std::string&)> on_change;
  };

  /// `path` is that of the live events with its query, without last_event_id.
  LiveClient(ApiTarget target, std::string path, Listener listener);

  /// Ends with what no waiting helps against: `invalid`, the engine refuses this; `unavailable`, it
  /// did not take us in the first time.
  asio::awaitable<Result<>> run();

 private:
  asio::awaitable<Result<>> read_once();
  asio::awaitable<Result<>> open(asio::ip::tcp::socket& socket, std::string& received);

  const ApiTarget target_;
  const std::string path_;
  Listener listener_;
  SseReader reader_;
  std::string last_id_;
  bool was_open_ = false;  ///< The engine has taken us in before.
  bool open_ = false;
};

}  // namespace streamobs::app

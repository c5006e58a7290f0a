// Which handler answers which method and path.
//
// Filled at wiring time, read-only from then on; the server and every connection refer to it, so it
// must outlive them. match() may be called on any strand.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "flow/asio.h"
#include "http/exchange.h"

namespace streamobs::http {

/// Runs on the connection's strand; answers with exchange.respond() or streams. What it refers to
/// (captures of the function object) must outlive the server. Not a capturing lambda that is itself
/// a coroutine: let the lambda call a coroutine function with its captures as arguments.
using Handler = std::function<asio::awaitable<void>(Exchange&)>;

struct RouteFlags {
  bool open = false;  ///< Served without the token: health, and the page that asks for the token.
  bool ingest =
      false;  ///< Takes a body: JSON or NDJSON, plain or gzip. All other routes take none.
  bool plain_text = false;  ///< Takes a body of text/plain as well: lines.
  bool live = false;        ///< An answer without end; counted against live_connections_max.
};

struct Route {
  std::string method;
  std::string pattern;                ///< "/api/v1/windows/{name}"; also its name in metrics.
  std::vector<std::string> segments;  ///< "{name}" for a parameter.
  RouteFlags flags;
  Handler handler;
  std::size_t index = 0;  ///< In order of addition.
};

class Router {
 public:
  /// A GET route answers HEAD as well. A pattern without parameters wins over one with. The handler
  /// of a method and pattern that is there already is a mistake and throws.
  void add(std::string_view method, std::string_view pattern, RouteFlags flags, Handler handler);

  struct Match {
    const Route* route = nullptr;  ///< Null: nothing there, or not with this method.
    std::string allow;             ///< Methods that the path does take, for 405; empty: 404.
  };
  /// Fills `parameters` with the values of the route's {name} segments.
  Match match(std::string_view method, const std::vector<std::string_view>& segments,
              std::vector<std::pair<std::string_view, std::string_view>>& parameters) const;

  std::size_t size() const { return routes_.size(); }
  const std::vector<Route>& routes() const { return routes_; }

 private:
  std::vector<Route> routes_;  ///< Those without parameters first.
};

}  // namespace streamobs::http

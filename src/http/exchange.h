// One request and its answer, as a handler sees them.
//
// An Exchange belongs to its connection and lives for one request; the handler runs on the
// connection's strand and must not keep it. What the request shows (views included) stays good
// until the handler ends; only the body may be kept longer, for it is shared.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/block_buffer.h"
#include "base/clock.h"
#include "flow/asio.h"
#include "http/head.h"
#include "http/target.h"

namespace streamobs::http {

class LateAnswer;

struct Request {
  Head head;
  Target target;
  /// Values of the route's {name} segments, in order.
  std::vector<std::pair<std::string_view, std::string_view>> parameters;
  std::string remote;                 ///< The client's address, without the port.
  std::size_t lane = 0;               ///< Whose strand this runs on.
  Timestamp received_at = 0;          ///< When the head was complete.
  std::shared_ptr<BlockBuffer> body;  ///< Whole, de-chunked and inflated; null where there is none.

  std::string_view method() const { return head.method; }
  std::string_view path() const { return target.path; }
  std::optional<std::string_view> header(std::string_view name) const { return head.find(name); }
  /// A {name} of the route; empty where the route has none of that name.
  std::string_view parameter(std::string_view name) const;
};

struct Response {
  int status = 200;
  std::string_view content_type =
      "application/json";  ///< A literal, or something that outlives it.
  std::string_view cache_control = "no-store";
  std::vector<std::pair<std::string, std::string>> headers;  ///< Further ones, already valid.
  std::string body;
  std::string_view fixed_body;  ///< Used instead of `body` where set; must outlive the server.
};

/// RFC 9457: what is wrong and what to do about it, as application/problem+json.
Response problem(int status, std::string_view detail);
/// The reason phrase of a status: "Not Found".
std::string_view reason_phrase(int status);

class Exchange {
 public:
  virtual ~Exchange() = default;

  const Request& request() const { return request_; }
  asio::any_io_executor executor() const { return executor_; }

  /// The answer; sent when the handler has ended. Once for each exchange that is no stream.
  void respond(Response response) { response_ = std::move(response); }
  /// Takes the connection out of the server, for an answer that is given when this server may have
  /// gone; the handler should end without one of its own.
  virtual std::shared_ptr<LateAnswer> answer_later() = 0;

  /// Begins an answer without end (server-sent events). False: the client has gone already, or
  /// asked for the head only.
  virtual asio::awaitable<bool> start_stream(std::string content_type) = 0;
  /// Sends `bytes` and returns when the system has taken them. False: the client has gone, or took
  /// nothing for too long, or the server is stopping; the handler should end.
  virtual asio::awaitable<bool> write_stream(std::string bytes) = 0;

  /// The client asks for a WebSocket, by a handshake that is in order. Only on routes that are
  /// live.
  virtual bool asks_for_web_socket() const = 0;
  /// Makes the connection one. False: the client has gone already. `on_end` is called on this
  /// strand when the client closes or is lost, or the server stops: send_message() gives false from
  /// then on, and the handler should end. When it does, what is still open is closed with 1001,
  /// going away.
  virtual asio::awaitable<bool> start_web_socket(std::function<void()> on_end) = 0;
  /// Sends a message of text and returns when the system has taken it. False: as write_stream().
  virtual asio::awaitable<bool> send_message(std::string text) = 0;
  /// Ends it with a code of RFC 6455 and a reason of at most 123 bytes.
  virtual asio::awaitable<void> close_web_socket(std::uint16_t code, std::string reason) = 0;

 protected:
  explicit Exchange(asio::any_io_executor executor) : executor_(std::move(executor)) {}

  asio::any_io_executor executor_;
  Request request_;
  std::optional<Response> response_;
};

}  // namespace streamobs::http

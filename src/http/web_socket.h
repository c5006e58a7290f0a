// The WebSocket that a connection has become: messages out, nothing in, an end with a reason.
//
// Private to src/http. Made by a connection when a handler asks for it, on its strand, over its
// socket, which must outlive it; nothing of it may be called on another strand. From accept() on it
// reads: what a client sends is thrown away, its pings are answered, its close too. A peer that
// sends nothing for half of `silence_max` is pinged, and after all of it the connection is closed.
// close() must have ended before this is destroyed. Beast does the protocol; it is included by the
// one .cpp alone.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include <boost/asio/ip/tcp.hpp>

#include "base/clock.h"
#include "flow/asio.h"
#include "http/head.h"

namespace streamobs::http {

class WebSocket {
 public:
  /// A longer message of the client ends the connection, with 1009.
  static constexpr std::size_t kMessageBytesMax = 64 << 10;

  WebSocket(asio::ip::tcp::socket& socket, Duration silence_max);
  ~WebSocket();
  WebSocket(const WebSocket&) = delete;
  WebSocket& operator=(const WebSocket&) = delete;

  /// Answers a handshake that check_handshake() has passed. False: the client has gone. `on_end` is
  /// called once, when the client closes or is lost; until then send() makes sense.
  asio::awaitable<bool> accept(const Head& head, std::function<void()> on_end);
  /// Calls `on_end` if that has not happened; the connection stays open for close().
  void tell_end();
  /// A piece of a text message. False: it has not been sent, and nothing more will be.
  asio::awaitable<bool> send(std::string_view piece, bool last);
  /// Says why, unless the client has closed, and returns when both sides have. The socket's owner
  /// closes it if that takes too long.
  asio::awaitable<void> close(std::uint16_t code, std::string reason);

  /// The client sent more than a message may have.
  bool message_too_big() const;
  /// Nothing came from the client for too long.
  bool timed_out() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace streamobs::http
